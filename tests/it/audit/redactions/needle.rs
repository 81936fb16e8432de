//! A word, and every place of a database in which it is.

use tokio_postgres::Client;

/// A word that is nowhere by chance.
pub(super) const NEEDLE: &str = "Zerbinetta";

/// Every column of every table, of partitions by their table's name, and what the planner knows of them.
const COLUMNS: &str = "
    SELECT c.oid::regclass::text, coalesce(parent.relname, c.relname)::text, a.attname::text
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class parent ON parent.oid = i.inhparent
    WHERE c.relkind IN ('r', 'm') AND c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'pg_stats', 'pg_stats', unnest(ARRAY['most_common_vals', 'histogram_bounds', 'most_common_elems'])";

/// The columns that hold `word`, as text or as bytes, in any case.
pub(super) async fn places_of(sql: &Client, word: &str) -> Vec<String> {
    let bytes = hex::encode(word);
    let lower = hex::encode(word.to_lowercase());
    let mut places = Vec::new();
    for row in sql.query(COLUMNS, &[]).await.unwrap() {
        let (table, name, column): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let holds = format!(
            "SELECT EXISTS (SELECT FROM {table} WHERE {column}::text ILIKE '%{word}%' \
             OR {column}::text LIKE '%{bytes}%' OR {column}::text LIKE '%{lower}%')"
        );
        if sql.query_one(&holds, &[]).await.unwrap().get(0) {
            places.push(format!("{name}.{column}"));
        }
    }
    places
}
