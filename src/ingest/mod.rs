//! Ingest: the group commit. Everything that waits for an environment goes into one transaction.
//!
//! Invariant: an event is answered only after its commit was confirmed, together with all its deliveries. Ids,
//! positions and commits of an environment have one order. Does not decide who may publish, nor send anything.

mod batch;
mod checkpoints;
mod commit;
mod fanout;
mod gathering;
mod memory;
mod plan;
mod recorder;
mod trails;

pub use batch::{record_entries_within, record_items_within, record_within};
pub use checkpoints::{checkpoint_within, checkpoints_within};
pub use recorder::{RecordError, Recorder, RecorderSettings, Waiting};
pub use trails::{NewItem, entry_id};
