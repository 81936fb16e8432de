//! Configuration: every setting, checked once, at the start.
//!
//! Invariant: after [`load::load`] each value is in its range and no two contradict each other; whoever gets a
//! section need not check again. Layers: `default.toml` < file < environment < flags. Only `load` reads the
//! environment. A part of the program receives its own section, never the whole.

mod check;
pub mod docs;
pub mod fault;
pub mod load;
pub mod mask;
pub mod model;
mod read;
pub mod settings;
mod shown;
mod units;

pub use fault::{ConfigError, SetupError};
pub use load::{Loaded, load};
pub use model::{Config, ServerConfig};
pub use shown::ShownSetting;
