//! Limits: every upper bound of the platform that is not a setting, with its unit in its name.

/// Characters of an event type, an action, or one pattern.
pub const EVENT_TYPE_CHARS_MAX: usize = 128;
/// Events in one `POST /events/batch`.
pub const BATCH_EVENTS_MAX: usize = 500;
/// Nesting of objects and arrays in `data` and `context`.
pub const JSON_DEPTH_MAX: usize = 64;
/// Bytes of `context`, compacted.
pub const CONTEXT_BYTES_MAX: usize = 16 * 1024;
/// Objects on one page of a list.
pub const PAGE_SIZE_MAX: u32 = 100;
/// Objects on one page when the caller names no limit.
pub const PAGE_SIZE_DEFAULT: u32 = 10;
/// Event types and patterns in one filter or one endpoint.
pub const EVENT_PATTERNS_MAX: usize = 200;
/// Characters of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Characters of an endpoint's URL.
pub const URL_CHARS_MAX: usize = 2048;
/// Characters of a name or a description.
pub const NAME_CHARS_MAX: usize = 512;
/// Members of an object of metadata, characters of its keys and of its values.
pub const METADATA_KEYS_MAX: usize = 50;
pub const METADATA_KEY_CHARS_MAX: usize = 40;
pub const METADATA_VALUE_CHARS_MAX: usize = 600;
/// Characters of an `external_id`.
pub const EXTERNAL_ID_CHARS_MAX: usize = 128;
/// Domains of one organization.
pub const ORGANIZATION_DOMAINS_MAX: usize = 100;
/// Bytes of a receiver's answer that are kept.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Endpoints of one environment.
pub const ENDPOINTS_MAX: i64 = 10_000;
/// Event types that one environment describes.
pub const EVENT_TYPES_MAX: i64 = 10_000;
/// Seconds that the previous secret stays valid after a rotation, at most: seven days.
pub const ROTATION_OVERLAP_SECONDS_MAX: u64 = 7 * 24 * 3600;
/// The same when the caller names none: one day.
pub const ROTATION_OVERLAP_SECONDS_DEFAULT: u64 = 24 * 3600;
/// Characters of an actor's or a target's id and type.
pub const AUDIT_ID_CHARS_MAX: usize = 255;
/// Targets of one audit log event.
pub const AUDIT_TARGETS_MAX: usize = 100;
/// Characters of an audit log event's location and of its user agent.
pub const AUDIT_LOCATION_CHARS_MAX: usize = 512;
pub const AUDIT_USER_AGENT_CHARS_MAX: usize = 1024;
/// Characters of a text in an audit log event's metadata.
pub const AUDIT_METADATA_VALUE_CHARS_MAX: usize = 500;
/// Bytes of an audit log event's metadata, compacted: room for all that the other bounds allow.
pub const AUDIT_METADATA_BYTES_MAX: usize = 192 * 1024;
/// Hours that an audit log event may claim to have happened ahead of the platform's clock.
pub const AUDIT_AHEAD_HOURS_MAX: i64 = 24;
/// Bytes of a JSON Schema, compacted.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Schemas within each other, with all references followed.
pub const SCHEMA_DEPTH_MAX: usize = 64;
/// JSON values of a schema, with all references followed.
pub const SCHEMA_VALUES_MAX: usize = 5_000;
/// Regular expressions of a schema, counted the same way.
pub const SCHEMA_PATTERNS_MAX: usize = 100;
/// Bytes that one compiled regular expression may take.
pub const SCHEMA_PATTERN_BYTES_MAX: usize = 256 * 1024;
/// Faults that are told of one value.
pub const SCHEMA_FAULTS_MAX: usize = 50;
/// Values of a schema times values of an instance: how far an instance is checked at all.
pub const SCHEMA_CHECKS_MAX: usize = 20_000_000;
/// The same: how far every fault is looked for, of which each takes some hundred bytes.
pub const SCHEMA_NOTES_MAX: usize = 200_000;
/// Target types of one audit schema.
pub const SCHEMA_TARGETS_MAX: usize = 50;
/// Bytes of an event type's example, compacted.
pub const EXAMPLE_BYTES_MAX: usize = 64 * 1024;
/// Characters of an event type's description.
pub const DESCRIPTION_CHARS_MAX: usize = 2_000;
/// Audit log events in one `POST /audit_logs/events/batch`.
pub const AUDIT_BATCH_MAX: usize = 100;
/// Values of one filter of an export.
pub const EXPORT_FILTER_VALUES_MAX: usize = 200;
/// Exports of one environment that are still to be made, and that can be fetched.
pub const EXPORTS_PENDING_MAX: i64 = 100;
pub const EXPORTS_READY_MAX: i64 = 1_000;
/// Values of one condition of a redaction.
pub const REDACTION_VALUES_MAX: usize = 200;
/// Characters of a redaction's reason.
pub const REASON_CHARS_MAX: usize = 500;
/// Replays of one environment that are not at their end.
pub const REPLAYS_ACTIVE_MAX: i64 = 20;
/// Deliveries that a replay makes in a second, at most, and when the caller names no rate.
pub const REPLAY_RATE_MAX: u32 = 1_000;
pub const REPLAY_RATE_DEFAULT: u32 = 50;
