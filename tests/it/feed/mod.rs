//! The feed: every event once, in one order, for every reader.

mod crowd;
mod fanout;
mod order;
