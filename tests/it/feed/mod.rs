//! The feed: every event once, in one order, for every reader.
