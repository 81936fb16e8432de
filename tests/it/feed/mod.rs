//! The feed: every event once, in one order, for every reader.

mod by_type;
mod commit;
mod crowd;
mod fanout;
mod order;
