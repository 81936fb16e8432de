//! Deliveries: what receivers get, when, and what is recorded of it.

mod attempts;
mod breakers;
mod bulk_replays;
mod endpoint_health;
mod fence;
mod guard;
mod handoff;
mod machine;
mod recipients;
mod replays;
mod retries;
mod rotation;
mod rounds;
mod signatures;
mod verify;
