//! Erasure: rewrites entries that were redacted, and every other copy of what they said.
//!
//! Invariant: called under the environment's lock, all in one transaction: whoever reads afterwards finds the
//! redacted form everywhere, or nothing. This is the one place that changes an event. Deliveries are cancelled by
//! `outbox`, files of exports withdrawn by `audit_exports`. What is on its way to a receiver, in a backup or in a file that somebody fetched is out of reach.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bytea, Text, Uuid};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use super::schema::{audit_log_entries, events};
use crate::domain::audit::{AuditEntry, Opening, Salts};
use crate::domain::id::{AuditLogEventId, DeliveryId, EnvironmentId, EventId, OrganizationId};

/// An entry that still has its personal parts, with what makes its leaf.
#[derive(Queryable)]
pub struct WholeRow {
    pub id: AuditLogEventId,
    pub event: EventId,
    pub leaf_index: i64,
    object: String,
    salts: Option<Vec<u8>>,
}

impl WholeRow {
    /// Errors: why the row is not as it was recorded.
    pub fn read(&self) -> Result<AuditEntry, String> {
        let salts = self.salts.as_deref().and_then(Salts::from_bytes);
        let salts = salts.ok_or_else(|| "its salts are no salts".to_owned())?;
        AuditEntry::from_stored(&self.object, Opening::Salts(salts))
            .map_err(|fault| fault.to_string())
    }
}

/// The entries of these leaves that are not redacted.
pub async fn whole_entries(
    conn: &mut Conn,
    environment: EnvironmentId,
    organization: OrganizationId,
    leaves: &[i64],
) -> Result<Vec<WholeRow>, StoreError> {
    Ok(audit_log_entries::table
        .filter(audit_log_entries::environment_id.eq(environment))
        .filter(audit_log_entries::organization_id.eq(organization))
        .filter(audit_log_entries::leaf_index.eq_any(leaves))
        .filter(audit_log_entries::salts.is_not_null())
        .order(audit_log_entries::leaf_index)
        .select((
            audit_log_entries::id,
            audit_log_entries::event_id,
            audit_log_entries::leaf_index,
            audit_log_entries::object,
            audit_log_entries::salts,
        ))
        .load(conn)
        .await?)
}

/// What is left of an entry.
pub struct Redacted {
    pub id: AuditLogEventId,
    pub object: String,
    pub commitments: Vec<u8>,
}

/// Writes what is left of entries: nothing that can be searched, and no salt.
pub async fn rewrite_entries(
    conn: &mut Conn,
    environment: EnvironmentId,
    redacted: &[Redacted],
) -> Result<(), StoreError> {
    let ids: Vec<AuditLogEventId> = redacted.iter().map(|entry| entry.id).collect();
    let objects: Vec<&str> = redacted.iter().map(|entry| &*entry.object).collect();
    let commitments: Vec<&[u8]> = redacted.iter().map(|entry| &*entry.commitments).collect();
    diesel::sql_query(
        "UPDATE audit_log_entries SET object = redacted.object, commitments = redacted.commitments, salts = NULL, \
         actor_name = NULL, search = '' FROM unnest($2, $3, $4) AS redacted (id, object, commitments) \
         WHERE environment_id = $1 AND audit_log_entries.id = redacted.id",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Array<Uuid>, _>(ids)
    .bind::<Array<Text>, _>(objects)
    .bind::<Array<Bytea>, _>(commitments)
    .execute(conn)
    .await?;
    Ok(())
}

/// The positions of those of these events that retention has left.
pub async fn positions(
    conn: &mut Conn,
    environment: EnvironmentId,
    ids: &[EventId],
) -> Result<Vec<(EventId, i64)>, StoreError> {
    Ok(events::table
        .filter(events::environment_id.eq(environment))
        .filter(events::id.eq_any(ids))
        .select((events::id, events::position))
        .load(conn)
        .await?)
}

/// Gives events new bodies: those that told of what was redacted.
pub async fn rewrite_events(
    conn: &mut Conn,
    environment: EnvironmentId,
    bodies: &[(EventId, String)],
) -> Result<(), StoreError> {
    let ids: Vec<EventId> = bodies.iter().map(|&(id, _)| id).collect();
    let texts: Vec<&str> = bodies.iter().map(|(_, body)| &**body).collect();
    diesel::sql_query(
        "UPDATE events SET body = redacted.body FROM unnest($2, $3) AS redacted (id, body) \
         WHERE environment_id = $1 AND events.id = redacted.id",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Array<Uuid>, _>(ids)
    .bind::<Array<Text>, _>(texts)
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes what receivers answered when they were sent these events: an answer may repeat what it answers.
pub async fn forget_answers(
    conn: &mut Conn,
    environment: EnvironmentId,
    events: &[EventId],
) -> Result<(), StoreError> {
    let (first, last): (Vec<DeliveryId>, Vec<DeliveryId>) = events
        .iter()
        .map(|&event| DeliveryId::range_for_event(event))
        .unzip();
    let sent: Vec<DeliveryId> = diesel::sql_query(
        "SELECT sent.id FROM unnest($2, $3, $4) AS told (event_id, first, last) CROSS JOIN LATERAL \
         (SELECT id FROM all_deliveries WHERE environment_id = $1 AND id BETWEEN told.first AND told.last \
          AND all_deliveries.event_id = told.event_id) AS sent",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Array<Uuid>, _>(events)
    .bind::<Array<Uuid>, _>(first)
    .bind::<Array<Uuid>, _>(last)
    .load::<Sent>(conn)
    .await?
    .into_iter()
    .map(|sent| sent.id)
    .collect();
    forget_answers_to(conn, environment, &sent).await
}

#[derive(QueryableByName)]
struct Sent {
    #[diesel(sql_type = Uuid)]
    id: DeliveryId,
}

/// Deletes what receivers answered to these deliveries, at whichever attempt.
pub async fn forget_answers_to(
    conn: &mut Conn,
    environment: EnvironmentId,
    deliveries: &[DeliveryId],
) -> Result<(), StoreError> {
    diesel::sql_query(
        "WITH earlier AS (UPDATE attempts SET answer_headers = NULL, answer_body = NULL \
         WHERE environment_id = $1 AND delivery_id = ANY($2)) \
         UPDATE deliveries SET last_answer_headers = NULL, last_answer_body = NULL \
         WHERE environment_id = $1 AND id = ANY($2)",
    )
    .bind::<Uuid, _>(environment)
    .bind::<Array<Uuid>, _>(deliveries)
    .execute(conn)
    .await?;
    Ok(())
}
