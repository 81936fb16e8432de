//! Replays on the wire: old events sent to an endpoint again, or for the first time, in the background.

use actix_web::http::StatusCode;
use actix_web::web::Data;

use super::envelope::{Answer, List, ListParams, json};
use crate::app::{self, App};
use crate::domain::id::{EndpointId, ReplayId};
use crate::domain::invalid::Faults;
use crate::http::extract::{Authorized, Body, EndpointsRead, EndpointsWrite, PathId, Query};

mod answer;
mod input;

use answer::{PreviewBody, ReplayBody};
use input::CreateReplay;

/// Create a replay
///
/// Sends events of a time range to one endpoint, as new deliveries: what has failed, what it has not got, or everything that
/// it wants. Made in the background at the given rate, through restarts; what is published or fails later is no part
/// of it. What is still pending is on its way and is not sent a second time.
#[utoipa::path(
    post, path = "/replays", tag = "Deliveries",
    request_body = CreateReplay,
    responses((status = 201, body = ReplayBody)),
)]
pub(super) async fn create_replay(
    app: Data<App>,
    caller: Authorized<EndpointsWrite>,
    body: Body,
) -> Answer {
    let request = body.parse::<CreateReplay<'_>>()?.parse()?;
    let replay = app::replays::create(&app, &caller, &request, body.key).await?;
    json(StatusCode::CREATED, &ReplayBody::from(&replay))
}

/// Preview a replay
///
/// Counts what the same request to `/replays` would send now, and makes nothing. Counting takes a second at most; where that is
/// too short, `total_is_at_least` says so.
#[utoipa::path(
    post, path = "/replays/preview", tag = "Deliveries",
    request_body = CreateReplay,
    responses((status = 200, body = PreviewBody)),
)]
pub(super) async fn preview_replay(
    app: Data<App>,
    caller: Authorized<EndpointsWrite>,
    body: Body,
) -> Answer {
    let request = body.parse::<CreateReplay<'_>>()?.parse()?;
    let preview = app::replays::preview(&app, &caller, &request).await?;
    json(StatusCode::OK, &PreviewBody::from(&preview))
}

/// List replays
///
/// Replays that have ended are listed for 90 days.
#[utoipa::path(get, path = "/replays", tag = "Deliveries", params(
    ListParams,
    ("webhook_endpoint_id" = Option<String>, Query, description = "Only replays to this endpoint."),
), responses((status = 200, body = List<ReplayBody>)))]
pub(super) async fn list_replays(
    app: Data<App>,
    caller: Authorized<EndpointsRead>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let endpoint: Option<EndpointId> = query.id("webhook_endpoint_id", &mut faults);
    let listing = query.listing(&mut faults)?;
    faults.check()?;
    let page = app::replays::list(&app, &caller, endpoint, &listing.page).await?;
    let shown = page.items.iter().map(ReplayBody::from).collect();
    let list = List::page(&page, &listing, |replay| replay.id.to_string(), shown);
    json(StatusCode::OK, &list)
}

/// Get a replay
///
/// `made` rises while it is `running`. `completed` means that every delivery is made; what became of each is in the deliveries.
#[utoipa::path(
    get, path = "/replays/{id}", tag = "Deliveries",
    params(("id" = String, Path, description = "The replay's id.")),
    responses((status = 200, body = ReplayBody)),
)]
pub(super) async fn get_replay(
    app: Data<App>,
    caller: Authorized<EndpointsRead>,
    PathId(id): PathId<ReplayId>,
) -> Answer {
    let replay = app::replays::find(&app, &caller, id).await?;
    json(StatusCode::OK, &ReplayBody::from(&replay))
}

/// Cancel a replay
///
/// No more deliveries are made; those that are made stay. A replay that has ended stays as it is, and is the answer.
#[utoipa::path(
    post, path = "/replays/{id}/cancel", tag = "Deliveries",
    params(("id" = String, Path, description = "The replay's id.")),
    responses((status = 200, body = ReplayBody)),
)]
pub(super) async fn cancel_replay(
    app: Data<App>,
    caller: Authorized<EndpointsWrite>,
    PathId(id): PathId<ReplayId>,
    body: Body,
) -> Answer {
    let replay = app::replays::cancel(&app, &caller, id, body.key).await?;
    json(StatusCode::OK, &ReplayBody::from(&replay))
}
