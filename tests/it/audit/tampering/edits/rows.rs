//! Edits of entries' rows.

use diesel::sql_types::{BigInt, Bytea, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tidings::store::{Conn, StoreError};

use super::{Edit, bit, hex, quoted, run};
use crate::audit::redaction::empty;
use crate::audit::trail::Trail;

#[derive(Debug, Clone, diesel::QueryableByName)]
pub(super) struct Row {
    #[diesel(sql_type = BigInt)]
    pub(super) leaf_index: i64,
    #[diesel(sql_type = Text)]
    pub(super) object: String,
    #[diesel(sql_type = Nullable<Bytea>)]
    pub(super) salts: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Bytea>)]
    pub(super) commitments: Option<Vec<u8>>,
}

pub(super) async fn all(conn: &mut Conn, trail: &Trail) -> Result<Vec<Row>, StoreError> {
    let rows = diesel::sql_query(
        "SELECT leaf_index, object, salts, commitments FROM audit_log_entries \
         WHERE organization_id = $1 ORDER BY leaf_index",
    );
    let rows = rows.bind::<Uuid, _>(trail.organization());
    Ok(rows.load(conn).await?)
}

/// Answers whether it was an edit of rows.
pub(super) async fn apply(
    edit: Edit,
    conn: &mut Conn,
    trail: &Trail,
    random: &mut StdRng,
) -> Result<bool, StoreError> {
    let rows = all(conn, trail).await?;
    let kept: Vec<&Row> = rows.iter().filter(|row| row.salts.is_some()).collect();
    let [one, other] = two(&kept, random);
    if edit == Edit::Redact {
        assert!(empty(conn, trail, one.leaf_index).await);
        return Ok(true);
    }
    let any = rows.choose(random).unwrap();
    let statement = content(edit, &rows, [one, other], random);
    let statement = statement.or_else(|| place(edit, &rows, any, [one, other], random));
    let Some(statement) = statement else {
        return Ok(false);
    };
    run(conn, &statement).await?;
    Ok(true)
}

/// Edits of what an entry says.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each part of the edits has the rest for the others"
)]
fn content(
    edit: Edit,
    rows: &[Row],
    [one, other]: [&Row; 2],
    random: &mut StdRng,
) -> Option<String> {
    let redacted: Vec<&Row> = rows.iter().filter(|row| row.salts.is_none()).collect();
    let gone = *redacted.choose(random).unwrap();
    let any = rows.choose(random).unwrap();
    let salts = |row: &Row| row.salts.clone().unwrap();
    Some(match edit {
        Edit::ObjectCharacter => set_object(any, &character(&any.object, random)),
        Edit::ObjectValue => set_object(any, &value(&any.object, random)),
        Edit::ObjectMember => set_object(one, &without_member(&one.object, random)),
        Edit::ObjectOfAnother => set_object(one, &other.object),
        Edit::SaltBit => set(one, "salts", &hex(&bit(&salts(one), random))),
        Edit::SaltsOfAnother => set(one, "salts", &hex(&salts(other))),
        Edit::SaltsCut => {
            let salts = salts(one);
            let rest = &salts[..random.random_range(0..salts.len())];
            set(one, "salts", &hex(rest))
        }
        Edit::CommitmentBit => {
            let hashes = gone.commitments.clone().unwrap();
            set(gone, "commitments", &hex(&bit(&hashes, random)))
        }
        Edit::Rewrite => rewritten(one, random),
        Edit::Unredact => unredacted(gone, random),
        Edit::ChangeGrant => {
            let grant = *grants(rows).choose(random).unwrap();
            set_object(grant, &other_leaves(&grant.object, random))
        }
        _ => return None,
    })
}

/// Edits of where an entry is, and whether it is there.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each part of the edits has the rest for the others"
)]
fn place(
    edit: Edit,
    rows: &[Row],
    any: &Row,
    [one, other]: [&Row; 2],
    random: &mut StdRng,
) -> Option<String> {
    Some(match edit {
        Edit::Delete => delete(any.leaf_index, any.leaf_index),
        Edit::DeleteSeveral => {
            let last = any.leaf_index + random.random_range(1..6);
            delete(any.leaf_index, last)
        }
        Edit::DeleteTail => delete(any.leaf_index, i64::MAX),
        Edit::DeleteGrant => {
            let grant = *grants(rows).choose(random).unwrap();
            delete(grant.leaf_index, grant.leaf_index)
        }
        Edit::Swap => {
            let (a, b) = (one.leaf_index, other.leaf_index);
            let steps = [(a, -1), (b, a), (-1, b)];
            steps.map(|(from, to)| to_leaf(from, to)).concat()
        }
        Edit::Move => to_leaf(any.leaf_index, free(random)),
        Edit::Duplicate => duplicate(any, free_inside(random)),
        Edit::OtherOrganization => set(any, "organization_id", "gen_random_uuid()"),
        Edit::OtherEnvironment => set(any, "environment_id", "gen_random_uuid()"),
        _ => return None,
    })
}

/// Two different ones.
fn two<'r>(rows: &[&'r Row], random: &mut StdRng) -> [&'r Row; 2] {
    let mut chosen = rows.choose_multiple(random, 2);
    [chosen.next().unwrap(), chosen.next().unwrap()]
}

fn grants(rows: &[Row]) -> Vec<&Row> {
    let rows = rows.iter();
    let named = rows.filter(|row| row.object.contains("\"audit_log_leaves\""));
    named.collect()
}

/// A leaf that no row has: of an expired entry, or beyond the tree.
fn free(random: &mut StdRng) -> i64 {
    match random.random() {
        true => free_inside(random),
        false => random.random_range(57..1_000),
    }
}

fn free_inside(random: &mut StdRng) -> i64 {
    random.random_range(0..20)
}

fn update(row: &Row, columns: &str) -> String {
    let leaf = row.leaf_index;
    format!("UPDATE audit_log_entries SET {columns} WHERE leaf_index = {leaf};")
}

fn set(row: &Row, column: &str, value: &str) -> String {
    update(row, &format!("{column} = {value}"))
}

fn set_object(row: &Row, object: &str) -> String {
    assert_ne!(row.object, object, "an edit edits");
    set(row, "object", &quoted(object))
}

fn to_leaf(from: i64, to: i64) -> String {
    format!("UPDATE audit_log_entries SET leaf_index = {to} WHERE leaf_index = {from};")
}

fn delete(first: i64, last: i64) -> String {
    format!("DELETE FROM audit_log_entries WHERE leaf_index BETWEEN {first} AND {last};")
}

fn duplicate(row: &Row, leaf: i64) -> String {
    format!(
        "INSERT INTO audit_log_entries SELECT environment_id, gen_random_uuid(), organization_id, {leaf}, \
         event_id, action, occurred_at, actor_id, actor_name, targets, object, salts, commitments, search \
         FROM audit_log_entries WHERE leaf_index = {};",
        row.leaf_index
    )
}

fn character(object: &str, random: &mut StdRng) -> String {
    let mut chars: Vec<char> = object.chars().collect();
    let at = random.random_range(0..chars.len());
    let old = chars[at];
    while chars[at] == old {
        chars[at] = char::from(random.random_range(0x20..0x7f_u8));
    }
    chars.into_iter().collect()
}

/// One digit becomes another, so that the object stays well-formed, mostly.
fn value(object: &str, random: &mut StdRng) -> String {
    let mut chars: Vec<char> = object.chars().collect();
    let is_digit = |at: &usize| chars[*at].is_ascii_digit();
    let digits: Vec<usize> = (0..chars.len()).filter(is_digit).collect();
    let at = *digits.choose(random).unwrap();
    let digit = chars[at].to_digit(10).unwrap();
    let other = (digit + random.random_range(1..10)) % 10;
    chars[at] = char::from_digit(other, 10).unwrap();
    chars.into_iter().collect()
}

/// Takes out the first of these members that is there, a random one first.
fn without_member(object: &str, random: &mut StdRng) -> String {
    let names = [
        "\"name\":\"",
        "\"user_agent\":\"",
        "\"occurred_at\":\"",
        "\"action\":\"",
    ];
    let first = random.random_range(0..names.len());
    let names = names.iter().cycle().skip(first).take(names.len());
    let mut found = names.filter_map(|name| object.find(name).map(|at| (at, name.len())));
    let (at, len) = found.next().unwrap();
    let mut end = at + len;
    while !object[end..].starts_with("\",") && !object[end..].starts_with("\"}") {
        end += object[end..].chars().next().unwrap().len_utf8();
    }
    let before = object[..at].strip_suffix(',').unwrap_or(&object[..at]);
    format!("{before}{}", &object[end + 1..])
}

fn rewritten(row: &Row, random: &mut StdRng) -> String {
    let object = quoted(&value(&row.object, random));
    let salts = random_bytes(row.salts.as_ref().unwrap().len(), random);
    update(row, &format!("object = {object}, salts = {}", hex(&salts)))
}

fn unredacted(row: &Row, random: &mut StdRng) -> String {
    let parts = row.commitments.as_ref().unwrap().len() / 32;
    let leaf = row.leaf_index;
    let object = row.object.replace(
        &format!(",\"index\":{leaf},\"redacted\":true}}"),
        &format!(",\"context\":{{\"location\":\"here\"}},\"index\":{leaf}}}"),
    );
    let (object, salts) = (quoted(&object), hex(&random_bytes(parts * 16, random)));
    let columns = format!("object = {object}, salts = {salts}, commitments = NULL");
    update(row, &columns)
}

/// The first set of leaves that a grant names becomes another.
fn other_leaves(object: &str, random: &mut StdRng) -> String {
    let kind = object.find("\",\"type\":\"audit_log_leaves\"").unwrap();
    let id = object[..kind].rfind("\"id\":\"").unwrap();
    let other = format!("\"id\":\"0-{}", random.random_range(0..15));
    format!("{}{other}{}", &object[..id], &object[kind..])
}

fn random_bytes(len: usize, random: &mut StdRng) -> Vec<u8> {
    (0..len).map(|_| random.random()).collect()
}
