//! The embedded default: a private, persistent PostgreSQL cluster in the data directory.
//!
//! Invariants: at most one postmaster runs on a data directory; it outlives a killed Tidings and is adopted by
//! the next one; whoever leaves it last stops it; it is never run as root and never without `fsync`,
//! `full_page_writes` and `synchronous_commit`. Only the owner of the data directory (and root) can connect.
//!
//! It does not download PostgreSQL, does not upgrade a cluster to another major version, and knows nothing of
//! the tables: that is `store::migrate`.

mod access;
mod account;
mod binaries;
mod cluster;
mod error;
mod layout;
mod lifecycle;
mod locks;
mod postmaster;
mod server_log;
mod settings;

pub use error::EmbeddedError;
pub use lifecycle::{Embedded, running_url};
pub use settings::{EmbeddedSettings, Home, default_data_dir};
