//! The catalogue: every tenant's table is reached through its environment.
//!
//! Invariant of the house: `environment_id` comes first in the primary key, in every unique key and in every foreign
//! key; no column draws numbers, and nothing happens by trigger. So a tenant's rows stand together, no constraint
//! reaches across tenants, and the same tables can be spread over several servers by that column.

use tokio_postgres::Client;

use crate::harness::Database;

/// Lookup tables, which have no environment in front, and the list of migrations.
const EXCEPTIONS: [&str; 5] = [
    "__diesel_schema_migrations",
    "api_keys",
    "environments",
    "installation",
    "workers",
];

/// Tables, partitions included, whose primary key does not begin with the environment, or that have none.
const PRIMARY_KEYS: &str = "
    SELECT c.relname::text FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT EXISTS (
        SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisprimary AND a.attname = 'environment_id')";
/// The same for every unique index that there is.
const UNIQUE_KEYS: &str = "
    SELECT DISTINCT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique AND a.attname IS DISTINCT FROM 'environment_id'";
/// Foreign keys that do not begin with the environment on both sides; `environments` is named by its id.
const FOREIGN_KEYS: &str = "
    SELECT DISTINCT c.relname::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_attribute ours ON ours.attrelid = k.conrelid AND ours.attnum = k.conkey[1]
    JOIN pg_attribute theirs ON theirs.attrelid = k.confrelid AND theirs.attnum = k.confkey[1]
    WHERE c.relnamespace = 'public'::regnamespace AND k.contype = 'f' AND NOT (
        ours.attname = 'environment_id'
        AND (theirs.attname = 'environment_id' OR k.confrelid = 'environments'::regclass))";
/// Columns that number themselves, by identity or by a sequence.
const NUMBERED: &str = "
    SELECT DISTINCT c.relname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace
          AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%')";
/// Triggers and rules, without those that Postgres makes for foreign keys and views.
const TRIGGERS: &str = "
    SELECT c.relname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
    UNION SELECT tablename::text FROM pg_rules WHERE schemaname = 'public'";
/// Indexes, unique or not, whose first column is another. An inverted index has no first column: its entries are
/// words, and every query that uses one names the environment beside it.
const INDEXES: &str = "
    SELECT DISTINCT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE c.relnamespace = 'public'::regnamespace AND m.amname <> 'gin'
          AND a.attname IS DISTINCT FROM 'environment_id'";

/// The tables that a query finds, without the exceptions.
async fn found(client: &Client, query: &str) -> Vec<String> {
    let rows = client.query(query, &[]).await.unwrap();
    rows.iter()
        .map(|row| row.get(0))
        .filter(|table: &String| !EXCEPTIONS.contains(&table.as_str()))
        .collect()
}

/// Everything that is wrong with the tables.
async fn faults(client: &Client) -> Vec<String> {
    let mut faults = Vec::new();
    for (rule, query) in [
        ("its primary key begins with environment_id", PRIMARY_KEYS),
        ("its unique keys begin with environment_id", UNIQUE_KEYS),
        ("its foreign keys begin with environment_id", FOREIGN_KEYS),
        ("its indexes begin with environment_id", INDEXES),
        ("it has no column that numbers itself", NUMBERED),
        ("it has no trigger and no rule", TRIGGERS),
    ] {
        let tables = found(client, query).await;
        faults.extend(
            tables
                .iter()
                .map(|table| format!("{table}: not so: {rule}")),
        );
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tenant_table_is_reached_through_its_environment() {
    let database = Database::make().await;

    let faults = faults(&database.connect().await).await;

    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_breaks_every_rule_is_found_by_every_rule() {
    let database = Database::make().await;
    let client = database.connect().await;
    let wrong = "
        CREATE TABLE wrong (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            environment_id uuid NOT NULL,
            organization_id uuid NOT NULL,
            key_id uuid REFERENCES api_keys,
            name text UNIQUE);
        CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER wrong BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION nothing();
        CREATE TABLE keyless (environment_id uuid, number serial)";
    client.batch_execute(wrong).await.unwrap();

    let faults = faults(&client).await;

    let of = |table: &str| {
        faults
            .iter()
            .filter(|fault| fault.starts_with(table))
            .count()
    };
    assert_eq!((of("wrong:"), of("keyless:")), (6, 2), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exceptions_are_tables() {
    let database = Database::make().await;
    let client = database.connect().await;

    let query = "SELECT count(*) FROM pg_class WHERE relname = ANY ($1) AND relkind = 'r'";
    let count: i64 = client
        .query_one(query, &[&EXCEPTIONS.as_slice()])
        .await
        .unwrap()
        .get(0);

    assert_eq!(usize::try_from(count), Ok(EXCEPTIONS.len()));
}
