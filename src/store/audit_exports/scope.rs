//! Which entries an export holds, as it is kept in `filter`.
//!
//! Invariant: what was kept reads back; nothing else does. Does not choose the leaves.

use serde::{Deserialize, Serialize};

use super::{ExportRow, Span};
use crate::domain::audit::AuditFilter;
use crate::domain::event::EventPattern;
use crate::store::StoreError;

/// Which entries an export holds: what `filter` tells of an export.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Without organization and time, which have columns of their own.
    pub filter: AuditFilter,
    /// No leaf before this one is in it.
    pub first: i64,
    /// No leaf from this one on is in it: those before it are as many as the tree had, or fewer.
    pub size: i64,
}

#[derive(Serialize, Deserialize)]
struct ScopeText {
    actions: Vec<String>,
    actor_ids: Vec<String>,
    actor_names: Vec<String>,
    targets: Vec<String>,
    #[serde(default)]
    first: i64,
    size: i64,
}

impl Scope {
    /// The text that is kept.
    pub fn to_text(&self) -> Result<String, StoreError> {
        let actions = self.filter.actions.iter();
        let text = ScopeText {
            actions: actions.map(ToString::to_string).collect(),
            actor_ids: self.filter.actor_ids.clone(),
            actor_names: self.filter.actor_names.clone(),
            targets: self.filter.targets.clone(),
            first: self.first,
            size: self.size,
        };
        serde_json::to_string(&text).map_err(|error| StoreError::corrupt(error.to_string()))
    }

    /// What an export is to hold.
    ///
    /// Shape: a range of times is part of the filter for a format without proofs; with proofs it has become the
    /// leaves from `first` up to `size`.
    /// Errors: `Corrupt` when the filter is not what `to_text` writes.
    pub fn of(row: &ExportRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::corrupt(format!("filter of {}", row.id));
        let text: ScopeText = serde_json::from_str(&row.filter)
            .map_err(|error| StoreError::corrupt(format!("filter of {}: {error}", row.id)))?;
        let patterns = text.actions.iter();
        let actions = patterns.map(|action| EventPattern::parse("actions", action).ok());
        let by_time = row.checkpoint.is_none();
        let filter = AuditFilter {
            organization: Some(row.organization_id),
            actions: actions.collect::<Option<_>>().ok_or_else(corrupt)?,
            actor_ids: text.actor_ids,
            actor_names: text.actor_names,
            targets: text.targets,
            from: row.range_start.filter(|_| by_time),
            until: row.range_end.filter(|_| by_time),
            search: None,
        };
        Ok(Self {
            filter,
            first: text.first,
            size: text.size,
        })
    }

    /// Whether it holds all leaves of the tree of `size` leaves.
    pub fn is_whole(&self, size: i64) -> bool {
        self.is_complete() && self.first == 0 && self.size == size
    }

    /// Whether nothing but time and place in the tree leaves an entry out.
    pub fn is_complete(&self) -> bool {
        let filter = &self.filter;
        filter.actions.is_empty()
            && filter.actor_ids.is_empty()
            && filter.actor_names.is_empty()
            && filter.targets.is_empty()
    }
}

impl ExportRow {
    /// Settles what an export with proofs holds: the leaves of `span`, or all that its checkpoint covers.
    ///
    /// Shape: nothing of the export is written; the caller holds the environment's lock since it took the
    /// checkpoint, so what is incomplete among those leaves is named by an entry under the checkpoint.
    pub fn cover(
        &mut self,
        filter: AuditFilter,
        note: String,
        size: u64,
        span: Option<Span>,
    ) -> Result<(), StoreError> {
        let size = i64::try_from(size).map_err(|error| StoreError::corrupt(error.to_string()))?;
        let span = span.unwrap_or(Span {
            first: 0,
            end: size,
        });
        let scope = Scope {
            filter,
            first: span.first,
            size: span.end.min(size),
        };
        self.filter = scope.to_text()?;
        self.checkpoint = Some(note);
        self.checkpoint_size = Some(size);
        self.written_through = None;
        self.authorities_through = None;
        self.relies_from = None;
        self.entries = 0;
        Ok(())
    }

    /// How many entries it will hold; `None` where only the filter can tell, or nothing will come of it.
    pub fn total(&self) -> Option<i64> {
        let makes_a_file = ["pending", "ready"].contains(&&*self.state);
        if self.checkpoint.is_none() || !makes_a_file {
            return None;
        }
        let scope = Scope::of(self).ok()?;
        scope
            .is_complete()
            .then(|| (scope.size - scope.first).max(0))
    }

    /// The filter without the names of people, for an export that has ended.
    pub(super) fn filter_without_names(&self) -> String {
        let named = serde_json::from_str(&self.filter).ok();
        let unnamed = named.and_then(|named: ScopeText| {
            let actor_names = Vec::new();
            serde_json::to_string(&ScopeText {
                actor_names,
                ..named
            })
            .ok()
        });
        // What does not read back is of no use to anybody.
        unnamed.unwrap_or_default()
    }
}
