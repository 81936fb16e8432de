//! The command line, as a person and as a script see it: the real program, its output, its exit code.

mod bench;
mod config;
mod demo;
mod events;
mod help;
mod keys;
mod master_keys;
mod replays;

/// Wrong usage, as clap says it.
const USAGE: i32 = 2;
/// The configuration or the machine must change first (`EX_CONFIG`).
const CONFIGURATION: i32 = 78;
