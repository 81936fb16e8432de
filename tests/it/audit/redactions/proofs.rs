//! Proofs before and after: an auditor with a key and without the database.

use std::collections::HashMap;

use tidings::domain::audit::verify::{Trust, Verdict, verify};
use tidings::domain::audit::{
    AuditEntry, Commitments, EntryLine, ExportEnd, ExportHeader, Opening, Salts,
};
use tidings::domain::checkpoint::{Checkpoint, SigningKey, key_name, origin};
use tidings::domain::id::OrganizationId;
use tidings::domain::merkle::{Frontier, Hash, NodeId, ProofPlan};
use tokio_postgres::Client;

use super::{about, organization, record, redact};
use crate::harness::TestPlatform;

/// Every leaf, in order, as the database has it.
async fn leaves(sql: &Client) -> Vec<Vec<u8>> {
    let nodes = "SELECT hash FROM audit_log_nodes WHERE level = 0 \
                 AND organization_id <> '00000000-0000-0000-0000-000000000000' ORDER BY number";
    let rows = sql.query(nodes, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn stored(sql: &Client) -> Vec<AuditEntry> {
    let entries = "SELECT object, salts, commitments FROM audit_log_entries \
                   WHERE organization_id <> '00000000-0000-0000-0000-000000000000' ORDER BY leaf_index";
    let rows = sql.query(entries, &[]).await.unwrap();
    let read = |row: &tokio_postgres::Row| {
        let salts: Option<Vec<u8>> = row.get(1);
        let opening = match salts {
            Some(salts) => Opening::Salts(Salts::from_bytes(&salts).unwrap()),
            None => Opening::Commitments(Commitments::from_bytes(row.get(2)).unwrap()),
        };
        AuditEntry::from_stored(row.get(0), opening).unwrap()
    };
    rows.iter().map(read).collect()
}

/// What an auditor says of a whole export, made of what the database has now, with a checkpoint of now.
async fn verdict(platform: &TestPlatform, organization: &str) -> Verdict {
    let sql = platform.sql().await;
    let organization: OrganizationId = organization.parse().unwrap();
    let key = SigningKey::from_seed(&[3; 32], &key_name(platform.environment)).unwrap();
    let entries = stored(&sql).await;
    let mut frontier = Frontier::default();
    let mut nodes: HashMap<NodeId, Hash> = HashMap::new();
    for leaf in leaves(&sql).await {
        let hash = Hash::from_bytes(leaf.try_into().unwrap());
        nodes.extend(
            frontier
                .append(hash)
                .into_iter()
                .map(|node| (node.id, node.hash)),
        );
    }
    let checkpoint = Checkpoint {
        origin: origin(platform.environment, Some(organization)),
        size: frontier.size(),
        root: frontier.root(),
    };
    let header = ExportHeader {
        organization: Some(organization),
        checkpoint: checkpoint.sign(&[&key]).unwrap(),
        range_start: None,
        range_end: None,
        filters: "{}".to_owned(),
        complete: true,
    };
    let mut lines = vec![header.render()];
    for entry in &entries {
        let plan = ProofPlan::inclusion(entry.index(), frontier.size()).unwrap();
        let line = EntryLine {
            leaf_hash: entry.leaf_hash(),
            entry: entry.clone(),
            inclusion: Some(plan.build(&nodes).unwrap()),
            is_authority: false,
        };
        lines.push(line.render());
    }
    let entries = u64::try_from(entries.len()).unwrap();
    lines.push(ExportEnd { entries }.render());
    let trust = Trust {
        keys: vec![key.verifying_key().clone()],
        retained: Some(tidings::domain::audit::verify::Retained {
            note: header.checkpoint,
            consistency: None,
        }),
        ..Trust::default()
    };
    verify(lines, &trust).verdict
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redaction_leaves_every_leaf_and_the_verifier_accepts_it() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    for actor in ["ann", "bob", "ann"] {
        record(&platform, &organization, actor).await;
    }
    let sql = platform.sql().await;
    let before = leaves(&sql).await;

    redact(&platform, &about(&organization, "ann")).await;

    let after = leaves(&sql).await;
    assert_eq!(after[..3], before);
    assert_eq!(after.len(), 4);
    for (entry, leaf) in stored(&sql).await.iter().zip(&after) {
        assert_eq!(entry.leaf_hash().to_bytes().as_slice(), leaf);
    }
    assert_eq!(verdict(&platform, &organization).await, Verdict::Intact);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_say_what_was_redacted_can_be_redacted_themselves() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    record(&platform, &organization, "ann").await;
    redact(&platform, &about(&organization, "ann")).await;

    let again = redact(&platform, &about(&organization, "redaction")).await;

    assert_eq!(again["progress"]["redacted"], 1);
    assert_eq!(verdict(&platform, &organization).await, Verdict::Intact);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_went_without_an_entry_that_says_so_are_tampering() {
    let platform = TestPlatform::usual().await;
    let organization = organization(&platform).await;
    record(&platform, &organization, "ann").await;
    record(&platform, &organization, "bob").await;
    redact(&platform, &about(&organization, "ann")).await;
    let sql = platform.sql().await;
    let bob = stored(&sql).await.swap_remove(1).redact();

    let update = "UPDATE audit_log_entries SET object = $1, salts = NULL, commitments = $2 WHERE leaf_index = 1";
    sql.execute(
        update,
        &[&bob.render_object(), &bob.commitments().to_bytes()],
    )
    .await
    .unwrap();

    let verdict = verdict(&platform, &organization).await;
    assert!(matches!(verdict, Verdict::Broken(_)), "{verdict:?}");
}
