//! The portal's rows: links that open once, and sessions.
//!
//! Invariant: a row is found by the hash of its secret, in the environment that the pass names, and only while it
//! lasts. A link is taken and deleted in one statement, so it opens once however many come with it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::{portal_links, portal_sessions};
use crate::domain::id::{ApiKeyId, EnvironmentId, OrganizationId, PortalLinkId, PortalSessionId};
use crate::domain::portal::{Grant, Pass, PortalLink, PortalSession, Visitor};

#[derive(Queryable, Selectable)]
#[diesel(table_name = portal_links)]
struct LinkRow {
    environment_id: EnvironmentId,
    id: PortalLinkId,
    role: String,
    organization_id: Option<OrganizationId>,
    name: String,
    api_key_id: Option<ApiKeyId>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl TryFrom<LinkRow> for PortalLink {
    type Error = StoreError;

    fn try_from(row: LinkRow) -> Result<Self, StoreError> {
        let visitor = Visitor::parse(&row.role, row.organization_id)
            .ok_or_else(|| StoreError::corrupt(format!("role of {}", row.id)))?;
        Ok(Self {
            id: row.id,
            grant: Grant {
                environment: row.environment_id,
                visitor,
                name: row.name,
                api_key: row.api_key_id,
            },
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = portal_sessions)]
struct SessionRow {
    environment_id: EnvironmentId,
    id: PortalSessionId,
    role: String,
    organization_id: Option<OrganizationId>,
    name: String,
    api_key_id: Option<ApiKeyId>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl TryFrom<SessionRow> for PortalSession {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let visitor = Visitor::parse(&row.role, row.organization_id)
            .ok_or_else(|| StoreError::corrupt(format!("role of {}", row.id)))?;
        Ok(Self {
            id: row.id,
            grant: Grant {
                environment: row.environment_id,
                visitor,
                name: row.name,
                api_key: row.api_key_id,
            },
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

/// Inserts a link that this pass opens.
pub async fn insert_link(
    conn: &mut Conn,
    link: &PortalLink,
    pass: &Pass,
) -> Result<(), StoreError> {
    let grant = &link.grant;
    diesel::insert_into(portal_links::table)
        .values((
            portal_links::environment_id.eq(grant.environment),
            portal_links::id.eq(link.id),
            portal_links::secret_sha256.eq(&pass.sha256()[..]),
            portal_links::role.eq(grant.visitor.role()),
            portal_links::organization_id.eq(grant.visitor.organization()),
            portal_links::name.eq(&grant.name),
            portal_links::api_key_id.eq(grant.api_key),
            portal_links::created_at.eq(link.created_at),
            portal_links::expires_at.eq(link.expires_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives a link another pass, if it is still there; the pass before opens nothing any more.
pub async fn renew_link(
    conn: &mut Conn,
    environment: EnvironmentId,
    id: PortalLinkId,
    pass: &Pass,
) -> Result<Option<PortalLink>, StoreError> {
    let row: Option<LinkRow> = diesel::update(portal_links::table)
        .filter(portal_links::environment_id.eq(environment))
        .filter(portal_links::id.eq(id))
        .set(portal_links::secret_sha256.eq(&pass.sha256()[..]))
        .returning(LinkRow::as_returning())
        .get_result(conn)
        .await
        .optional()?;
    row.map(PortalLink::try_from).transpose()
}

/// Whether there is a link that this pass opens.
pub async fn has_link(
    conn: &mut Conn,
    pass: &Pass,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let sha256 = pass.sha256();
    let there = portal_links::table
        .filter(portal_links::environment_id.eq(pass.environment()))
        .filter(portal_links::secret_sha256.eq(&sha256[..]))
        .filter(portal_links::expires_at.gt(now));
    Ok(diesel::select(diesel::dsl::exists(there))
        .get_result(conn)
        .await?)
}

/// Takes the link that this pass opens: it is gone afterwards.
pub async fn take_link(
    conn: &mut Conn,
    pass: &Pass,
    now: DateTime<Utc>,
) -> Result<Option<PortalLink>, StoreError> {
    let row: Option<LinkRow> = diesel::delete(portal_links::table)
        .filter(portal_links::environment_id.eq(pass.environment()))
        .filter(portal_links::secret_sha256.eq(&pass.sha256()[..]))
        .filter(portal_links::expires_at.gt(now))
        .returning(LinkRow::as_returning())
        .get_result(conn)
        .await
        .optional()?;
    row.map(PortalLink::try_from).transpose()
}

/// Inserts a session that this pass opens.
pub async fn insert_session(
    conn: &mut Conn,
    session: &PortalSession,
    pass: &Pass,
) -> Result<(), StoreError> {
    let grant = &session.grant;
    diesel::insert_into(portal_sessions::table)
        .values((
            portal_sessions::environment_id.eq(grant.environment),
            portal_sessions::id.eq(session.id),
            portal_sessions::secret_sha256.eq(&pass.sha256()[..]),
            portal_sessions::role.eq(grant.visitor.role()),
            portal_sessions::organization_id.eq(grant.visitor.organization()),
            portal_sessions::name.eq(&grant.name),
            portal_sessions::api_key_id.eq(grant.api_key),
            portal_sessions::created_at.eq(session.created_at),
            portal_sessions::expires_at.eq(session.expires_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Finds the session that this pass opens.
pub async fn find_session(
    conn: &mut Conn,
    pass: &Pass,
    now: DateTime<Utc>,
) -> Result<Option<PortalSession>, StoreError> {
    let row: Option<SessionRow> = portal_sessions::table
        .filter(portal_sessions::environment_id.eq(pass.environment()))
        .filter(portal_sessions::secret_sha256.eq(&pass.sha256()[..]))
        .filter(portal_sessions::expires_at.gt(now))
        .select(SessionRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(PortalSession::try_from).transpose()
}

/// Ends the session that this pass opens.
pub async fn delete_session(conn: &mut Conn, pass: &Pass) -> Result<(), StoreError> {
    diesel::delete(portal_sessions::table)
        .filter(portal_sessions::environment_id.eq(pass.environment()))
        .filter(portal_sessions::secret_sha256.eq(&pass.sha256()[..]))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes what has run out in the environment.
pub async fn delete_before(
    conn: &mut Conn,
    environment: EnvironmentId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    diesel::delete(portal_links::table)
        .filter(portal_links::environment_id.eq(environment))
        .filter(portal_links::expires_at.le(now))
        .execute(conn)
        .await?;
    diesel::delete(portal_sessions::table)
        .filter(portal_sessions::environment_id.eq(environment))
        .filter(portal_sessions::expires_at.le(now))
        .execute(conn)
        .await?;
    Ok(())
}
