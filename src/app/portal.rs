//! The portal's doors: signing in with a key, coming in by a link, and going out.
//!
//! Invariant: every way in makes a new session with a new pass, so nobody brings a session's pass along. A session
//! ends with the key that it came from. Who comes in, and who lets somebody in, is in the environment's own trail.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::AsyncConnection;

use super::context::App;
use super::error::{AppError, Noun};
use super::{once, trail};
use crate::domain::access::{Caller, Origin, Permission};
use crate::domain::audit::{Actor, OwnAction, OwnEntry};
use crate::domain::id::{ApiKeyId, EnvironmentId, PortalLinkId, PortalSessionId};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::portal::{Grant, Pass, PortalLink, PortalSession, SESSION_FOR, Visitor};
use crate::store::events::{self, EnvironmentLock};
use crate::store::{Conn, api_keys, organizations, portal};

/// A link to make.
#[derive(Debug, Clone)]
pub struct NewLink {
    pub visitor: Visitor,
    /// What the visitor is called.
    pub name: String,
    /// How long the link opens.
    pub good_for: Duration,
}

/// A link, and what opens it.
#[derive(Debug, Clone)]
pub struct MadeLink {
    pub link: PortalLink,
    /// Where the link leads, its pass included.
    pub url: String,
}

/// Signs somebody in with an admin key; `None` for any other text.
pub async fn sign_in(
    app: &App,
    key: &str,
    origin: Origin,
) -> Result<Option<(Pass, PortalSession)>, AppError> {
    let Some(caller) = super::api_keys::authenticate(app, key).await? else {
        return Ok(None);
    };
    if !caller.may(Permission::Admin) {
        return Ok(None);
    }
    let caller = caller.at(origin);
    let grant = Grant {
        environment: caller.environment,
        visitor: Visitor::Operator,
        name: caller.name.to_string(),
        api_key: caller.api_key(),
    };
    let (pass, session) = begin(app, grant);
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(caller.environment).await;
    conn.transaction(async |conn| {
        let lock = events::lock(conn, &turn).await?;
        let actor = Actor::from(&caller);
        record(app, conn, &lock, (&pass, &session), &actor).await
    })
    .await?;
    app.handoff().wake();
    Ok(Some((pass, session)))
}

/// Makes a link for whoever holds this key.
///
/// Errors: `NotFound` for the organization.
pub async fn create_link(
    app: &App,
    caller: &Caller,
    new: NewLink,
    key: Option<IdempotencyKey>,
) -> Result<MadeLink, AppError> {
    let maker = Maker {
        environment: caller.environment,
        actor: Actor::from(caller),
        api_key: caller.api_key(),
    };
    insert_link(app, &maker, new, key).await
}

/// Makes a link for an operator at the command line.
///
/// Errors: `NotFound` for the environment or the organization.
pub async fn create_link_by_hand(
    app: &App,
    environment: EnvironmentId,
    new: NewLink,
    actor: Actor,
) -> Result<MadeLink, AppError> {
    let mut conn = app.store().conn().await?;
    if !crate::store::environments::exists(&mut conn, environment).await? {
        return Err(AppError::not_found(Noun::Environment, &environment));
    }
    drop(conn);
    let maker = Maker {
        environment,
        actor,
        api_key: None,
    };
    insert_link(app, &maker, new, None).await
}

/// Who makes a link.
struct Maker {
    environment: EnvironmentId,
    actor: Actor,
    api_key: Option<ApiKeyId>,
}

/// Shape: the same request again gets the same link with another pass, because the first is not kept.
async fn insert_link(
    app: &App,
    maker: &Maker,
    new: NewLink,
    key: Option<IdempotencyKey>,
) -> Result<MadeLink, AppError> {
    let (now, environment) = (app.clock().now(), maker.environment);
    let pass = Pass::new(environment, app.store().vault().random_bytes());
    let link = PortalLink {
        id: PortalLinkId::new(now),
        grant: Grant {
            environment,
            visitor: new.visitor,
            name: new.name,
            api_key: maker.api_key,
        },
        created_at: now,
        expires_at: after(now, new.good_for),
    };
    let mut conn = app.store().conn().await?;
    let turn = conn.turn(environment).await;
    let link = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            if let Some(id) = once::made_before(conn, environment, key.as_ref()).await? {
                let renewed = portal::renew_link(conn, environment, id, &pass).await?;
                return renewed.ok_or_else(|| AppError::not_found(Noun::PortalLink, &id));
            }
            if let Some(id) = link.grant.visitor.organization() {
                let found = organizations::find(conn, environment, id).await?;
                found.ok_or_else(|| AppError::not_found(Noun::Organization, &id))?;
            }
            portal::delete_before(conn, environment, now).await?;
            portal::insert_link(conn, &link, &pass).await?;
            let entry = told(
                OwnAction::PortalLinkCreated,
                "portal_link",
                link.id,
                &link.grant,
            );
            trail::record(app, conn, &lock, &maker.actor, [entry]).await?;
            once::remember(app, conn, environment, key.as_ref(), link.id).await?;
            Ok::<_, AppError>(link)
        })
        .await?;
    app.handoff().wake();
    let url = format!(
        "{}/portal/link/{}",
        app.settings().public_url,
        pass.expose()
    );
    Ok(MadeLink { link, url })
}

/// Comes in by a link; `None` when it is unknown, used or too old, or its key was revoked.
pub async fn redeem(
    app: &App,
    link: &Pass,
    origin: Origin,
) -> Result<Option<(Pass, PortalSession)>, AppError> {
    let now = app.clock().now();
    let mut conn = app.store().conn().await?;
    // Looked for first: who has no link takes no lock.
    if !portal::has_link(&mut conn, link, now).await? {
        return Ok(None);
    }
    let turn = conn.turn(link.environment()).await;
    let entered = conn
        .transaction(async |conn| {
            let lock = events::lock(conn, &turn).await?;
            let Some(link) = portal::take_link(conn, link, now).await? else {
                return Ok(None);
            };
            if !is_good(conn, &link.grant).await? {
                return Ok(None);
            }
            let (pass, session) = begin(app, link.grant);
            let actor = Actor::from(&session.caller().at(origin));
            record(app, conn, &lock, (&pass, &session), &actor).await?;
            Ok::<_, AppError>(Some((pass, session)))
        })
        .await?;
    app.handoff().wake();
    Ok(entered)
}

/// Finds out who carries this pass; `None` for nobody who is in.
pub async fn session(app: &App, pass: &Pass) -> Result<Option<PortalSession>, AppError> {
    let mut conn = app.store().conn().await?;
    let session = portal::find_session(&mut conn, pass, app.clock().now()).await?;
    let Some(session) = session else {
        return Ok(None);
    };
    let good = is_good(&mut conn, &session.grant).await?;
    Ok(good.then_some(session))
}

/// Ends a session.
pub async fn leave(app: &App, pass: &Pass) -> Result<(), AppError> {
    let mut conn = app.store().conn().await?;
    Ok(portal::delete_session(&mut conn, pass).await?)
}

/// Whether the key that a grant came from still stands, and the organization that it is bound to.
async fn is_good(conn: &mut Conn, grant: &Grant) -> Result<bool, AppError> {
    if let Some(id) = grant.visitor.organization() {
        let found = organizations::find(conn, grant.environment, id).await?;
        if found.is_none() {
            return Ok(false);
        }
    }
    let Some(id) = grant.api_key else {
        return Ok(true);
    };
    let key = api_keys::find(conn, id).await?;
    Ok(key.is_some_and(|key| key.revoked_at.is_none()))
}

fn begin(app: &App, grant: Grant) -> (Pass, PortalSession) {
    let now = app.clock().now();
    let pass = Pass::new(grant.environment, app.store().vault().random_bytes());
    let session = PortalSession {
        id: PortalSessionId::new(now),
        grant,
        created_at: now,
        expires_at: after(now, SESSION_FOR),
    };
    (pass, session)
}

/// Writes a new session down and tells of it, in the caller's transaction.
async fn record(
    app: &App,
    conn: &mut Conn,
    lock: &EnvironmentLock,
    (pass, session): (&Pass, &PortalSession),
    actor: &Actor,
) -> Result<(), AppError> {
    let environment = session.grant.environment;
    portal::delete_before(conn, environment, session.created_at).await?;
    portal::insert_session(conn, session, pass).await?;
    let entry = told(
        OwnAction::PortalEntered,
        "portal_session",
        session.id,
        &session.grant,
    );
    trail::record(app, conn, lock, actor, [entry]).await
}

fn told(
    action: OwnAction,
    kind: &'static str,
    id: impl std::fmt::Display,
    grant: &Grant,
) -> OwnEntry {
    let mut entry = OwnEntry::new(action).on(kind, id).named(&grant.name);
    if let Some(organization) = grant.visitor.organization() {
        entry = entry.on("organization", organization);
    }
    entry.with("role", grant.visitor.role())
}

fn after(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait).map_or(now, |wait| now + wait)
}
