//! The edits: what somebody with the database's password can do to a trail.
//!
//! Invariant: an edit strikes what the export shows and changes something; which row, column and value are random.

mod rows;
mod tree;

use diesel_async::SimpleAsyncConnection as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tidings::store::{Conn, StoreError};

use crate::audit::trail::Trail;

macro_rules! edits {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Edit {
            $($(#[$doc])* $name,)+
            /// A column that nothing is committed to.
            Uncommitted(&'static str),
        }

        const EDITS: &[Edit] = &[$(Edit::$name,)+];

        impl Edit {
            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                    Self::Uncommitted(column) => column,
                }
            }
        }
    };
}

edits! {
    /// One character of an object becomes another.
    ObjectCharacter,
    /// A name, an id or a number in an object becomes another of the same form.
    ObjectValue,
    /// A member is taken out of an object.
    ObjectMember,
    /// Another entry's object.
    ObjectOfAnother,
    SaltBit,
    SaltsOfAnother,
    SaltsCut,
    CommitmentBit,
    /// Everything that was said, said again otherwise, with new salts.
    Rewrite,
    /// The parts go as in a redaction; nobody says so.
    Redact,
    /// A redacted entry gets parts that were never there.
    Unredact,
    Delete,
    DeleteSeveral,
    /// The last rows go, and the tree stays.
    DeleteTail,
    /// The entry that says what is redacted goes, or the one that says what has expired.
    DeleteGrant,
    /// The entry that says so names other leaves.
    ChangeGrant,
    Swap,
    /// To a leaf that is free: beyond the tree, or of an expired entry.
    Move,
    /// A copy at such a leaf.
    Duplicate,
    OtherOrganization,
    OtherEnvironment,
    NodeBit,
    NodeDeleted,
    NodesSwapped,
    /// The stored checkpoint.
    CheckpointNote,
    /// The tree's edge; then the platform records one more entry and signs.
    EdgeBit,
    EdgeSize,
    /// Rows, nodes, edge and checkpoints go back to what they once were.
    Truncate,
    /// One entry rewritten, all hashes made anew, and the platform signs.
    Remake,
    /// One entry left out, all hashes made anew, and the platform signs.
    RemakeWithout,
    /// The same as `Remake`, signed by a key of the editor's own.
    RemakeAndResign,
    /// The whole tree is right and signed by another key.
    Resign,
}

impl Edit {
    /// What only search and retention read. The wire shows none of it: the object does, and is committed to.
    pub(super) const UNCOMMITTED: [Self; 9] = [
        Self::Uncommitted("UPDATE audit_log_entries SET search = 'x'"),
        Self::Uncommitted("UPDATE audit_log_entries SET actor_name = 'x'"),
        Self::Uncommitted("UPDATE audit_log_entries SET actor_id = 'x'"),
        Self::Uncommitted("UPDATE audit_log_entries SET targets = '{}'"),
        Self::Uncommitted("UPDATE audit_log_entries SET occurred_at = now()"),
        Self::Uncommitted("UPDATE audit_log_entries SET action = 'x'"),
        Self::Uncommitted("UPDATE audit_log_entries SET event_id = id"),
        Self::Uncommitted("UPDATE audit_log_entries SET id = gen_random_uuid()"),
        Self::Uncommitted("UPDATE audit_log_trees SET retention_days = 365"),
    ];

    pub(super) fn any(random: &mut StdRng) -> Self {
        *EDITS.choose(random).unwrap()
    }

    pub(super) async fn apply(
        self,
        conn: &mut Conn,
        trail: &Trail,
        random: &mut StdRng,
    ) -> Result<(), StoreError> {
        if let Self::Uncommitted(statement) = self {
            return run(conn, statement).await;
        }
        if rows::apply(self, conn, trail, random).await? {
            return Ok(());
        }
        tree::apply(self, conn, trail, random).await
    }
}

async fn run(conn: &mut Conn, statement: &str) -> Result<(), StoreError> {
    Ok(conn.batch_execute(statement).await?)
}

/// A text as SQL has it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("'\\x{digits}'")
}

/// One bit of `bytes` turned over.
fn bit(bytes: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = random.random_range(0..bytes.len());
    bytes[at] ^= 1 << random.random_range(0..8);
    bytes
}
