//! The embedded cluster: real servers in temporary folders, started, killed, adopted and shared.
//!
//! Every cluster is gone when its test ends, whether it passed or not: `Scratch` sees to it.

mod lifecycle;
// clippy lets helpers unwrap only where it sees that they are for tests
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod scratch;
