//! The feed: every event once, in one order, for every reader.

mod commit;
mod crowd;
mod fanout;
mod order;
