//! One entry of an audit log, and whether it is what was signed.
//!
//! Invariant: the badge says `verified` only when the inclusion proof leads from the entry's leaf to the root in a
//! checkpoint whose signature by one of the environment's keys was checked here and now.

use actix_web::dev::Payload;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde_json::Value;

use super::audit::{party, targets, text};
use super::door::{Shown, Visit};
use super::json_view::{ROOM, json};
use super::parts::{Tone, badge, id, number, when};
use super::view::{Part, page};
use crate::app::audit_proofs::InclusionProof;
use crate::app::{self, AppError};
use crate::domain::checkpoint::{Checkpoint, VerifyingKey, origin};
use crate::domain::id::AuditLogEventId;
use crate::domain::merkle::verify_inclusion;
use crate::domain::time;
use crate::http::extract::{Extract, PathId};

/// What came of checking an entry.
enum Seal {
    Verified { size: u64 },
    NotSigned,
    Broken(String),
}

pub(super) async fn show(visit: Visit) -> Shown {
    let PathId(wanted) =
        PathId::<AuditLogEventId>::extract(&visit.request, &mut Payload::None).await?;
    let entry = app::audit::find(&visit.app, &visit.caller, wanted).await?;
    let proof = match app::audit_proofs::inclusion(&visit.app, &visit.caller, wanted, None).await {
        Ok(proof) => Some(proof),
        Err(AppError::NotCheckpointed) => None,
        Err(error) => return Err(error.into()),
    };
    let seal = match &proof {
        Some(proof) => {
            let keys = app::audit_keys::list(&visit.app, visit.caller.environment).await?;
            let keys: Vec<_> = keys
                .iter()
                .filter_map(|key| key.verifier.parse().ok())
                .collect();
            let wanted = origin(visit.caller.environment, proof.trail.organization());
            check(proof, &wanted, &keys)
        }
        None => Seal::NotSigned,
    };
    let object: Value = serde_json::from_str(&entry.object_json).unwrap_or_default();
    let now = visit.app.clock().now();
    let content = html! {
        p.crumbs { a href="/portal/audit" { "Audit log" } }
        h1 { (text(&object, "/action")) }
        (seal_view(&seal))
        (facts(entry.id, &object, now))
        @if let Some(proof) = &proof { (proof_view(proof)) }
        section { h2 { "Entry" } (json(&entry.object_json, ROOM, &format!("/portal/audit/entries/{}/body", entry.id))) }
    };
    page(&visit, Part::Audit, text(&object, "/action"), &content)
}

/// Checks the proof against the signed checkpoint.
fn check(proof: &InclusionProof, wanted: &str, keys: &[VerifyingKey]) -> Seal {
    let Some(note) = &proof.checkpoint else {
        return Seal::NotSigned;
    };
    let checkpoint = match Checkpoint::parse_and_verify(note, keys) {
        Ok(checkpoint) => checkpoint,
        Err(fault) => return Seal::Broken(format!("the checkpoint is not good: {fault}")),
    };
    if checkpoint.origin != wanted || checkpoint.size != proof.tree_size {
        return Seal::Broken("the checkpoint is of another log".to_owned());
    }
    let (leaf, index, size) = (&proof.leaf_hash, proof.leaf_index, proof.tree_size);
    match verify_inclusion(leaf, index, size, &proof.hashes, &checkpoint.root) {
        Ok(()) => Seal::Verified { size },
        Err(fault) => Seal::Broken(fault.to_string()),
    }
}

fn seal_view(seal: &Seal) -> Markup {
    html! {
        p.verdict {
            @match seal {
                Seal::Verified { size } => {
                    (badge(Tone::Good, "verified")) " Its leaf is in the log of " (number(*size)) " entries that was signed."
                },
                Seal::NotSigned => {
                    (badge(Tone::Plain, "not signed yet")) " No checkpoint covers it so far."
                },
                Seal::Broken(fault) => {
                    (badge(Tone::Bad, "not verified")) " " strong { (fault) }
                },
            }
        }
    }
}

fn facts(entry: AuditLogEventId, object: &Value, now: DateTime<Utc>) -> Markup {
    let moment = |pointer| time::from_text(text(object, pointer));
    html! {
        dl.facts {
            dt { "Id" } dd { (id(entry)) }
            dt { "Actor" } dd { (party(object.get("actor"))) }
            dt { "Targets" }
            dd { @for target in targets(object) { div { (party(Some(target))) } } }
            dt { "From" } dd { (text(object, "/context/location")) " " span.soft { (text(object, "/context/user_agent")) } }
            @if let Some(at) = moment("/occurred_at") { dt { "Occurred" } dd { (when(at, now)) } }
            @if let Some(at) = moment("/recorded_at") { dt { "Recorded" } dd { (when(at, now)) } }
        }
    }
}

fn proof_view(proof: &InclusionProof) -> Markup {
    html! {
        details {
            summary { "Proof: leaf " (proof.leaf_index) " of " (proof.tree_size) ", " (proof.hashes.len()) " hashes" }
            dl.headers {
                dt { "leaf" } dd { (proof.leaf_hash) }
                @for (number, hash) in proof.hashes.iter().enumerate() { dt { (number) } dd { (hash) } }
            }
            @if let Some(note) = &proof.checkpoint { pre tabindex="0" { code { (note) } } }
        }
    }
}
