//! The parts that pages are made of: times, ids, badges, pagers, empty states.
//!
//! Invariant: one look for one thing: a time is relative with the exact one beside it, an id can be copied, a state
//! is a word and a colour, never a colour alone.

use actix_web::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use crate::domain::attempt::Outcome;
use crate::domain::delivery::{CancelReason, DeliveryState, StateName};
use crate::domain::endpoint::{DisabledReason, Endpoint, EndpointState};
use crate::domain::page::Page;
use crate::domain::time::to_text;
use crate::http::extract::Query;

/// What a badge's colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Waiting,
    Bad,
    Plain,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "badge good",
            Self::Waiting => "badge waiting",
            Self::Bad => "badge bad",
            Self::Plain => "badge",
        }
    }
}

pub(super) fn badge(tone: Tone, word: &str) -> Markup {
    html! { span class=(tone.class()) { (word) } }
}

pub(super) fn state_badge(state: &DeliveryState, endpoint: Option<&Endpoint>) -> Markup {
    let held = endpoint.is_some_and(|endpoint| !endpoint.is_enabled());
    match state {
        DeliveryState::Pending { leased: true, .. } => badge(Tone::Waiting, "sending"),
        DeliveryState::Pending { .. } if held => badge(Tone::Waiting, "held"),
        DeliveryState::Pending { .. }
        | DeliveryState::Delivered { .. }
        | DeliveryState::Exhausted { .. }
        | DeliveryState::Cancelled { .. } => state_name_badge(state.name()),
    }
}

pub(super) fn state_name_badge(state: StateName) -> Markup {
    let tone = match state {
        StateName::Pending => Tone::Waiting,
        StateName::Delivered => Tone::Good,
        StateName::Exhausted => Tone::Bad,
        StateName::Cancelled => Tone::Plain,
    };
    badge(tone, state.as_str())
}

pub(super) fn endpoint_badge(endpoint: &Endpoint) -> Markup {
    match endpoint.state {
        EndpointState::Disabled(DisabledReason::ByHand) => badge(Tone::Plain, "disabled"),
        EndpointState::Disabled(DisabledReason::Gone) => badge(Tone::Bad, "disabled: gone"),
        EndpointState::Disabled(DisabledReason::Failing) => badge(Tone::Bad, "disabled: failing"),
        EndpointState::Enabled if endpoint.failing_since.is_some() => badge(Tone::Bad, "failing"),
        EndpointState::Enabled => badge(Tone::Good, "enabled"),
    }
}

pub(super) fn outcome_badge(outcome: &Outcome) -> Markup {
    match outcome {
        Outcome::Accepted { status } => badge(Tone::Good, &status_text(*status)),
        Outcome::Refused { status, .. } => badge(Tone::Bad, &status_text(*status)),
        Outcome::TimedOut { .. } => badge(Tone::Bad, "timed out"),
        Outcome::Unreachable { reason } => {
            badge(Tone::Bad, &format!("unreachable: {}", reason.as_str()))
        }
        Outcome::Forbidden { .. } => badge(Tone::Bad, "forbidden"),
    }
}

fn status_text(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok();
    let reason = reason.and_then(|status| status.canonical_reason());
    match reason {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

/// Why a delivery was cancelled, for people.
pub(super) const fn cancel_words(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::EndpointDeleted => "the endpoint was deleted",
        CancelReason::EventExpired => "the event is no longer kept, or waited too long",
        CancelReason::Redacted => "its audit log entry was redacted",
    }
}

/// A time as people say it, with the exact one beside it.
pub(super) fn when(time: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let exact = to_text(time);
    html! { time datetime=(exact) title=(exact) { (relative(time, now)) } }
}

/// Since when an endpoint is left alone, and when it is tried again.
pub(super) fn probe(since: DateTime<Utc>, at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! {
        "The endpoint has been left alone since " (when(since, now)) "; it is probed again "
        @if at > now { (when(at, now)) "." } @else { "any moment." }
    }
}

/// `3 min ago`, `in 2 h`.
fn relative(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let distance = now - time;
    let text = span_text(distance.abs());
    match distance {
        _ if distance.abs() < TimeDelta::seconds(1) => "now".to_owned(),
        distance if distance < TimeDelta::zero() => format!("in {text}"),
        _ => format!("{text} ago"),
    }
}

/// A length of time in its largest unit.
pub(super) fn span_text(span: TimeDelta) -> String {
    let seconds = span.num_seconds();
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A length in milliseconds: `12 ms`, `1.4 s`.
pub(super) fn millis_text(millis: u64) -> String {
    match millis {
        ..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => span_text(TimeDelta::milliseconds(
            i64::try_from(millis).unwrap_or(i64::MAX),
        )),
    }
}

/// A whole number with its thousands apart.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// An id that can be copied.
pub(super) fn id(id: impl std::fmt::Display) -> Markup {
    let text = id.to_string();
    html! { code.id data-copy=(text) { (text) } }
}

/// The last characters of an id, which tell it from its neighbours, as a link.
pub(super) fn short_link(path: &str, id: impl std::fmt::Display) -> Markup {
    let text = id.to_string();
    let tail: String = text
        .chars()
        .skip(text.chars().count().saturating_sub(8))
        .collect();
    html! { a href={ (path) (text) } title=(text) { code { "…" (tail) } } }
}

/// What a list says when it has nothing.
pub(super) fn empty(title: &str, text: &Markup) -> Markup {
    html! {
        div.empty {
            p.title { (title) }
            (text)
        }
    }
}

/// The links to the pages around this one, the newest first; the filters stay.
pub(super) fn pager<T>(page: &Page<T>, query: &Query, id: impl Fn(&T) -> String) -> Markup {
    pager_of(page, query, ["← Newer", "Older →"], id)
}

/// The same, with the words for what lies before and after.
pub(super) fn pager_of<T>(
    page: &Page<T>,
    query: &Query,
    [before, after]: [&str; 2],
    id: impl Fn(&T) -> String,
) -> Markup {
    let newer = page.items.first().filter(|_| page.more_before).map(&id);
    let older = page.items.last().filter(|_| page.more_after).map(&id);
    html! {
        @if newer.is_some() || older.is_some() {
            nav.pager aria-label="Pages of the list" {
                @if let Some(id) = newer { a rel="prev" href=(beside(query, "before", &id)) { (before) } }
                @else { span {} }
                @if let Some(id) = older { a rel="next" href=(beside(query, "after", &id)) { (after) } }
            }
        }
    }
}

/// The same list, from a cursor on.
fn beside(query: &Query, cursor: &str, id: &str) -> String {
    let mut link = url::form_urlencoded::Serializer::new(String::new());
    let kept = query
        .pairs()
        .filter(|(name, value)| !["after", "before"].contains(name) && !value.is_empty());
    for (name, value) in kept {
        link.append_pair(name, value);
    }
    format!("?{}", link.append_pair(cursor, id).finish())
}

/// A message over a page: what was just done.
pub(super) fn notice(query: &Query, words: &[(&str, &str)]) -> Markup {
    let done = query.one("done").unwrap_or_default();
    let text = words.iter().find(|(word, _)| *word == done);
    html! {
        @if let Some((_, text)) = text { p.notice role="status" { (text) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::from_millis;

    #[test]
    fn a_time_is_told_as_people_do() {
        let now = from_millis(100_000_000_000);
        let at = |seconds| relative(now + TimeDelta::seconds(seconds), now);

        assert_eq!(at(0), "now");
        assert_eq!(at(-59), "59 s ago");
        assert_eq!(at(-61), "1 min ago");
        assert_eq!(at(7_300), "in 2 h");
        assert_eq!(at(-172_800), "2 days ago");
    }

    #[test]
    fn numbers_and_lengths_are_easy_to_read() {
        assert_eq!(number(7), "7");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(millis_text(999), "999 ms");
        assert_eq!(millis_text(1_450), "1.4 s");
        assert_eq!(millis_text(61_000), "1 min");
    }

    #[test]
    fn a_pager_keeps_the_filters_and_drops_the_cursor() {
        let query = Query::of("type=a.b%26c&after=x&state=");

        assert_eq!(beside(&query, "before", "y"), "?type=a.b%26c&before=y");
    }
}
