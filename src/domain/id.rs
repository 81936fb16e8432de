//! Ids: one newtype for each kind of object, a ULID behind a prefix (`event_01J…`).
//!
//! Invariant: an id of one kind never parses as another. A ULID begins with its time in milliseconds, so
//! ids of one kind sort by time, and a range of ids is a range of time: partitions and feed pages rely on it.
//! The SQL form is a `uuid`, mapped in `store/columns.rs`; this file does not know about databases.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};
use ulid::Ulid;

use super::time::{from_millis, millis};

/// Why a text is no id of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an id of the form {prefix}_<26 characters>")]
pub struct IdFault {
    pub prefix: &'static str,
}

/// Characters of a ULID in its text form.
const ULID_CHARS: usize = 26;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// The prefix of the text form, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Makes a new id of the time `now`.
            ///
            /// Shape: ids that one process makes within a millisecond sort in the order in which they were made.
            pub fn new(now: DateTime<Utc>) -> Self {
                Self::at(millis(now), ordered_random())
            }

            /// Makes the id of a time in Unix milliseconds and the low 80 bits of `random`.
            pub const fn at(millis: u64, random: u128) -> Self {
                Self(Ulid::from_parts(millis, random))
            }

            /// The smallest id that is greater than this one.
            pub const fn next(self) -> Self {
                Self(Ulid(self.0.0.wrapping_add(1)))
            }

            /// Unix milliseconds of the id's time.
            pub const fn millis(self) -> u64 {
                self.0.timestamp_ms()
            }

            /// The id's time, UTC, to the millisecond.
            pub fn time(self) -> DateTime<Utc> {
                from_millis(self.millis())
            }

            /// The 16 bytes, big-endian: their order is the order of the ids.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.0.to_be_bytes()
            }

            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Ulid(u128::from_be_bytes(bytes)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut buffer = [0; ULID_CHARS];
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(self.0.array_to_str(&mut buffer))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdFault;

            fn from_str(text: &str) -> Result<Self, IdFault> {
                let fault = IdFault { prefix: $prefix };
                let ulid = text.strip_prefix(concat!($prefix, "_")).ok_or(fault)?;
                parse_ulid(ulid).map(Self).ok_or(fault)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+

    /// Every kind's prefix, for the tests and the documentation.
    pub const PREFIXES: &[&str] = &[$($prefix),+];
    };
}

/// The low 80 bits of a new id: a count that goes on from id to id, then 48 random bits.
fn ordered_random() -> u128 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    u128::from(count) << 48 | u128::from(rand::random::<u64>() >> 16)
}

/// Exactly 26 upper-case Crockford characters whose value fits 128 bits; one spelling for each id.
fn parse_ulid(text: &str) -> Option<Ulid> {
    let ulid = Ulid::from_string(text).ok()?;
    let mut canonical = [0; ULID_CHARS];
    (ulid.array_to_str(&mut canonical) == text).then_some(ulid)
}

ids! {
    /// A fact that was published.
    EventId = "event";
    /// A URL that wants events.
    EndpointId = "we";
    /// One event to one endpoint. Carries the time of its *event*, so that it lives in the event's partition.
    DeliveryId = "dlv";
    /// An isolated space that owns everything.
    EnvironmentId = "env";
    /// A customer inside an environment.
    OrganizationId = "org";
    /// A domain name of an organization.
    OrganizationDomainId = "org_domain";
    /// An API key.
    ApiKeyId = "key";
    /// One entry of an audit log.
    AuditLogEventId = "audit_log_event";
    /// Entries of an audit log, written to a file for somebody.
    AuditLogExportId = "audit_log_export";
    /// The signed head of an audit log's tree.
    AuditLogCheckpointId = "audit_log_checkpoint";
    /// The removal of personal parts from an audit log's entries.
    AuditLogRedactionId = "audit_log_redaction";
    /// A link that lets somebody into the portal once.
    PortalLinkId = "portal_link";
    /// Somebody who is in the portal.
    PortalSessionId = "portal_session";
    /// Old events, sent again in bulk.
    ReplayId = "replay";
    /// One HTTP request, in `X-Request-ID`.
    RequestId = "req";
    /// The hold of one worker on the deliveries of one claim.
    LeaseId = "lease";
    /// One running process that sends.
    WorkerId = "wrk";
}

impl DeliveryId {
    /// Makes the id of a delivery of `event`.
    ///
    /// Shape: the time is the event's, so that event and delivery are always in step: one range of ids
    /// holds both, and retention drops both.
    pub fn for_event(event: EventId) -> Self {
        Self::at(event.millis(), rand::random())
    }

    /// The first and the last id that a delivery of `event` can have.
    pub fn range_for_event(event: EventId) -> (Self, Self) {
        (
            Self::at(event.millis(), 0),
            Self::at(event.millis(), u128::MAX),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = EventId::at(1_767_225_600_000, 42);

        assert_eq!(id.to_string().parse::<EventId>(), Ok(id));
        assert_eq!(EventId::from_bytes(id.to_bytes()), id);
        assert_eq!(id.to_string().len(), "event_".len() + ULID_CHARS);
    }

    #[test]
    fn an_id_of_another_kind_is_refused_by_name() {
        let text = EventId::at(1, 1).to_string();

        assert_eq!(text.parse::<EndpointId>(), Err(IdFault { prefix: "we" }));
    }

    #[test]
    fn a_second_spelling_of_an_id_is_refused() {
        let text = EventId::at(1_767_225_600_000, 42).to_string();

        for spelling in [
            text.to_lowercase(),
            format!("{text}0"),
            format!(" {text}"),
            "event_".into(),
            "event_8ZZZZZZZZZZZZZZZZZZZZZZZZZ".into(),
        ] {
            assert!(spelling.parse::<EventId>().is_err(), "{spelling}");
        }
    }

    #[test]
    fn ids_sort_by_time_then_by_chance() {
        assert!(EventId::at(1, u128::MAX) < EventId::at(2, 0));
        assert!(EventId::at(2, 0) < EventId::at(2, 0).next());
    }

    #[test]
    fn ids_made_within_a_millisecond_sort_in_the_order_made() {
        let now = crate::domain::time::from_millis(1_767_225_600_000);
        let made: Vec<EventId> = (0..100).map(|_| EventId::new(now)).collect();

        assert!(made.is_sorted() && made.iter().all(|id| id.time() == now));
    }

    #[test]
    fn a_delivery_has_the_time_of_its_event() {
        let event = EventId::at(7, 9);
        let (first, last) = DeliveryId::range_for_event(event);
        let id = DeliveryId::for_event(event);

        assert_eq!(id.millis(), 7);
        assert!(first <= id && id <= last);
    }
}
