//! Contradictions: settings that are right one by one and wrong together.
//!
//! Invariant: all contradictions are reported at once, each under the key that most likely has to change.

use std::time::Duration;

use super::fault::{ConfigError, Fault};
use super::model::Config;
use super::units::{bytes_text, duration_text};
use crate::domain::limits::CONTEXT_BYTES_MAX;

/// What a lease must leave beside the attempt: to claim, to queue, to settle.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// Bytes that a request has beside `data`: the context and the envelope.
const BODY_MARGIN_BYTES: usize = 4 * CONTEXT_BYTES_MAX;

impl Config {
    /// Whether the sections agree with each other.
    ///
    /// Errors: every contradiction.
    pub fn check(&self) -> Result<(), ConfigError> {
        refuse([
            self.body(),
            self.connections(),
            self.keys(),
            self.old_keys(),
            self.same_keys(),
            self.retention(),
            self.idempotency(),
            self.queue(),
            self.connect(),
            self.lease(),
            self.permits(),
        ])
    }

    /// Whether a server can run on these settings: more than [`Config::check`], which other commands need too.
    ///
    /// Errors: there is no master key for a database that others can read.
    pub fn check_serving(&self) -> Result<(), ConfigError> {
        let lacking = self.database.url.is_some()
            && self.secrets.master_key.is_none()
            && self.secrets.master_key_file.is_none();
        refuse([lacking.then(|| {
            let message = "is needed with database.url: it seals signing secrets in that database; \
                           set TIDINGS_MASTER_KEY or TIDINGS_MASTER_KEY_FILE, and keep the key";
            Fault::contradiction("secrets.master_key", message)
        })])
    }

    fn body(&self) -> Option<Fault> {
        let needed = self.events.data_bytes_max + BODY_MARGIN_BYTES;
        (self.server.body_bytes_max < needed).then(|| {
            let message = format!(
                "must be at least {}: events.data_max and room for the rest",
                bytes_text(&needed)
            );
            Fault::contradiction("server.body_max", message)
        })
    }

    fn connections(&self) -> Option<Fault> {
        (self.ingest.connections >= self.database.connections_max).then(|| {
            let message = format!(
                "must be less than database.connections_max, {}",
                self.database.connections_max
            );
            Fault::contradiction("ingest.connections", message)
        })
    }

    fn keys(&self) -> Option<Fault> {
        let both = self.secrets.master_key.is_some() && self.secrets.master_key_file.is_some();
        both.then(|| {
            Fault::contradiction(
                "secrets.master_key_file",
                "is set beside secrets.master_key; set one of them",
            )
        })
    }

    fn old_keys(&self) -> Option<Fault> {
        let secrets = &self.secrets;
        let both = secrets.old_master_key.is_some() && secrets.old_master_key_file.is_some();
        both.then(|| {
            Fault::contradiction(
                "secrets.old_master_key_file",
                "is set beside secrets.old_master_key; set one of them",
            )
        })
    }

    fn same_keys(&self) -> Option<Fault> {
        let (key, old) = (&self.secrets.master_key, &self.secrets.old_master_key);
        let same = key.as_ref().zip(old.as_ref());
        same.is_some_and(|(key, old)| key.expose() == old.expose())
            .then(|| {
                Fault::contradiction(
                    "secrets.old_master_key",
                    "is the same as secrets.master_key, which is to replace it",
                )
            })
    }

    fn idempotency(&self) -> Option<Fault> {
        (self.events.idempotency_retention > self.events.retention).then(|| {
            let message =
                "must not be more than events.retention: an answer is read back from its events";
            Fault::contradiction("events.idempotency_retention", message)
        })
    }

    fn retention(&self) -> Option<Fault> {
        let schedule = &self.delivery.retry_schedule;
        let horizon = schedule.horizon() + self.delivery.lease * schedule.attempts_max();
        (self.events.retention <= horizon).then(|| {
            let message = format!(
                "must be more than {}, the longest that delivery.retry_delays can take",
                duration_text(&horizon)
            );
            Fault::contradiction("events.retention", message)
        })
    }

    fn queue(&self) -> Option<Fault> {
        (self.ingest.queue_max < self.ingest.batch_max).then(|| {
            let message = format!(
                "must be at least ingest.batch_max, {}",
                self.ingest.batch_max
            );
            Fault::contradiction("ingest.queue_max", message)
        })
    }

    fn connect(&self) -> Option<Fault> {
        (self.delivery.connect_timeout > self.delivery.timeout).then(|| {
            let message = format!(
                "must be at most delivery.timeout, {}",
                duration_text(&self.delivery.timeout)
            );
            Fault::contradiction("delivery.connect_timeout", message)
        })
    }

    fn lease(&self) -> Option<Fault> {
        let needed = self.delivery.timeout + LEASE_MARGIN;
        (self.delivery.lease <= needed).then(|| {
            let message = format!(
                "must be more than {}: delivery.timeout plus {}",
                duration_text(&needed),
                duration_text(&LEASE_MARGIN)
            );
            Fault::contradiction("delivery.lease", message)
        })
    }

    fn permits(&self) -> Option<Fault> {
        (self.delivery.concurrency_per_endpoint > self.delivery.concurrency).then(|| {
            let message = format!(
                "must be at most delivery.concurrency, {}",
                self.delivery.concurrency
            );
            Fault::contradiction("delivery.concurrency_per_endpoint", message)
        })
    }
}

fn refuse(faults: impl IntoIterator<Item = Option<Fault>>) -> Result<(), ConfigError> {
    let faults: Vec<_> = faults.into_iter().flatten().collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ConfigError { faults })
    }
}
