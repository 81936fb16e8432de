//! The tests of this room; real listeners on loopback, names answered by hand.

mod answer;
mod policy;
mod receiver;
mod resolver;
mod retry_after;
mod sender;
mod spellings;
mod tls;
