//! Trails: audit log events on their way into their trees, inside a batch.
//!
//! Invariant: an entry's leaf, the tree's edge, the entry and the event that tells of it are written in one
//! transaction, under the environment's lock and then the trees', taken in the order of their organizations. A
//! tree's edge is read under its lock every time: another server may have moved it.
//!
//! Does not check entries against schemas; whoever submits them has.

use std::collections::{BTreeMap, BTreeSet};

use rand::TryRngCore;
use rand::rngs::OsRng;
use serde_json::value::RawValue;

use crate::domain::audit::{
    AuditEntry, Content, LeafPlace, Metadata, NewAuditEntry, PersonalParts, Salts,
};
use crate::domain::event::NewEvent;
use crate::domain::id::{AuditLogEventId, EnvironmentId, EventId, OrganizationId};
use crate::domain::merkle::{Frontier, Node};
use crate::store::audit_entries::{self, NewRow};
use crate::store::audit_logs::NO_ORGANIZATION;
use crate::store::audit_trees::{self, Grown};
use crate::store::{Conn, StoreError};

/// Bytes of an entry's words that can be searched; what comes after is not found.
const SEARCH_BYTES_MAX: usize = 256 * 1024;

/// Something to record.
#[derive(Debug, Clone)]
pub enum NewItem {
    Event(NewEvent),
    /// An audit log event, and with it the event that tells of it.
    Entry(Box<NewAuditEntry>),
}

impl NewItem {
    /// The organization that must exist for the item to be recorded: an entry's, not an event's.
    pub(super) fn organization(&self) -> Option<OrganizationId> {
        match self {
            Self::Event(_) => None,
            Self::Entry(entry) => entry.organization,
        }
    }

    /// What writing the item takes, in rows of plain events.
    pub(super) const fn rows(&self) -> usize {
        match self {
            Self::Event(_) => 1,
            Self::Entry(_) => 8,
        }
    }

    /// Bytes that the item takes up while it waits, roughly.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Event(event) => event.weight(),
            Self::Entry(entry) => entry_weight(entry),
        }
    }
}

/// The trees that a batch adds leaves to.
pub(super) struct Trails {
    environment: EnvironmentId,
    trees: BTreeMap<OrganizationId, Tree>,
    rows: Vec<NewRow>,
    dice: Dice,
}

#[derive(Default)]
struct Tree {
    frontier: Frontier,
    new: Vec<Node>,
}

impl Trails {
    /// Takes the locks of trees; the caller holds the environment's.
    pub(super) async fn lock(
        conn: &Conn,
        environment: EnvironmentId,
        wanted: &[OrganizationId],
    ) -> Result<Self, StoreError> {
        let locked = audit_trees::lock(conn, environment, wanted).await?;
        // Those that do not exist yet begin with their first entry.
        let mut trees: BTreeMap<_, _> = wanted.iter().map(|&id| (id, Tree::default())).collect();
        for (organization, frontier) in locked {
            let new = Vec::new();
            trees.insert(organization, Tree { frontier, new });
        }
        Ok(Self {
            environment,
            trees,
            rows: Vec::new(),
            dice: Dice::default(),
        })
    }

    /// Puts an entry at the end of its tree; answers the event that tells of it.
    ///
    /// Shape: `event` is that event's id. The entry's id has the same bytes, so entries sort as they were recorded.
    pub(super) fn append(
        &mut self,
        new: &NewAuditEntry,
        event: EventId,
    ) -> Result<NewEvent, StoreError> {
        let organization = new.organization.unwrap_or(NO_ORGANIZATION);
        let tree = self.trees.get_mut(&organization);
        let tree = tree.ok_or_else(|| StoreError::corrupt("a tree that was not locked"))?;
        let place = LeafPlace {
            id: entry_id(event),
            index: tree.frontier.size(),
            recorded_at: event.time(),
        };
        let entry = AuditEntry::place(new.clone(), place, || self.dice.salt());
        tree.new.extend(tree.frontier.append(entry.leaf_hash()));
        let object = entry.render_object();
        let told = NewEvent::entry_recorded(new.organization, object.clone());
        self.rows.push(row(&entry, organization, event, object)?);
        Ok(told)
    }

    /// Writes entries, leaves and edges.
    pub(super) async fn save(&self, conn: &Conn) -> Result<(), StoreError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let grown = self.trees.iter().filter(|(_, tree)| !tree.new.is_empty());
        let grown: Vec<Grown> = grown
            .map(|(&organization, tree)| Grown {
                organization,
                edge: &tree.frontier,
                nodes: &tree.new,
            })
            .collect();
        futures_util::try_join!(
            audit_entries::insert(conn, self.environment, &self.rows),
            audit_trees::save(conn, self.environment, &grown),
        )?;
        Ok(())
    }
}

/// The trees that items add to, in the order in which they are locked.
pub(super) fn trees_of<'a>(items: impl Iterator<Item = &'a NewItem>) -> Vec<OrganizationId> {
    let entries = items.filter_map(|item| match item {
        NewItem::Event(_) => None,
        NewItem::Entry(entry) => Some(entry.organization.unwrap_or(NO_ORGANIZATION)),
    });
    let trees: BTreeSet<_> = entries.collect();
    trees.into_iter().collect()
}

/// The id of the entry that an event tells of.
pub const fn entry_id(event: EventId) -> AuditLogEventId {
    AuditLogEventId::from_bytes(event.to_bytes())
}

/// Draws salts, many with one call to the system.
///
/// Shape: from the system and not from a generator's state: salts make commitments unguessable for ever.
#[derive(Default)]
struct Dice {
    drawn: Vec<[u8; Salts::BYTES]>,
}

impl Dice {
    /// Salts of one draw: those of some fifty entries.
    const DRAW: usize = 256;

    fn salt(&mut self) -> [u8; Salts::BYTES] {
        if self.drawn.is_empty() {
            self.drawn.resize(Self::DRAW, [0; Salts::BYTES]);
            OsRng
                .try_fill_bytes(self.drawn.as_flattened_mut())
                .expect("the operating system has random bytes");
        }
        self.drawn.pop().expect("salts were drawn")
    }
}

fn row(
    entry: &AuditEntry,
    organization: OrganizationId,
    event: EventId,
    object: String,
) -> Result<NewRow, StoreError> {
    let Content::Kept { parts, salts } = entry.content() else {
        return Err(StoreError::corrupt("a new entry without its parts"));
    };
    let leaf_index =
        i64::try_from(entry.index()).map_err(|error| StoreError::corrupt(error.to_string()))?;
    let targets = entry.targets().iter().flat_map(|target| {
        let kind = storable(&target.kind);
        let named = format!("{kind}:{}", storable(&target.id));
        [kind, named]
    });
    Ok(NewRow {
        id: entry.id(),
        organization,
        leaf_index,
        event,
        action: entry.action().to_string(),
        occurred_at: entry.occurred_at(),
        actor_id: storable(&entry.actor().id),
        actor_name: parts.actor.name.as_deref().map(storable),
        targets: targets.collect(),
        object,
        salts: salts.to_bytes(),
        search: words(parts),
    })
}

/// A text as a column can hold it: U+0000 is JSON but no text of the database's.
fn storable(text: &str) -> String {
    text.replace('\0', "")
}

/// The names and the values of metadata, a line each.
fn words(parts: &PersonalParts) -> String {
    let mut found = String::new();
    let mut add = |text: &str| {
        if found.len() + text.len() < SEARCH_BYTES_MAX {
            found.push_str(&storable(text));
            found.push('\n');
        }
    };
    let parties = std::iter::once(&parts.actor).chain(&parts.targets);
    for party in parties {
        if let Some(name) = &party.name {
            add(name);
        }
        party
            .metadata
            .iter()
            .for_each(|metadata| values(metadata, &mut add));
    }
    parts
        .metadata
        .iter()
        .for_each(|metadata| values(metadata, &mut add));
    found
}

/// Calls `add` with each value: texts without their quotes, numbers and booleans as they are.
fn values(metadata: &Metadata, add: &mut impl FnMut(&str)) {
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(metadata.as_str()).unwrap_or_default();
    for value in members.values() {
        // A text with half a surrogate pair is no text of Rust's: its escapes are as good as any word.
        match serde_json::from_str::<String>(value.get()) {
            Ok(text) => add(&text),
            Err(_) => add(value.get()),
        }
    }
}

/// Bytes that a party and what surrounds an entry take up beside names and metadata, roughly.
const PARTY_WEIGHT: usize = 1024;

fn entry_weight(entry: &NewAuditEntry) -> usize {
    let parties = std::iter::once(&entry.parts.actor).chain(&entry.parts.targets);
    let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
    let metadata =
        |metadata: &Option<Metadata>| metadata.as_ref().map_or(0, |it| it.as_str().len());
    let personal: usize = parties
        .map(|party| PARTY_WEIGHT + text(&party.name) + metadata(&party.metadata))
        .sum();
    PARTY_WEIGHT + personal + metadata(&entry.parts.metadata)
}
