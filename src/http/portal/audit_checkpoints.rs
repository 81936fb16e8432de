//! The checkpoints of an audit log: what was signed and when, and how anybody can hold the log against it.
//!
//! Invariant: `signature good` means that one of the environment's keys signed this very note, for this log, size and
//! root, checked here and now. That the checkpoints agree with each other is for `tidings audit verify` to say.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::audit::{latest, signed, trail, trail_filter};
use super::door::{Shown, Visit};
use super::endpoints::listing;
use super::naming::{self, Names};
use super::parts::{Tone, badge, empty, id, number, pager, when};
use super::view::{Part, page};
use crate::app;
use crate::domain::checkpoint::{Checkpoint, ListedKey, StoredCheckpoint, VerifyingKey, origin};

pub(super) async fn list(visit: Visit) -> Shown {
    let trail = trail(&visit, &visit.query).await?;
    let listing = listing(&visit.query)?;
    let (app, caller) = (&visit.app, &visit.caller);
    let checkpoints = app::audit_checkpoints::list(app, caller, trail, &listing).await?;
    let newest = latest(&visit, trail).await?;
    let keys = app::audit_keys::list(app, caller.environment).await?;
    let names = Names::of(&visit, [trail.organization()]).await?;
    let choices = naming::choices(&visit).await?;
    let wanted = origin(caller.environment, trail.organization());
    let verifiers: Vec<VerifyingKey> = keys
        .iter()
        .filter_map(|key| key.verifier.parse().ok())
        .collect();
    let now = app.clock().now();
    let content = html! {
        p.crumbs { a href="/portal/audit" { "Audit log" } }
        h1 { "Checkpoints" }
        @if caller.bound_to.is_none() {
            form.filters method="get" role="search" aria-label="Choose a log" {
                (trail_filter(&visit)) (choices)
                button type="submit" { "Show" }
            }
        }
        (signed(&visit, (trail, &names), newest.as_ref(), now))
        @if checkpoints.items.is_empty() {
            (empty("Nothing is signed yet", &html! { p { "The platform signs a log within a minute of its entries. A checkpoint says how many there were and what they hashed to." } }))
        } @else {
            ol.timeline {
                @for checkpoint in &checkpoints.items {
                    li { (view(checkpoint, fault(checkpoint, &wanted, &verifiers).as_deref(), now)) }
                }
            }
        }
        (pager(&checkpoints, &visit.query, |checkpoint| checkpoint.id.to_string()))
        (how_to(&visit, &keys, now))
    };
    page(&visit, Part::Audit, "Checkpoints", &content)
}

/// What is wrong with a checkpoint; `None` where all is well.
fn fault(checkpoint: &StoredCheckpoint, wanted: &str, keys: &[VerifyingKey]) -> Option<String> {
    match Checkpoint::parse_and_verify(&checkpoint.note, keys) {
        Err(fault) => Some(fault.to_string()),
        Ok(read) => {
            let is_ours = read.origin == wanted
                && read.size == checkpoint.size
                && read.root == checkpoint.root;
            (!is_ours).then(|| "the note is of another log, size or root".to_owned())
        }
    }
}

fn view(checkpoint: &StoredCheckpoint, fault: Option<&str>, now: DateTime<Utc>) -> Markup {
    html! {
        p.what {
            strong { (number(checkpoint.size)) @if checkpoint.size == 1 { " entry" } @else { " entries" } }
            @match fault {
                None => (badge(Tone::Good, "signature good")),
                Some(fault) => { (badge(Tone::Bad, "signature not good")) span.fault { (fault) } },
            }
            span.soft { (when(checkpoint.created_at, now)) }
        }
        dl.facts {
            dt { "Root" } dd { (id(checkpoint.root)) }
            dt { "Id" } dd { (id(checkpoint.id)) }
        }
        details {
            summary { "Signed note" }
            p.help { span data-copy=(checkpoint.note) data-copy-name="the signed note" { "To be kept outside of this server." } }
            pre tabindex="0" { code { (checkpoint.note) } }
        }
    }
}

/// How to hold the log against a checkpoint, without this page and its server.
fn how_to(visit: &Visit, keys: &[ListedKey], now: DateTime<Utc>) -> Markup {
    let (url, environment) = (&visit.app.settings().public_url, visit.caller.environment);
    html! {
        section {
            h2 { "Check it yourself" }
            p {
                "Keep a signed note where nobody here can change it, or have the event " code { "audit_log.checkpoint_created" }
                " delivered to a receiver of your own. Later, an NDJSON export of the log must still lead to it:"
            }
            pre tabindex="0" { code {
                "curl -sS " (url) "/.well-known/tidings/audit-log-keys/" (environment) " > keys.json\n"
                "tidings audit verify log.ndjson --key-file keys.json --checkpoint kept.note --whole"
            } }
            p.help { "The second line needs no server and no network. What was changed, removed, added or moved since ends it with " code { "broken" } "." }
            details {
                summary { "Public keys" }
                ul.plain { @for key in keys { li {
                    (id(&key.verifier)) " "
                    span.soft { "since " (when(key.created_at, now)) @if let Some(at) = key.retired_at { ", retired " (when(at, now)) } }
                } } }
            }
        }
    }
}
