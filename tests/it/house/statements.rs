//! The statements: each on a tenant's table names the one environment that it is about.
//!
//! Reads the text of `src/store`, function by function, as rustfmt lays them out. What it cannot see is the plan that
//! Postgres makes; what it does see is the condition that keeps a lock, or a read, inside one tenant.

use super::source::{Source, rust_files};

const TENANT_TABLES: [&str; 14] = [
    "all_attempts",
    "all_deliveries",
    "attempts",
    "deliveries",
    "endpoints",
    "event_sequences",
    "events",
    "idempotency_keys",
    "organization_domains",
    "organizations",
    "outbox",
    "portal_links",
    "portal_sessions",
    "replays",
];

/// What takes row locks, in SQL and in diesel's words.
const ROW_LOCKS: [&str; 6] = [
    "FOR UPDATE",
    "FOR NO KEY UPDATE",
    "FOR SHARE",
    "FOR KEY SHARE",
    ".for_update()",
    ".for_share()",
];

/// A part of several statements that locks rows of one environment.
const LOCKING_PART: &str = "push_held(&mut out)";

/// An environment as a condition.
const CONDITIONS: [&str; 3] = [
    "environment_id = $",
    // The text ends here, and the value is bound next.
    "environment_id = \"",
    "environment_id.eq(",
];

/// Statements across environments; each only reads which of them have something to do.
const ACROSS: [(&str, &str); 5] = [
    ("src/store/claims.rs", "walk_ast of FindOwed"),
    ("src/store/outbox.rs", "environments_of"),
    ("src/store/replays.rs", "any_active"),
    ("src/store/replays.rs", "due"),
    ("src/store/retention.rs", "owed"),
];

/// A function and its text.
struct Function<'a> {
    name: String,
    text: &'a str,
}

impl Function<'_> {
    fn takes_row_locks(&self) -> bool {
        ROW_LOCKS.iter().any(|lock| self.text.contains(lock))
    }

    /// As a condition, or as the first column of what is inserted.
    fn names_an_environment(&self) -> bool {
        let inserts = |table: &&str| {
            let columns = format!("INTO {table} (environment_id, ");
            self.text.contains(&columns)
        };
        has_condition(self.text)
            || TENANT_TABLES.iter().any(inserts)
            || self.text.contains(LOCKING_PART)
    }

    /// Whether each lock is on rows of one environment, or on the installation's one row, which is the last that a
    /// transaction locks: between its SELECT and the lock stands the condition, or that table.
    fn locks_within_one_environment(&self) -> bool {
        let mut locks = ROW_LOCKS
            .iter()
            .flat_map(|lock| self.text.match_indices(lock));
        locks.all(|(at, _)| {
            let before = &self.text[..at];
            let statement = &before[before.rfind("SELECT").unwrap_or(0)..];
            has_condition(statement) || statement.contains("installation::table")
        })
    }

    /// Whether each UPDATE and DELETE is on rows of one environment, or on those that the statement has locked.
    fn writes_within_one_environment(&self) -> bool {
        let locks = self.takes_row_locks() || self.text.contains(LOCKING_PART);
        let on_locked = |statement: &str| statement.contains("ctid = ") && locks;
        TENANT_TABLES.iter().all(|table| {
            ["UPDATE", "DELETE FROM"].iter().all(|verb| {
                let statement = format!("{verb} {table} ");
                self.text.match_indices(&statement).all(|(at, _)| {
                    let after = &self.text[at..];
                    let statement = &after[..after.find("RETURNING").unwrap_or(after.len())];
                    has_condition(statement) || on_locked(statement)
                })
            })
        })
    }

    fn touches_a_tenant(&self) -> bool {
        TENANT_TABLES.iter().any(|table| {
            let verbs = ["FROM", "JOIN", "INTO", "UPDATE"];
            verbs
                .iter()
                .any(|verb| contains_word(self.text, &format!("{verb} {table}")))
                || self.text.contains(&format!("{table}::table"))
        })
    }
}

fn has_condition(text: &str) -> bool {
    CONDITIONS.iter().any(|condition| text.contains(condition))
}

fn contains_word(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let next = text[at + words.len()..].chars().next();
        !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
    })
}

/// The functions of a file that rustfmt has laid out: each ends at the first brace of its own indentation.
fn functions(file: &Source) -> Vec<Function<'_>> {
    let mut functions = Vec::new();
    let (mut at, mut block) = (0, "");
    for line in file.text.split_inclusive('\n') {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.starts_with("impl") {
            block = line.trim_end_matches(" {\n").rsplit(' ').next().unwrap();
        }
        if let Some(after) = line
            .split_once("fn ")
            .filter(|(before, _)| !before.contains('"'))
        {
            let name: String = after
                .1
                .chars()
                .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
                .collect();
            let end = format!("\n{indent}}}\n");
            let text = &file.text[at..];
            let length = text.find(&end).unwrap_or(text.len());
            let name = match indent.is_empty() {
                true => name,
                false => format!("{name} of {block}"),
            };
            functions.push(Function {
                name,
                text: &text[..length],
            });
        }
        at += line.len();
    }
    functions
}

/// The functions of the store that `is_wrong`, but for those that may reach across environments.
fn wrong(is_wrong: impl Fn(&Function<'_>) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in rust_files("src/store") {
        let functions = functions(&file);
        for function in functions.iter().filter(|function| is_wrong(function)) {
            let across = ACROSS.contains(&(file.path.as_str(), function.name.as_str()));
            if !across || function.takes_row_locks() {
                wrong.push(format!("{}: {}", file.path, function.name));
            }
        }
    }
    wrong
}

#[test]
fn statements_that_take_row_locks_name_one_environment() {
    let locking = wrong(|function| function.takes_row_locks());
    let wrong = wrong(|function| !function.locks_within_one_environment());

    assert!(
        locking.len() >= 3,
        "the locks that are there were not seen: {locking:?}"
    );
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn statements_on_tenant_tables_name_one_environment() {
    let wrong = wrong(|function| {
        function.touches_a_tenant()
            && !(function.names_an_environment() && function.writes_within_one_environment())
    });

    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_statement_across_environments_is_still_there() {
    let files = rust_files("src/store");

    for (path, name) in ACROSS {
        let file = files.iter().find(|file| file.path == path).unwrap();
        let found = functions(file)
            .into_iter()
            .find(|function| function.name == name);
        assert!(
            found.is_some_and(|found| !found.names_an_environment()),
            "{path}: {name}"
        );
    }
}

#[test]
fn a_statement_without_an_environment_is_found() {
    let file = Source {
        path: "src/store/outbox.rs".to_owned(),
        text: "pub async fn take(conn: &mut Conn) -> Q {\n    sql_query(\"SELECT FROM outbox FOR UPDATE\")\n}\n"
            .to_owned(),
    };

    let functions = functions(&file);

    let found = &functions[0];
    assert_eq!(found.name, "take");
    assert!(found.takes_row_locks() && found.touches_a_tenant());
    assert!(!found.names_an_environment() && !found.locks_within_one_environment());
}
