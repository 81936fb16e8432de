//! `src/store/schema.rs` and the migrations, held against a real database.

use std::fmt::Write as _;
use std::fs;

use tidings::store::vault::Vault;
use tidings::store::{DatabaseSettings, Store, migrate};
use tokio_postgres::Client;

use super::source::project;
use crate::harness::Database;

const FILE: &str = "src/store/schema.rs";
const HEAD: &str = "//! The tables as the migrated database has them; tests/it/house/schema.rs holds this text against it.\n";
/// A view has no primary key and no NOT NULL in the catalogue: view, key, columns that may be null.
const VIEWS: [(&str, &str, &[&str]); 2] = [
    (
        "all_attempts",
        "environment_id, delivery_id, lease_id",
        &["status", "detail", "answer_headers", "answer_body"],
    ),
    (
        "all_deliveries",
        "environment_id, id",
        &["reason", "replay_of", "due_at", "settled_at"],
    ),
];

/// Tables and views with their primary key; partitions are their table's.
const TABLES: &str = "
    SELECT c.relname::text, coalesce(
        (SELECT string_agg(a.attname, ', ' ORDER BY place)
         FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (number, place)
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
         WHERE i.indrelid = c.oid AND i.indisprimary), '')
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
          AND c.relname <> '__diesel_schema_migrations'
    ORDER BY c.relname COLLATE \"C\"";
const COLUMNS: &str = "
    SELECT attname::text, format_type(atttypid, NULL), attnotnull
    FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_what_the_migrations_make() {
    let database = Database::make().await;
    let client = database.connect().await;

    let expected = schema(&client).await;

    let text = fs::read_to_string(project().join(FILE)).unwrap();
    let rest = text.strip_prefix(&expected);
    assert!(rest.is_some(), "{FILE} must begin with:\n\n{expected}");
    for line in rest.unwrap().lines().filter(|line| !line.is_empty()) {
        let relates = line.starts_with("diesel::allow_tables_to_appear_in_same_query!(");
        assert!(relates, "{FILE} holds more than the database: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_can_be_taken_back_and_applied_again() {
    let database = Database::make().await;
    let client = database.connect().await;
    let before = schema(&client).await;
    let settings = DatabaseSettings {
        url: database.url().to_owned(),
        connections_max: 2,
        ca_file: None,
    };
    let vault = Vault::new("a key for tests");
    let store = Store::open(&settings, vault).await.unwrap();

    let conn = async || store.dedicated().await.unwrap();
    let reverted = migrate::revert_all(conn().await).await.unwrap();
    let between = schema(&client).await;
    let applied = migrate::run(conn().await).await.unwrap();

    assert_eq!(between, HEAD, "something was left");
    assert_eq!(schema(&client).await, before);
    assert_eq!(
        applied.iter().rev().collect::<Vec<_>>(),
        reverted.iter().collect::<Vec<_>>()
    );
    assert!(
        migrate::run(conn().await).await.unwrap().is_empty(),
        "applied twice"
    );
}

/// The text that `schema.rs` should begin with.
async fn schema(client: &Client) -> String {
    let mut text = HEAD.to_owned();
    for table in client.query(TABLES, &[]).await.unwrap() {
        let (name, key): (&str, &str) = (table.get(0), table.get(1));
        let view = VIEWS.iter().find(|(view, ..)| *view == name);
        let key = view.map_or(key, |(_, key, _)| key);
        write!(text, "\ndiesel::table! {{\n    {name} ({key}) {{\n").unwrap();
        for column in client.query(COLUMNS, &[&name]).await.unwrap() {
            let (column, sql, not_null): (&str, &str, bool) =
                (column.get(0), column.get(1), column.get(2));
            let may_be_null = match view {
                Some((_, _, nullable)) => nullable.contains(&column),
                None => !not_null,
            };
            let rust = match may_be_null {
                true => format!("Nullable<{}>", diesel_type(sql)),
                false => diesel_type(sql),
            };
            writeln!(text, "        {column} -> {rust},").unwrap();
        }
        text.push_str("    }\n}\n");
    }
    text
}

fn diesel_type(sql: &str) -> String {
    if let Some(item) = sql.strip_suffix("[]") {
        return format!("Array<{}>", diesel_type(item));
    }
    let name = match sql {
        "uuid" => "Uuid",
        "text" => "Text",
        "boolean" => "Bool",
        "smallint" => "Int2",
        "integer" => "Int4",
        "bigint" => "Int8",
        "bytea" => "Bytea",
        "timestamp with time zone" => "Timestamptz",
        other => panic!("the house has no word for a column of type {other}"),
    };
    name.to_owned()
}
