//! Ids in paths, decoded and typed.
//!
//! Invariant: what is no id of the wanted kind is answered exactly like an id that names nothing, so that a
//! path tells nobody how ids are made.

use std::str::FromStr;

use actix_web::HttpRequest;
use actix_web::dev::Payload;

use super::argument::Extract;
use super::query::decode_path;
use crate::app::Noun;
use crate::domain::id::{
    ApiKeyId, AuditLogCheckpointId, AuditLogEventId, AuditLogExportId, AuditLogRedactionId,
    DeliveryId, EndpointId, EventId, OrganizationId, ReplayId,
};
use crate::http::problem::Problem;

/// An id type that stands in paths, with what it names.
pub(in crate::http) trait Named: FromStr {
    const NOUN: Noun;
}

impl Named for EventId {
    const NOUN: Noun = Noun::Event;
}

impl Named for EndpointId {
    const NOUN: Noun = Noun::Endpoint;
}

impl Named for OrganizationId {
    const NOUN: Noun = Noun::Organization;
}

impl Named for DeliveryId {
    const NOUN: Noun = Noun::Delivery;
}

impl Named for ReplayId {
    const NOUN: Noun = Noun::Replay;
}

impl Named for AuditLogEventId {
    const NOUN: Noun = Noun::AuditLogEvent;
}

impl Named for AuditLogExportId {
    const NOUN: Noun = Noun::AuditLogExport;
}

impl Named for AuditLogCheckpointId {
    const NOUN: Noun = Noun::AuditLogCheckpoint;
}

impl Named for AuditLogRedactionId {
    const NOUN: Noun = Noun::AuditLogRedaction;
}

impl Named for ApiKeyId {
    const NOUN: Noun = Noun::ApiKey;
}

/// The `{id}` of a path. What is no id of its kind is answered exactly like an id that names nothing.
pub(in crate::http) struct PathId<Id>(pub(in crate::http) Id);

impl<Id: Named> Extract for PathId<Id> {
    async fn extract(request: &HttpRequest, _: &mut Payload) -> Result<Self, Problem> {
        let text = path_text(request, "id");
        text.parse()
            .map(Self)
            .map_err(|_fault| Problem::not_found(Id::NOUN, &text))
    }
}

macro_rules! path_texts {
    ($($(#[$doc:meta])* $name:ident = $parameter:literal;)+) => {$(
        $(#[$doc])*
        pub(in crate::http) struct $name(pub(in crate::http) String);

        impl Extract for $name {
            async fn extract(request: &HttpRequest, _: &mut Payload) -> Result<Self, Problem> {
                Ok(Self(path_text(request, $parameter)))
            }
        }
    )+};
}

path_texts! {
    /// The `{external_id}` of a path: the caller's own name for an organization.
    PathExternalId = "external_id";
    /// The `{action}` of a path: an audit action, or what somebody takes for one.
    PathAction = "action";
    /// The `{environment_id}` of a path: an environment, or what somebody takes for one.
    PathEnvironment = "environment_id";
    /// The `{name}` of a path: an event type, or what somebody takes for one.
    PathName = "name";
}

/// A segment of the path, decoded.
///
/// The router has decoded everything but `%25`, `%2F` and `%2B`; decoding the rest makes the whole exact. What has no
/// decoding names nothing; neither does what holds a NUL, which the database would not even compare.
fn path_text(request: &HttpRequest, name: &str) -> String {
    let text = request.match_info().get(name).unwrap_or_default();
    let decoded = decode_path(text).unwrap_or_else(|| text.to_owned());
    decoded.replace('\0', "\u{fffd}")
}
