//! The plan of a batch: which requests are new, and how each will be answered.
//!
//! Invariant: made under the environment's lock, so that no key's first use is missed. Writes nothing.

use std::collections::{BTreeSet, HashMap};

use super::recorder::Submission;
use super::trails::NewItem;
use crate::domain::event::Event;
use crate::domain::id::{EnvironmentId, OrganizationId};
use crate::domain::idempotency::IdempotencyKey;
use crate::store::idempotency::{Known, Made};
use crate::store::{Conn, StoreError, events, organizations};

/// How one request will be answered.
pub(super) enum Answer {
    /// With the events from the first index to before the second.
    New(usize, usize),
    /// With events that are there already.
    Old(Vec<Event>),
    /// As the request at this index of the batch.
    As(usize),
    KeyReused,
    /// An entry is for an organization that does not exist.
    NoOrganization(OrganizationId),
}

/// The keys of the requests that have one.
pub(super) fn keys(submissions: &[Submission]) -> Vec<&IdempotencyKey> {
    let keys = submissions.iter().map(|submission| submission.key.as_ref());
    keys.flatten().collect()
}

/// Decides how each request is answered, and which items are new, under the environment's lock.
///
/// Shape: `known` is what is known of each of [`keys`], `missing` as [`missing`] finds them.
pub(super) async fn plan<'a>(
    conn: &Conn,
    environment: EnvironmentId,
    submissions: &'a [Submission],
    known: Vec<Known>,
    missing: &BTreeSet<OrganizationId>,
) -> Result<(Vec<Answer>, Vec<&'a NewItem>), StoreError> {
    let mut known = known.into_iter();
    let mut first_use: HashMap<(&str, &str), usize> = HashMap::new();
    let (mut answers, mut new) = (Vec::with_capacity(submissions.len()), Vec::new());
    for (index, submission) in submissions.iter().enumerate() {
        let state = submission
            .key
            .as_ref()
            .and_then(|_| known.next())
            .unwrap_or(Known::New);
        let answer = match (state, &submission.key) {
            (Known::Same(Made { first, last }), _) => {
                Answer::Old(events::find_run(conn, environment, first.into(), last.into()).await?)
            }
            (Known::Other, _) => Answer::KeyReused,
            (Known::New, Some(key)) => match first_use.get(&(&*key.scope, &*key.key)) {
                Some(&earlier) => same_or_reused(submissions, earlier, key),
                None => {
                    first_use.insert((&*key.scope, &*key.key), index);
                    take(&submission.items, missing, &mut new)
                }
            },
            (Known::New, None) => take(&submission.items, missing, &mut new),
        };
        answers.push(answer);
    }
    Ok((answers, new))
}

/// A second use of a key in one batch: the first's answer, if it is the same request.
fn same_or_reused(submissions: &[Submission], earlier: usize, key: &IdempotencyKey) -> Answer {
    let first = submissions
        .get(earlier)
        .and_then(|submission| submission.key.as_ref());
    match first.is_some_and(|first| first.fingerprint == key.fingerprint) {
        true => Answer::As(earlier),
        false => Answer::KeyReused,
    }
}

/// The organizations that entries are for and that do not exist; asks nothing when there are no entries.
pub(super) async fn missing(
    conn: &Conn,
    environment: EnvironmentId,
    submissions: &[Submission],
) -> Result<BTreeSet<OrganizationId>, StoreError> {
    let items = submissions.iter().flat_map(|submission| &submission.items);
    let mut wanted: BTreeSet<_> = items.filter_map(NewItem::organization).collect();
    if wanted.is_empty() {
        return Ok(wanted);
    }
    let ids: Vec<_> = wanted.iter().copied().collect();
    for found in organizations::existing(conn, environment, &ids).await? {
        wanted.remove(&found);
    }
    Ok(wanted)
}

fn take<'a>(
    items: &'a [NewItem],
    missing: &BTreeSet<OrganizationId>,
    new: &mut Vec<&'a NewItem>,
) -> Answer {
    let mut organizations = items.iter().filter_map(NewItem::organization);
    if let Some(organization) = organizations.find(|id| missing.contains(id)) {
        return Answer::NoOrganization(organization);
    }
    let from = new.len();
    new.extend(items);
    Answer::New(from, new.len())
}

/// What the requests that named themselves have made.
pub(super) fn made<'a>(
    submissions: &'a [Submission],
    answers: &[Answer],
    events: &[Event],
) -> Vec<(&'a IdempotencyKey, Made)> {
    let mut made = Vec::new();
    for (submission, answer) in submissions.iter().zip(answers) {
        let (Some(key), &Answer::New(from, to)) = (&submission.key, answer) else {
            continue;
        };
        if let Some([first, .., last] | [first @ last]) = events.get(from..to) {
            made.push((
                key,
                Made {
                    first: first.id.into(),
                    last: last.id.into(),
                },
            ));
        }
    }
    made
}
