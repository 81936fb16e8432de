//! The command line: a person's or a script's door.
//!
//! Invariant: answers go to standard output, everything else to standard error; `--json` gives one JSON document, or
//! one a line. Exit codes: 0 done, 1 failed, 2 wrong usage, 78 the configuration or this machine must change first;
//! `audit verify` has more, which its help tells.
//! Does not know SQL: commands call `app` and `runtime`, or a running server over HTTP.

mod admin;
mod audit;
mod bench;
mod client;
mod config;
mod demo;
mod environments;
mod events;
mod exit;
mod flags;
mod keys;
mod output;
mod portal;
mod receive;
mod replays;
mod serve;
mod tree;

pub use exit::fail;
pub use tree::{Cli, run};
