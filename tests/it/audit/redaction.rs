//! A lawful redaction, done to the rows as the platform does it: parts and salts go, commitments and a grant stay.

use diesel::sql_types::{BigInt, Bytea, Text, Uuid};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use tidings::domain::audit::{
    AuditEntry, Context, Identity, LeafSet, NewAuditEntry, Opening, Personal, PersonalParts,
    REDACTED_ACTION, Salts, leaf_targets,
};
use tidings::domain::event::EventType;
use tidings::ingest::record_entries_within;
use tidings::store::{Conn, StoreError, events};

use super::trail::Trail;

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    object: String,
    #[diesel(sql_type = diesel::sql_types::Nullable<Bytea>)]
    salts: Option<Vec<u8>>,
}

/// Empties one entry as a redaction does, without saying so; answers whether it had parts.
pub(super) async fn empty(conn: &mut Conn, trail: &Trail, leaf: i64) -> bool {
    let row: Row = diesel::sql_query(
        "SELECT object, salts FROM audit_log_entries WHERE organization_id = $1 AND leaf_index = $2",
    )
    .bind::<Uuid, _>(trail.organization())
    .bind::<BigInt, _>(leaf)
    .get_result(conn)
    .await
    .unwrap();
    let Some(salts) = row.salts else { return false };
    let opening = Opening::Salts(Salts::from_bytes(&salts).unwrap());
    let entry = AuditEntry::from_stored(&row.object, opening)
        .unwrap()
        .redact();
    diesel::sql_query(
        "UPDATE audit_log_entries SET object = $3, salts = NULL, commitments = $4, actor_name = NULL, \
         search = '' WHERE organization_id = $1 AND leaf_index = $2",
    )
    .bind::<Uuid, _>(trail.organization())
    .bind::<BigInt, _>(leaf)
    .bind::<Text, _>(entry.render_object())
    .bind::<Bytea, _>(entry.commitments().to_bytes())
    .execute(conn)
    .await
    .unwrap();
    true
}

/// Redacts entries and records that.
pub(super) async fn redact(trail: &Trail, leaves: &[i64]) {
    let store = trail.platform.store();
    let mut loan = store.conn().await.unwrap();
    let conn: &mut Conn = &mut loan;
    let now = trail.platform.clock.for_database();
    let turn = conn.turn(trail.platform.environment).await;
    let done = conn.transaction::<_, StoreError, _>(async |conn| {
        let lock = events::lock(conn, &turn).await?;
        let mut set = LeafSet::default();
        for &leaf in leaves {
            empty(conn, trail, leaf).await;
            set.insert(leaf.unsigned_abs());
        }
        for targets in leaf_targets(&set, 0) {
            let grant = entry(trail, REDACTED_ACTION, targets);
            record_entries_within(conn, &lock, now, vec![grant]).await?;
        }
        Ok(())
    });
    done.await.unwrap();
}

/// Records an entry of the platform's own.
pub(super) async fn record_own(trail: &Trail) {
    let mut loan = trail.platform.store().conn().await.unwrap();
    let conn: &mut Conn = &mut loan;
    let done = conn.transaction(async |conn| record_own_within(conn, trail).await);
    done.await.unwrap();
}

pub(super) async fn record_own_within(conn: &mut Conn, trail: &Trail) -> Result<(), StoreError> {
    let now = trail.platform.clock.for_database();
    let turn = conn.turn(trail.platform.environment).await;
    let lock = events::lock(conn, &turn).await?;
    let target = Identity {
        id: "api_key_1".into(),
        kind: "api_key".into(),
    };
    let entry = entry(trail, "api_key.created", vec![target]);
    record_entries_within(conn, &lock, now, vec![entry]).await?;
    Ok(())
}

fn entry(trail: &Trail, action: &str, targets: Vec<Identity>) -> NewAuditEntry {
    NewAuditEntry {
        organization: trail.name.parse().ok(),
        action: EventType::parse("action", action).unwrap(),
        version: None,
        occurred_at: tidings::domain::time::to_millis_precision(trail.platform.clock.now()),
        actor: Identity {
            id: "a key".into(),
            kind: "api_key".into(),
        },
        parts: PersonalParts {
            actor: Personal::default(),
            targets: targets.iter().map(|_| Personal::default()).collect(),
            context: Context {
                location: "127.0.0.1".into(),
                user_agent: None,
            },
            metadata: None,
        },
        targets,
    }
}
