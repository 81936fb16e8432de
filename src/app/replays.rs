//! Replays: asked for here, made by upkeep.
//!
//! Invariant: what a replay is about is settled when it is asked for; what is published or fails later is no part of
//! it. A caller who is bound to an organization has replays to that organization's endpoints, and no others.

use std::time::Duration;

use diesel_async::AsyncConnection;
use tokio::time::Instant;

use super::context::App;
use super::error::{AppError, Noun};
use super::{once, trail};
use crate::domain::access::Caller;
use crate::domain::audit::{Actor, OwnAction, OwnEntry};
use crate::domain::endpoint::Endpoint;
use crate::domain::id::{EndpointId, ReplayId};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::invalid::Invalid;
use crate::domain::limits::REPLAYS_ACTIVE_MAX;
use crate::domain::page::{Page, PageQuery};
use crate::domain::replay::{
    Replay, ReplayCount, ReplayPreview, ReplayRange, ReplayRequest, ReplayState,
};
use crate::domain::time::to_text;
use crate::store::replay_candidates::{self, Search};
use crate::store::replays::{self, ReplayRow};
use crate::store::{Conn, StoreError, endpoints, events, installation};

/// How long a caller waits for the count.
const COUNTING_FOR: Duration = Duration::from_secs(1);

/// Counts what a replay would send now; nothing is made.
///
/// Errors: `NotFound` for the endpoint, `Invalid` for a range that is still to come.
pub async fn preview(
    app: &App,
    caller: &Caller,
    request: &ReplayRequest,
) -> Result<ReplayPreview, AppError> {
    let mut conn = app.store().conn().await?;
    let endpoint = super::endpoints::found(app, &mut conn, caller, request.endpoint).await?;
    Ok(previewed(app, &mut conn, &endpoint, request).await?.0)
}

/// The preview, and what it was counted by.
async fn previewed<'a>(
    app: &App,
    conn: &mut Conn,
    endpoint: &'a Endpoint,
    request: &ReplayRequest,
) -> Result<(ReplayPreview, Search<'a>), AppError> {
    let now = installation::time(conn, app.clock().for_database()).await?;
    let range = ReplayRange {
        start: request.start,
        end: request.end.map_or(now, |end| end.min(now)),
    };
    if range.end < range.start {
        let message = "range_start must not be in the future.";
        let fault = Invalid::new("range_start", "invalid_range", message);
        return Err(AppError::Invalid(vec![fault]));
    }
    let search = Search {
        endpoint,
        scope: request.scope,
        range,
        asked_at: now,
    };
    let preview = ReplayPreview {
        endpoint: endpoint.id,
        scope: request.scope,
        range,
        rate: request.rate,
        total: count(conn, &search).await?,
    };
    Ok((preview, search))
}

/// Looks as the job will, for as long as a caller waits.
async fn count(conn: &mut Conn, search: &Search<'_>) -> Result<ReplayCount, StoreError> {
    let began = Instant::now();
    let (mut count, mut after) = (0, None);
    loop {
        let look = replay_candidates::look(conn, search, after).await?;
        count += u64::try_from(look.candidates.len()).unwrap_or(0);
        after = look.through;
        let at_least = after.is_some();
        if !at_least || began.elapsed() > COUNTING_FOR {
            return Ok(ReplayCount { count, at_least });
        }
    }
}

/// Asks for a replay of what there is now.
///
/// Errors: `NotFound` for the endpoint, `EndpointDisabled`, `LimitReached`, `Invalid` for a range that is still to come.
pub async fn create(
    app: &App,
    caller: &Caller,
    request: &ReplayRequest,
    key: Option<IdempotencyKey>,
) -> Result<Replay, AppError> {
    let environment = caller.environment;
    let mut conn = app.store().conn().await?;
    if let Some(made) = once::made_before(&mut conn, environment, key.as_ref()).await? {
        return Ok(found(&mut conn, caller, made).await?.read()?);
    }
    let endpoint = super::endpoints::found(app, &mut conn, caller, request.endpoint).await?;
    // Before the lock: while it counts, others record.
    let (preview, search) = previewed(app, &mut conn, &endpoint, request).await?;
    let row = pending(&preview, &search);
    let turn = conn.turn(environment).await;
    let created = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            if let Some(made) = once::made_before(conn, environment, key.as_ref()).await? {
                return found(conn, caller, made).await;
            }
            let endpoint = super::endpoints::found(app, conn, caller, request.endpoint).await?;
            if !endpoint.is_enabled() {
                return Err(AppError::EndpointDisabled { id: endpoint.id });
            }
            if replays::count_active(conn, environment).await? >= REPLAYS_ACTIVE_MAX {
                return Err(AppError::LimitReached {
                    what: "replays under way",
                    max: REPLAYS_ACTIVE_MAX,
                });
            }
            let entry = asked_for(&row);
            trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await?;
            replays::insert(conn, &row).await?;
            once::remember(app, conn, environment, key.as_ref(), row.id).await?;
            Ok(row)
        })
        .await?;
    app.store().replay_waits();
    app.handoff().wake();
    Ok(created.read()?)
}

fn pending(preview: &ReplayPreview, search: &Search<'_>) -> ReplayRow {
    let (now, total) = (search.asked_at, preview.total);
    ReplayRow {
        environment_id: search.endpoint.environment,
        id: ReplayId::new(now),
        endpoint_id: preview.endpoint,
        scope: preview.scope.as_str().to_owned(),
        range_start: preview.range.start,
        range_end: preview.range.end,
        rate: i32::try_from(preview.rate).unwrap_or(i32::MAX),
        state: ReplayState::Pending.words().0.to_owned(),
        failure: None,
        total: i64::try_from(total.count).unwrap_or(i64::MAX),
        total_at_least: total.at_least,
        made: 0,
        looked_through: None,
        next_at: now,
        created_at: now,
        updated_at: now,
        finished_at: None,
    }
}

fn asked_for(row: &ReplayRow) -> OwnEntry {
    OwnEntry::new(OwnAction::ReplayCreated)
        .on("replay", row.id)
        .on("webhook_endpoint", row.endpoint_id)
        .with("scope", row.scope.as_str())
        .with("range_start", to_text(row.range_start))
        .with("range_end", to_text(row.range_end))
        .with("rate", u64::try_from(row.rate).unwrap_or_default())
}

/// Stops a replay; what it has made stays. One that has ended stays as it is.
pub async fn cancel(
    app: &App,
    caller: &Caller,
    id: ReplayId,
    key: Option<IdempotencyKey>,
) -> Result<Replay, AppError> {
    let environment = caller.environment;
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(environment).await;
    let (row, cancelled) = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            // Only to refuse a key that was used otherwise: done twice it does nothing more.
            once::made_before::<ReplayId>(conn, environment, key.as_ref()).await?;
            let row = found(conn, caller, id).await?;
            let Some(mut job) = replays::take(conn, environment, id).await? else {
                return Ok((row, false));
            };
            let entry = OwnEntry::new(OwnAction::ReplayCancelled)
                .on("replay", id)
                .on("webhook_endpoint", job.endpoint_id)
                .with("made", u64::try_from(job.made).unwrap_or_default());
            trail::record(app, conn, &lock, &Actor::from(caller), [entry]).await?;
            let now = installation::time(conn, app.clock().for_database()).await?;
            job.enter(ReplayState::Cancelled, now);
            replays::advance(conn, &job).await?;
            once::remember(app, conn, environment, key.as_ref(), id).await?;
            Ok::<_, AppError>((job, true))
        })
        .await?;
    if cancelled {
        app.handoff().wake();
    }
    Ok(row.read()?)
}

/// Finds one replay.
pub async fn find(app: &App, caller: &Caller, id: ReplayId) -> Result<Replay, AppError> {
    let mut conn = app.store().conn().await?;
    Ok(found(&mut conn, caller, id).await?.read()?)
}

async fn found(conn: &mut Conn, caller: &Caller, id: ReplayId) -> Result<ReplayRow, AppError> {
    let unknown = || AppError::not_found(Noun::Replay, &id);
    let row = replays::find(conn, caller.environment, id).await?;
    let row = row.ok_or_else(unknown)?;
    if let Some(organization) = caller.bound_to {
        let among = endpoints::bound_to(conn, caller.environment, organization).await?;
        if !among.contains(&row.endpoint_id) {
            return Err(unknown());
        }
    }
    Ok(row)
}

/// Lists replays, of one endpoint where it is given.
pub async fn list(
    app: &App,
    caller: &Caller,
    endpoint: Option<EndpointId>,
    query: &PageQuery<ReplayId>,
) -> Result<Page<Replay>, AppError> {
    let environment = caller.environment;
    let mut conn = app.store().conn().await?;
    let among = match caller.bound_to {
        Some(id) => Some(endpoints::bound_to(&mut conn, environment, id).await?),
        None => None,
    };
    let rows = replays::page(&mut conn, environment, endpoint, among.as_deref(), query).await?;
    let replays = rows.iter().map(ReplayRow::read);
    Ok(Page::cut(replays.collect::<Result<_, _>>()?, query))
}
