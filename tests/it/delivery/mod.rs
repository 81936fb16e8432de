//! Deliveries: what receivers get, when, and what is recorded of it.

mod endpoint_health;

mod recipients;
mod replays;
mod retries;
