//! Jobs that cannot go on just now, so that a round takes up others instead.
//!
//! Invariant: a job is put off for a while, not for good, however long the round goes on.

use std::time::Duration;

use tokio::time::Instant;

/// How long a job is passed over.
const FOR: Duration = Duration::from_secs(5);

pub(super) struct PutOff<Id> {
    jobs: Vec<(Id, Instant)>,
}

impl<Id: Copy> PutOff<Id> {
    pub(super) const fn new() -> Self {
        Self { jobs: Vec::new() }
    }

    pub(super) fn push(&mut self, job: Id) {
        self.jobs.push((job, Instant::now()));
    }

    /// The jobs that are put off still.
    pub(super) fn jobs(&mut self) -> Vec<Id> {
        self.jobs.retain(|(_, since)| since.elapsed() < FOR);
        self.jobs.iter().map(|&(job, _)| job).collect()
    }
}
