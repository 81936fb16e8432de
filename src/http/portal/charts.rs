//! Charts, drawn on the server as SVG.
//!
//! Invariant: a chart says in words what it shows, for whoever does not see it; colours come from the stylesheet.

use maud::{Markup, html};

use super::parts::{millis_text, number, outcome_badge, span_text, when};
use crate::app::overview::{Bar, SAMPLE_MAX, Summary};
use crate::domain::attempt::FailureCount;
use crate::domain::delivery::{SettledDelivery, StateName};
use crate::domain::time::to_text;

/// Units of the drawing, not pixels.
const WIDTH: u64 = 720;
const HEIGHT: u64 = 120;

/// Events over time, one bar for each span.
pub(super) fn events(bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.events).max().unwrap_or(0);
    let total: u64 = bars.iter().map(|bar| bar.events).sum();
    let count = u64::try_from(bars.len()).unwrap_or(1).max(1);
    let step = WIDTH / count;
    html! {
        figure.chart {
            figcaption {
                span { strong { (number(total)) } " events in the last 24 hours" }
                @if most > 0 { span.soft { "busiest hour " (number(most)) } }
            }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label={ (total) " events in the last 24 hours" } {
                @for (index, bar) in (0_u64..).zip(bars) {
                    @let height = scaled(bar.events, most);
                    rect.bar x=(index * step) y=(HEIGHT - height) width=(step.saturating_sub(4)) height=(height) rx="2" {
                        title { (number(bar.events)) " from " (to_text(bar.from)) }
                    }
                    rect.hit x=(index * step) y="0" width=(step) height=(HEIGHT) {
                        title { (number(bar.events)) " events from " (to_text(bar.from)) }
                    }
                }
            }
            p.axis { span { "24 h ago" } span { "12 h" } span { "now" } }
        }
    }
}

/// A bar's height; something is always seen, nothing never.
fn scaled(events: u64, most: u64) -> u64 {
    match events {
        0 => 1,
        events => (events * HEIGHT).checked_div(most).unwrap_or(0).max(3),
    }
}

/// The last deliveries as a row of ticks, oldest first, one for each.
pub(super) fn ticks(settled: &[SettledDelivery]) -> Markup {
    let shown: Vec<_> = settled.iter().take(120).rev().collect();
    html! {
        @if !shown.is_empty() {
            svg.ticks viewBox="0 0 720 16" preserveAspectRatio="none" role="img"
                aria-label={ "The last " (shown.len()) " deliveries, oldest first" } {
                @for (index, delivery) in (0_u64..).zip(&shown) {
                    rect class=(tick(delivery.state)) x=(index * 6) y="0" width="4" height="16" rx="1" {
                        title { (delivery.state.as_str()) " " (to_text(delivery.settled_at)) }
                    }
                }
            }
        }
    }
}

const fn tick(state: StateName) -> &'static str {
    match state {
        StateName::Delivered => "good",
        StateName::Exhausted => "bad",
        StateName::Cancelled | StateName::Pending => "plain",
    }
}

/// The figures of a summary.
pub(super) fn figures(summary: &Summary, now: chrono::DateTime<chrono::Utc>) -> Markup {
    let judged = summary
        .settled
        .iter()
        .filter(|one| one.state != StateName::Cancelled);
    let judged: Vec<_> = judged.collect();
    let taken = judged
        .iter()
        .filter(|one| one.state == StateName::Delivered)
        .count();
    let mut answers: Vec<u64> = judged.iter().filter_map(|one| one.duration_ms).collect();
    answers.sort_unstable();
    let of = match judged.len() {
        count if i64::try_from(count).is_ok_and(|count| count >= SAMPLE_MAX) => {
            format!("of the last {count}")
        }
        count => format!("of {count}"),
    };
    html! {
        dl.figures {
            div {
                dt { "Delivered" }
                dd { (rate(taken, judged.len())) }
                dd.soft { @if judged.is_empty() { "none has ended yet" } @else { (of) " that ended" } }
            }
            div {
                dt { "Receivers answer in" }
                dd { (percentile(&answers, 50)) }
                dd.soft { "95 %: " (percentile(&answers, 95)) " · 99 %: " (percentile(&answers, 99)) }
            }
            div {
                dt { "Waiting" }
                dd {
                    @if i64::try_from(summary.owed).is_ok_and(|owed| owed >= SAMPLE_MAX) { "over " }
                    (number(summary.owed))
                }
                dd.soft {
                    @match summary.owed_since {
                        Some(since) => { "oldest for " (span_text(now - since)) },
                        None => "nothing is owed",
                    }
                }
            }
        }
    }
}

/// How attempts failed, by kind, each beside a bar as long as its share.
pub(super) fn failures_table(
    failures: &[FailureCount],
    now: chrono::DateTime<chrono::Utc>,
) -> Markup {
    let all: u64 = failures.iter().map(|kind| kind.count).sum();
    html! {
        @if all > 0 {
            div.scroll tabindex="0" role="region" aria-label="Failed attempts" { table {
                thead { tr { th { "Failed attempts" } th.num { "Times" } th.wide { "Share" } th { "Last" } } }
                tbody { @for kind in failures { tr {
                    td { (outcome_badge(&kind.outcome)) }
                    td.num { (number(kind.count)) }
                    td.wide { progress max=(all) value=(kind.count) aria-label={ (kind.count) " of " (all) " failed attempts" } {} }
                    td { (when(kind.last_at, now)) }
                } } }
            } }
        }
    }
}

/// A share in percent; never rounded up to all of them.
fn rate(part: usize, whole: usize) -> String {
    match (part * 1_000).checked_div(whole) {
        None => "–".to_owned(),
        Some(tenths) if tenths.is_multiple_of(10) => format!("{} %", tenths / 10),
        Some(tenths) => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

fn percentile(sorted: &[u64], percent: usize) -> String {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted
        .get(place)
        .map_or_else(|| "–".to_owned(), |millis| millis_text(*millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_up_to_all() {
        assert_eq!(rate(0, 0), "–");
        assert_eq!(rate(1_999, 2_000), "99.9 %");
        assert_eq!(rate(2, 2), "100 %");
        assert_eq!(rate(0, 3), "0 %");
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        assert_eq!(percentile(&[], 50), "–");
        assert_eq!(percentile(&[7], 99), "7 ms");
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 95), "95 ms");
    }

    #[test]
    fn the_least_events_are_seen_and_the_most_fill_the_chart() {
        assert_eq!(scaled(0, 10), 1);
        assert_eq!(scaled(1, 1_000_000), 3);
        assert_eq!(scaled(10, 10), HEIGHT);
    }
}
