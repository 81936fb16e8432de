//! Webhook endpoints on the wire.
//!
//! Invariant: a secret is shown only to a caller who may read secrets; everybody else sees a mask. Unknown
//! members of a body are ignored, because SDKs send more than the contract says. Whether a URL may be called is
//! not decided here.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;

use super::envelope::{Answer, List, ListParams, json, stored};
use crate::app::endpoints::Rotation;
use crate::app::{self, App};
use crate::domain::event::EventLimits;
use crate::domain::id::EndpointId;
use crate::domain::invalid::Faults;
use crate::http::extract::{Authorized, Body, EndpointsRead, EndpointsWrite, PathId, Query};

mod answer;
mod health;
mod input;

use answer::EndpointBody;
use health::HealthBody;
use input::{CreateEndpoint, RotateSecret, SampleEvent, UpdateEndpoint};

/// Create an endpoint
///
/// Events that match are sent from now on. An endpoint that is bound to an organization gets that
/// organization's events only.
#[utoipa::path(
    post, path = "/webhook_endpoints", tag = "Webhook endpoints",
    request_body = CreateEndpoint,
    responses((status = 201, body = EndpointBody)),
)]
pub(super) async fn create_webhook_endpoint(
    app: Data<App>,
    caller: Authorized<EndpointsWrite>,
    body: Body,
) -> Answer {
    let new = body.parse::<CreateEndpoint<'_>>()?.parse()?;
    let endpoint = app::endpoints::create(&app, &caller, new, body.key).await?;
    json(
        StatusCode::CREATED,
        &EndpointBody::of(&endpoint, &caller, app.clock().now()),
    )
}

/// List endpoints
#[utoipa::path(
    get, path = "/webhook_endpoints", tag = "Webhook endpoints",
    params(ListParams),
    responses((status = 200, body = List<EndpointBody>)),
)]
pub(super) async fn list_webhook_endpoints(
    app: Data<App>,
    caller: Authorized<EndpointsRead>,
    query: Query,
) -> Answer {
    let mut faults = Faults::default();
    let listing = query.listing(&mut faults)?;
    faults.check()?;
    let page = app::endpoints::list(&app, &caller, &listing.page).await?;
    let now = app.clock().now();
    let shown = page
        .items
        .iter()
        .map(|endpoint| EndpointBody::of(endpoint, &caller, now))
        .collect();
    let list = List::page(&page, &listing, |endpoint| endpoint.id.to_string(), shown);
    json(StatusCode::OK, &list)
}

/// Get an endpoint
#[utoipa::path(
    get, path = "/webhook_endpoints/{id}", tag = "Webhook endpoints",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, body = EndpointBody)),
)]
pub(super) async fn get_webhook_endpoint(
    app: Data<App>,
    caller: Authorized<EndpointsRead>,
    PathId(id): PathId<EndpointId>,
) -> Answer {
    let endpoint = app::endpoints::find(&app, &caller, id).await?;
    json(
        StatusCode::OK,
        &EndpointBody::of(&endpoint, &caller, app.clock().now()),
    )
}

/// Find out why an endpoint is slow
///
/// What is owed to it, what its last attempts came to, whether it is left alone for a while, and one word for it all.
/// Read from the database, so every server answers the same.
#[utoipa::path(
    get, path = "/webhook_endpoints/{id}/health", tag = "Webhook endpoints",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, body = HealthBody)),
)]
pub(super) async fn get_webhook_endpoint_health(
    app: Data<App>,
    caller: Authorized<EndpointsRead>,
    PathId(id): PathId<EndpointId>,
) -> Answer {
    let health = app::endpoints::health(&app, &caller, id).await?;
    json(StatusCode::OK, &HealthBody::of(&health, app.clock().now()))
}

/// Change an endpoint
///
/// Members that are absent stay as they are. An endpoint that is enabled again, or gets another URL, begins in
/// good health.
#[utoipa::path(
    patch, path = "/webhook_endpoints/{id}", tag = "Webhook endpoints",
    params(("id" = String, Path, description = "The endpoint's id.")),
    request_body = UpdateEndpoint,
    responses((status = 200, body = EndpointBody)),
)]
pub(super) async fn update_webhook_endpoint(
    app: Data<App>,
    caller: Authorized<EndpointsWrite>,
    PathId(id): PathId<EndpointId>,
    body: Body,
) -> Answer {
    let change = body.parse::<UpdateEndpoint<'_>>()?.parse()?;
    let endpoint = app::endpoints::update(&app, &caller, id, change).await?;
    json(
        StatusCode::OK,
        &EndpointBody::of(&endpoint, &caller, app.clock().now()),
    )
}

/// Change an endpoint (PUT)
///
/// The same as PATCH: members that are absent stay as they are.
#[utoipa::path(
    put, path = "/webhook_endpoints/{id}", tag = "Webhook endpoints",
    params(("id" = String, Path, description = "The endpoint's id.")),
    request_body = UpdateEndpoint,
    responses((status = 200, body = EndpointBody)),
)]
pub(super) async fn replace_webhook_endpoint(
    app: Data<App>,
    caller: Authorized<EndpointsWrite>,
    id: PathId<EndpointId>,
    body: Body,
) -> Answer {
    update_webhook_endpoint(app, caller, id, body).await
}

/// Delete an endpoint
///
/// What is still pending for it is cancelled.
#[utoipa::path(
    delete, path = "/webhook_endpoints/{id}", tag = "Webhook endpoints",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(super) async fn delete_webhook_endpoint(
    app: Data<App>,
    caller: Authorized<EndpointsWrite>,
    PathId(id): PathId<EndpointId>,
) -> Answer {
    app::endpoints::delete(&app, &caller, id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Rotate the secret
///
/// During the overlap `webhook-signature` carries both secrets' signatures, and `WorkOS-Signature` the previous
/// one's until the rotation is completed. A second rotation drops the oldest secret.
#[utoipa::path(
    post, path = "/webhook_endpoints/{id}/rotate_secret", tag = "Webhook endpoints",
    params(("id" = String, Path, description = "The endpoint's id.")),
    request_body = Option<RotateSecret>,
    responses((status = 200, body = EndpointBody)),
)]
pub(super) async fn rotate_webhook_endpoint_secret(
    app: Data<App>,
    caller: Authorized<EndpointsWrite>,
    PathId(id): PathId<EndpointId>,
    body: Body,
) -> Answer {
    let (secret, overlap): (_, Duration) = body.parse_or_default::<RotateSecret<'_>>()?.parse()?;
    let rotation = Rotation { secret, overlap };
    let endpoint = app::endpoints::rotate_secret(&app, &caller, id, rotation, body.key).await?;
    json(
        StatusCode::OK,
        &EndpointBody::of(&endpoint, &caller, app.clock().now()),
    )
}

/// Complete a rotation
///
/// Ends the overlap at once: only the new secret signs.
#[utoipa::path(
    post, path = "/webhook_endpoints/{id}/complete_rotation", tag = "Webhook endpoints",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, body = EndpointBody)),
)]
pub(super) async fn complete_webhook_endpoint_rotation(
    app: Data<App>,
    caller: Authorized<EndpointsWrite>,
    PathId(id): PathId<EndpointId>,
    body: Body,
) -> Answer {
    let endpoint = app::endpoints::complete_rotation(&app, &caller, id, body.key).await?;
    json(
        StatusCode::OK,
        &EndpointBody::of(&endpoint, &caller, app.clock().now()),
    )
}

/// Send a sample event
///
/// Records an event that goes to this endpoint alone, whatever it is subscribed to.
#[utoipa::path(
    post, path = "/webhook_endpoints/{id}/test", tag = "Webhook endpoints",
    params(("id" = String, Path, description = "The endpoint's id.")),
    request_body = Option<SampleEvent>,
    responses((status = 201, body = super::events::EventBody)),
)]
pub(super) async fn test_webhook_endpoint(
    app: Data<App>,
    caller: Authorized<EndpointsWrite>,
    PathId(id): PathId<EndpointId>,
    body: Body,
) -> Answer {
    let limits: EventLimits = app.settings().event_limits;
    let sample = body.parse_or_default::<SampleEvent<'_>>()?.parse(limits)?;
    let event = app::endpoints::test(&app, &caller, id, sample, body.key).await?;
    Ok(stored(StatusCode::CREATED, event.body))
}
