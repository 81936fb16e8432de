//! Entries of audit logs on their way into the table.
//!
//! Invariant: written in the transaction that writes their leaves; `audit_logs` reads them. Does not know what an
//! entry says.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bytea, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::conn::Conn;
use super::error::StoreError;
use crate::domain::id::{AuditLogEventId, EnvironmentId, EventId, OrganizationId};

/// An entry as it is written.
pub struct NewRow {
    pub id: AuditLogEventId,
    pub organization: OrganizationId,
    pub leaf_index: i64,
    pub event: EventId,
    pub action: String,
    pub occurred_at: DateTime<Utc>,
    pub actor_id: String,
    pub actor_name: Option<String>,
    pub targets: Vec<String>,
    pub object: String,
    pub salts: Vec<u8>,
    pub search: String,
}

/// Inserts entries of one environment; the caller holds the locks of its trees.
pub async fn insert(
    mut conn: &Conn,
    environment: EnvironmentId,
    rows: &[NewRow],
) -> Result<(), StoreError> {
    let column = |of: fn(&NewRow) -> &str| rows.iter().map(of).collect();
    let statement = Insert {
        environment,
        ids: rows.iter().map(|row| row.id).collect(),
        organizations: rows.iter().map(|row| row.organization).collect(),
        leaves: rows.iter().map(|row| row.leaf_index).collect(),
        events: rows.iter().map(|row| row.event).collect(),
        actions: column(|row| &row.action),
        occurred: rows.iter().map(|row| row.occurred_at).collect(),
        actors: column(|row| &row.actor_id),
        names: rows.iter().map(|row| row.actor_name.as_deref()).collect(),
        targets: rows.iter().map(|row| array_text(&row.targets)).collect(),
        objects: column(|row| &row.object),
        salts: rows.iter().map(|row| &row.salts[..]).collect(),
        words: column(|row| &row.search),
    };
    statement.execute(&mut conn).await?;
    Ok(())
}

/// Merges what waits in the indexes for searches; answers how many of their pages were merged.
///
/// Shape: of all environments. Where nothing waits, nothing is written. Searches find entries before that too.
pub async fn merge_searches(conn: &mut Conn) -> Result<i64, StoreError> {
    let merged = diesel::select(diesel::dsl::sql::<BigInt>(
        "gin_clean_pending_list('audit_log_entries_targets') + gin_clean_pending_list('audit_log_entries_search')",
    ));
    Ok(merged.get_result(conn).await?)
}

/// An array as the text of one value: arrays of arrays would have to be of one length.
fn array_text(elements: &[String]) -> String {
    let mut text = String::from("{");
    for (number, element) in elements.iter().enumerate() {
        text.push_str(if number == 0 { "\"" } else { ",\"" });
        for character in element.chars() {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push('"');
    }
    text.push('}');
    text
}

/// Arrays and not rows: one cached statement, however many rows.
struct Insert<'a> {
    environment: EnvironmentId,
    ids: Vec<AuditLogEventId>,
    organizations: Vec<OrganizationId>,
    leaves: Vec<i64>,
    events: Vec<EventId>,
    actions: Vec<&'a str>,
    occurred: Vec<DateTime<Utc>>,
    actors: Vec<&'a str>,
    names: Vec<Option<&'a str>>,
    targets: Vec<String>,
    objects: Vec<&'a str>,
    salts: Vec<&'a [u8]>,
    words: Vec<&'a str>,
}

impl QueryId for Insert<'_> {
    type QueryId = Insert<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Insert<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO audit_log_entries (environment_id, id, organization_id, leaf_index, event_id, action, \
             occurred_at, actor_id, actor_name, targets, object, salts, search) SELECT ",
        );
        out.push_bind_param::<Uuid, _>(&self.environment)?;
        out.push_sql(
            ", id, organization_id, leaf_index, event_id, action, occurred_at, actor_id, actor_name, \
             targets::text[], object, salts, search FROM unnest(",
        );
        out.push_bind_param::<Array<Uuid>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Uuid>, _>(&self.organizations)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.leaves)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Uuid>, _>(&self.events)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.actions)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.occurred)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.actors)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.names)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.targets)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.objects)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bytea>, _>(&self.salts)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.words)?;
        out.push_sql(
            ") AS new (id, organization_id, leaf_index, event_id, action, occurred_at, actor_id, actor_name, \
             targets, object, salts, search)",
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_quoted_as_the_database_reads_it() {
        let text = |elements: &[&str]| {
            let elements: Vec<String> = elements.iter().map(ToString::to_string).collect();
            array_text(&elements)
        };

        assert_eq!(text(&[]), "{}");
        assert_eq!(text(&["team", "team:a b"]), r#"{"team","team:a b"}"#);
        assert_eq!(text(&[r#"a"\,{}"#, "NULL"]), r#"{"a\"\\,{}","NULL"}"#);
    }
}
