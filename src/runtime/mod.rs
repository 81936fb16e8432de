//! The runtime: builds every part from the configuration, starts them, and stops them in order.
//!
//! Invariant: what starts last stops first; the database, if it is our own, stops after everything that uses it.

mod banner;
mod commands;
mod foundation;
mod meter;
mod platform;
mod presence;
mod serve;

pub use commands::{Admin, connect, database_url};
pub use foundation::{Foundation, Secrets};
pub use meter::Meter;
pub use platform::{Platform, PlatformSettings};
pub use serve::serve;
