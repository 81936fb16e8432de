//! A replay as it is shown, and what one would be.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::envelope::{timestamp, timestamp_or_null};
use crate::domain::id::{EndpointId, ReplayId};
use crate::domain::replay::{Replay, ReplayPreview};

/// Old events, sent to one endpoint in the background.
#[derive(Serialize, ToSchema)]
#[schema(as = Replay)]
pub(in crate::http::api) struct ReplayBody {
    #[schema(value_type = String, example = "replay")]
    object: &'static str,
    #[schema(value_type = String, example = "replay_01KDWX4V00000000000000TEST")]
    id: ReplayId,
    #[schema(value_type = String)]
    webhook_endpoint_id: EndpointId,
    #[schema(value_type = ScopeWord, inline)]
    scope: &'static str,
    #[serde(serialize_with = "timestamp")]
    range_start: DateTime<Utc>,
    #[serde(serialize_with = "timestamp")]
    range_end: DateTime<Utc>,
    /// Deliveries that are made in a second, at most.
    rate: u32,
    #[schema(value_type = ReplayStateWord, inline)]
    state: &'static str,
    /// `endpoint_deleted` or `endpoint_disabled`; null unless it failed.
    #[schema(required, value_type = Option<String>)]
    failure: Option<&'static str>,
    /// Deliveries to make, counted when the replay was asked for.
    total: u64,
    /// There were more than could be counted in a second.
    total_is_at_least: bool,
    /// Deliveries made so far. In the end it is less than `total` if something was received in another way meanwhile, or
    /// is no longer kept.
    made: u64,
    /// Events published until then are done; null before the first.
    #[serde(serialize_with = "timestamp_or_null")]
    #[schema(required)]
    done_through: Option<DateTime<Utc>>,
    #[serde(serialize_with = "timestamp")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "timestamp")]
    updated_at: DateTime<Utc>,
    /// Null while it is pending or running.
    #[serde(serialize_with = "timestamp_or_null")]
    #[schema(required)]
    finished_at: Option<DateTime<Utc>>,
}

/// `failed`: sent and never received. `missing`: wanted and not received. `all`: wanted, received or not.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes `scope` to OpenAPI")]
pub(super) enum ScopeWord {
    Failed,
    Missing,
    All,
}

/// `completed`: every delivery is made. `failed`: the endpoint was disabled or deleted.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes `state` to OpenAPI")]
enum ReplayStateWord {
    Pending,
    Running,
    Completed,
    Cancelled,
    Failed,
}

impl From<&Replay> for ReplayBody {
    fn from(replay: &Replay) -> Self {
        let (state, failure) = replay.state.words();
        Self {
            object: "replay",
            id: replay.id,
            webhook_endpoint_id: replay.endpoint,
            scope: replay.scope.as_str(),
            range_start: replay.range.start,
            range_end: replay.range.end,
            rate: replay.rate,
            state,
            failure,
            total: replay.total.count,
            total_is_at_least: replay.total.at_least,
            made: replay.made,
            done_through: replay.done_through,
            created_at: replay.created_at,
            updated_at: replay.updated_at,
            finished_at: replay.finished_at,
        }
    }
}

/// What a replay would send now.
#[derive(Serialize, ToSchema)]
#[schema(as = ReplayPreview)]
pub(in crate::http::api) struct PreviewBody {
    #[schema(value_type = String, example = "replay_preview")]
    object: &'static str,
    #[schema(value_type = String)]
    webhook_endpoint_id: EndpointId,
    #[schema(value_type = ScopeWord, inline)]
    scope: &'static str,
    #[serde(serialize_with = "timestamp")]
    range_start: DateTime<Utc>,
    #[serde(serialize_with = "timestamp")]
    range_end: DateTime<Utc>,
    rate: u32,
    /// Deliveries that would be made.
    total: u64,
    /// There are more than can be counted in a second.
    total_is_at_least: bool,
}

impl From<&ReplayPreview> for PreviewBody {
    fn from(preview: &ReplayPreview) -> Self {
        Self {
            object: "replay_preview",
            webhook_endpoint_id: preview.endpoint,
            scope: preview.scope.as_str(),
            range_start: preview.range.start,
            range_end: preview.range.end,
            rate: preview.rate,
            total: preview.total.count,
            total_is_at_least: preview.total.at_least,
        }
    }
}
