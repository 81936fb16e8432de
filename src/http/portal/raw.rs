//! Texts as they are, of which a page shows only the beginning.
//!
//! Invariant: they are answered as plain text, which no browser runs, and to nobody who may not see their page.

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::header::ContentType;
use bytes::Bytes;

use super::door::{Shown, Visit};
use crate::app::{self, Noun};
use crate::domain::access::Permission;
use crate::domain::event::EventType;
use crate::domain::id::{AuditLogEventId, DeliveryId, EventId};
use crate::domain::page::{Cursor, Order, PageQuery, PageSize};
use crate::http::extract::{Extract, PathAction, PathId};
use crate::http::problem::Problem;

fn plain(text: impl Into<Bytes>) -> Shown {
    Ok(HttpResponse::Ok()
        .content_type(ContentType::plaintext())
        .body(text.into()))
}

/// An event's body.
pub(super) async fn event(visit: Visit) -> Shown {
    let PathId(wanted) = PathId::<EventId>::extract(&visit.request, &mut Payload::None).await?;
    let event = app::events::find(&visit.app, &visit.caller, wanted).await?;
    plain(event.body)
}

/// What a receiver has answered to an attempt.
pub(super) async fn answer(visit: Visit) -> Shown {
    let PathId(delivery) =
        PathId::<DeliveryId>::extract(&visit.request, &mut Payload::None).await?;
    let number = visit.request.match_info().get("number").unwrap_or_default();
    let attempts = app::deliveries::attempts(&visit.app, &visit.caller, delivery).await?;
    let attempt = attempts
        .into_iter()
        .find(|one| one.number.to_string() == number);
    let answer = attempt.and_then(|one| one.attempt.answer);
    plain(
        answer
            .ok_or_else(|| Problem::not_found(Noun::Delivery, number))?
            .body,
    )
}

/// An entry of an audit log.
pub(super) async fn entry(visit: Visit) -> Shown {
    let PathId(wanted) =
        PathId::<AuditLogEventId>::extract(&visit.request, &mut Payload::None).await?;
    let entry = app::audit::find(&visit.app, &visit.caller, wanted).await?;
    plain(entry.object_json)
}

/// A version of an action's schema.
pub(super) async fn schema(visit: Visit) -> Shown {
    visit.require(Permission::Admin)?;
    let PathAction(text) = PathAction::extract(&visit.request, &mut Payload::None).await?;
    let unknown = || Problem::not_found(Noun::AuditLogAction, &text);
    let action = EventType::parse("action", &text).map_err(|_fault| unknown())?;
    let version = visit
        .request
        .match_info()
        .get("version")
        .unwrap_or_default();
    let version: i32 = version.parse().map_err(|_fault| unknown())?;
    let from_there = PageQuery {
        size: PageSize::default(),
        order: Order::Ascending,
        cursor: Some(Cursor::After(version.saturating_sub(1))),
    };
    let versions =
        app::audit_schemas::list(&visit.app, &visit.caller, &action, &from_there).await?;
    let found = versions
        .items
        .into_iter()
        .find(|stored| stored.version == version);
    plain(found.ok_or_else(unknown)?.schema.definition())
}
