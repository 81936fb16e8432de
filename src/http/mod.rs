//! The door for programs: HTTP in, JSON out.
//!
//! Invariant: a handler parses, calls `app/` and answers; every answer carries a request id and every error the
//! one shape of [`problem`]. Wire types never leave their file. Does not know tables, schedules or the network
//! behind the platform.

mod api;
mod connection;
mod docs;
mod extract;
mod health;
mod middleware;
mod portal;
pub mod problem;
pub mod server;
mod throttle;
mod told;

pub use api::openapi::document as openapi;
pub use api::routes::{Route, routes};
pub use throttle::ThrottleSettings;
