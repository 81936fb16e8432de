//! Why an event went to an endpoint, or did not, on the wire.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Answer, json};
use crate::app::why::Why;
use crate::app::{self, App};
use crate::domain::id::{DeliveryId, EndpointId, EventId};
use crate::domain::invalid::{Faults, Invalid};
use crate::domain::time;
use crate::domain::why::{Match, Verdict};
use crate::http::extract::{Authorized, EndpointsRead, PathId, Query};

/// Where an event stands at an endpoint, and why.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(in crate::http::api) struct ExplanationBody {
    /// Always `event_explanation`.
    #[schema(value_type = String, example = "event_explanation")]
    object: &'static str,
    #[schema(value_type = String)]
    event_id: EventId,
    #[schema(value_type = String)]
    webhook_endpoint_id: EndpointId,
    /// `delivered`, `sending`, `due`, `retrying`, `paused`, `held`, `exhausted`, `cancelled`, or, without a delivery,
    /// `endpoint_is_newer`, `other_organization`, `no_pattern`, `not_subscribed_then`.
    #[schema(value_type = String, example = "retrying")]
    verdict: &'static str,
    /// The same for people. It may change; match `verdict` instead.
    explanation: String,
    /// Whether the endpoint, as it is now, wants the event.
    matched: bool,
    /// The pattern that does; null where none does, and where the endpoint wants every type.
    #[schema(required, example = "invoice.*")]
    matched_by: Option<String>,
    /// When the next attempt is due; null where none is. With `paused`: when the endpoint is probed again, with the oldest
    /// delivery that waits.
    #[schema(required, format = DateTime)]
    next_attempt_at: Option<String>,
    /// What the last attempt came to, such as `refused 503`; null where there was none.
    #[schema(required, example = "refused 503")]
    last_outcome: Option<String>,
    /// The event's deliveries to the endpoint, newest first.
    #[schema(value_type = Vec<String>)]
    delivery_ids: Vec<DeliveryId>,
}

impl From<&Why> for ExplanationBody {
    fn from(why: &Why) -> Self {
        let explanation = &why.explanation;
        let next = match explanation.verdict {
            Verdict::Retrying { due_at } => Some(time::to_text(due_at)),
            Verdict::Paused { probe_at, .. } => Some(time::to_text(probe_at)),
            Verdict::Delivered { .. }
            | Verdict::Sending
            | Verdict::Due
            | Verdict::Held { .. }
            | Verdict::Exhausted { .. }
            | Verdict::Cancelled { .. }
            | Verdict::EndpointIsNewer
            | Verdict::OtherOrganization
            | Verdict::NoPattern
            | Verdict::NotSubscribedThen => None,
        };
        Self {
            object: "event_explanation",
            event_id: why.event.id,
            webhook_endpoint_id: why.endpoint.id,
            verdict: explanation.verdict.as_str(),
            explanation: explanation.sentence.clone(),
            matched: explanation.matched.is_match(),
            matched_by: match &explanation.matched {
                Match::ByPattern(pattern) => Some(pattern.to_string()),
                Match::EveryType | Match::NoPattern | Match::OtherOrganization => None,
            },
            next_attempt_at: next,
            last_outcome: why.outcome.as_ref().map(ToString::to_string),
            delivery_ids: why.deliveries.iter().map(|delivery| delivery.id).collect(),
        }
    }
}

/// Explain an event at an endpoint
///
/// Whether the endpoint wants the event and by which pattern, and what became of it there: delivered, waiting and for
/// what, given up, or never meant for it and why.
#[utoipa::path(
    get, path = "/events/{id}/why", tag = "Events",
    params(
        ("id" = String, Path, description = "The event's id."),
        ("endpoint" = String, Query, description = "The endpoint's id."),
    ),
    responses((status = 200, body = ExplanationBody)),
)]
pub(super) async fn explain_event(
    app: Data<App>,
    caller: Authorized<EndpointsRead>,
    PathId(event): PathId<EventId>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let endpoint = query.id("endpoint", &mut faults);
    if query.filled("endpoint").is_none() {
        faults.push(Invalid::new(
            "endpoint",
            "required",
            "endpoint is required.",
        ));
    }
    let Some(endpoint) = endpoint else {
        return Err(faults.check().err().unwrap_or_default().into());
    };
    let why = app::why::explain(&app, &caller, event, endpoint).await?;
    json(StatusCode::OK, &ExplanationBody::from(&why))
}
