//! Checkpoints: signed on demand and each minute, told by an event, under keys that anybody can fetch.

use serde_json::{Value, json};
use tidings::app::{audit_keys, environments};
use tidings::domain::audit::Actor;
use tidings::domain::merkle::{Frontier, leaf_hash};
use tidings::upkeep::checkpoints::make;

use super::witness::{self, Witness, entry, hash, opened};
use crate::harness::TestPlatform;

/// The checkpoint events of organizations' trails in the feed, oldest first.
async fn told(platform: &TestPlatform) -> Vec<Value> {
    let path = "/events?limit=100&events=audit_log.checkpoint_created";
    let list = platform.client().get(path).await.expect(200);
    let told = list["data"].as_array().unwrap().iter();
    // the environment's own trail grows with every organization that is made
    told.filter(|event| !event["organization_id"].is_null())
        .cloned()
        .collect()
}

/// What upkeep does each minute.
async fn a_minute_passes(platform: &TestPlatform) {
    make(platform.store(), &platform.clock).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_the_trails_head_signed_by_a_key_that_is_served_to_anybody() {
    let platform = TestPlatform::usual().await;
    let witness = Witness::new(&platform).await;
    witness.record(3).await;

    let made = witness.checkpoint().await;

    let head = opened(&made, &witness.keys().await).expect("signed by the served key");
    let (environment, trail) = (platform.environment, &witness.trail);
    assert_eq!(head.origin, format!("tidings/{environment}/{trail}"));
    let mut tree = Frontier::default();
    for leaf in witness::leaves(&platform.sql().await).await {
        tree.append(leaf_hash(&leaf));
    }
    assert_eq!((head.size, head.root), (3, tree.root()));
    assert_eq!(
        (&made["size"], hash(&made["root_hash"])),
        (&json!(3), head.root)
    );
    assert_eq!(made["object"], "audit_log_checkpoint");
    assert_eq!(made["organization_id"], trail.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_new_the_stored_checkpoint_is_the_answer_everywhere() {
    let platform = TestPlatform::usual().await;
    let witness = Witness::new(&platform).await;
    witness.record(1).await;
    let first = witness.checkpoint().await;
    witness.record(1).await;
    let body = json!({ "organization_id": witness.trail });
    let client = platform.client();
    let ask = || client.post_once("/audit_logs/checkpoints", "k", &body);

    let made = ask().await.expect(201);
    let named = ask().await.expect(200);
    let again = client
        .post("/audit_logs/checkpoints", &body)
        .await
        .expect(200);

    let trail = &witness.trail;
    let id = made["id"].as_str().unwrap();
    let latest = format!("/audit_logs/checkpoints/latest?organization_id={trail}");
    let latest = client.get(&latest).await.expect(200);
    let found = client
        .get(&format!("/audit_logs/checkpoints/{id}"))
        .await
        .expect(200);
    for shown in [&named, &again, &latest, &found] {
        assert_eq!(shown, &made);
    }
    assert_eq!(witness.checkpoints().await, [made, first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_without_entries_has_nothing_to_sign() {
    let platform = TestPlatform::usual().await;
    let witness = Witness::new(&platform).await;
    let body = json!({ "organization_id": witness.trail });
    let latest = format!(
        "/audit_logs/checkpoints/latest?organization_id={}",
        witness.trail
    );
    let client = platform.client();

    let asked = client.post("/audit_logs/checkpoints", &body).await;
    a_minute_passes(&platform).await;

    assert_eq!(asked.verdict(), (409, "audit_log_empty".to_owned()));
    assert_eq!(
        client.get(&latest).await.verdict(),
        (404, "entity_not_found".to_owned())
    );
    assert!(witness.checkpoints().await.is_empty());
    assert!(told(&platform).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_minute_every_trail_that_has_grown_is_signed_and_an_event_carries_it_out() {
    let platform = TestPlatform::usual().await;
    let (one, two) = (Witness::new(&platform).await, Witness::new(&platform).await);
    one.record(2).await;
    two.record(1).await;

    a_minute_passes(&platform).await;
    one.record(1).await;
    a_minute_passes(&platform).await;

    let (of_one, of_two) = (one.checkpoints().await, two.checkpoints().await);
    let sizes = |made: &[Value]| made.iter().map(|it| it["size"].clone()).collect::<Vec<_>>();
    assert_eq!(sizes(&of_one), [json!(3), json!(2)]);
    assert_eq!(sizes(&of_two), [json!(1)]);
    let told = told(&platform).await;
    let carried: Vec<_> = told.iter().map(|event| event["data"].clone()).collect();
    assert_eq!(
        carried,
        [of_one[1].clone(), of_two[0].clone(), of_one[0].clone()]
    );
    assert_eq!(told[0]["organization_id"], one.trail.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_that_does_not_read_keeps_no_other_from_being_signed() {
    let platform = TestPlatform::usual().await;
    let broken = Witness::new(&platform).await;
    let sound = Witness::new(&platform).await;
    broken.record(1).await;
    sound.record(1).await;
    let edit = format!(
        "UPDATE audit_log_trees SET frontier = '\\x00' WHERE organization_id = \
         (SELECT organization_id FROM audit_log_entries WHERE object LIKE '%\"organization_id\":\"{}\"%')",
        broken.trail
    );
    assert_eq!(platform.sql().await.execute(&edit, &[]).await.unwrap(), 1);

    a_minute_passes(&platform).await;

    assert_eq!(
        (
            broken.checkpoints().await.len(),
            sound.checkpoints().await.len()
        ),
        (0, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_in_which_nothing_happened_writes_nothing_and_takes_no_lock() {
    let platform = TestPlatform::usual().await;
    Witness::new(&platform).await.record(1).await;
    a_minute_passes(&platform).await;
    let sql = platform.sql().await;
    // xmin and ctid change with a write, xmax with a lock
    let rows = async || -> String {
        let text = "SELECT string_agg(row::text, ' ' ORDER BY row::text) FROM (\
             SELECT 'sequence', ctid::text, xmin::text, xmax::text FROM event_sequences \
             UNION ALL SELECT 'tree', ctid::text, xmin::text, xmax::text FROM audit_log_trees \
             UNION ALL SELECT 'checkpoint', ctid::text, xmin::text, xmax::text FROM audit_log_checkpoints \
             UNION ALL SELECT 'event', ctid::text, xmin::text, xmax::text FROM events) AS row";
        sql.query_one(text, &[]).await.unwrap().get(0)
    };
    let before = rows().await;

    a_minute_passes(&platform).await;

    assert_eq!(rows().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_trails_than_one_transaction_takes_are_all_signed_also_by_two_servers_at_once() {
    const TRAILS: usize = 130;
    let platform = TestPlatform::usual().await;
    let beside = TestPlatform::builder().beside(&platform).start().await;
    let mut entries = Vec::new();
    for _ in 0..TRAILS {
        entries.push(entry(&Witness::new(&platform).await.trail));
    }
    for entries in entries.chunks(100) {
        let body = json!({ "events": entries });
        platform
            .client()
            .post("/audit_logs/events/batch", &body)
            .await
            .expect(201);
    }

    tokio::join!(a_minute_passes(&platform), a_minute_passes(&beside));

    let sql = platform.sql().await;
    let counts = "SELECT count(*), count(DISTINCT organization_id), \
         (SELECT count(*) FROM events WHERE event_type = 'audit_log.checkpoint_created') FROM audit_log_checkpoints";
    let counts = sql.query_one(counts, &[]).await.unwrap();
    let counts: [i64; 3] = [counts.get(0), counts.get(1), counts.get(2)];
    // and the environment's own, which says that the organizations were made
    assert_eq!(counts, [i64::try_from(TRAILS + 1).unwrap(); 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_rotation_both_keys_sign_and_a_retired_key_still_verifies_what_it_signed() {
    let platform = TestPlatform::usual().await;
    let (witness, app) = (Witness::new(&platform).await, &platform.parts().app);
    let environment = platform.environment;
    let step = async || {
        witness.record(1).await;
        witness.checkpoint().await
    };

    let (operator, before) = (Actor::operator(None, None), step().await);
    audit_keys::rotate(app, environment, &operator)
        .await
        .unwrap();
    let during = step().await;
    let refused = audit_keys::rotate(app, environment, &operator).await;
    let retired = audit_keys::retire(app, environment, &operator)
        .await
        .unwrap();
    let after = step().await;

    let keys = witness.keys().await;
    let [new, old] = &keys[..] else {
        panic!("two keys expected: {keys:?}")
    };
    let signed = |checkpoint: &Value| {
        [old, new].map(|key| opened(checkpoint, std::slice::from_ref(key)).is_some())
    };
    assert_eq!(signed(&before), [true, false]);
    assert_eq!(signed(&during), [true, true]);
    assert_eq!(signed(&after), [false, true]);
    assert!(refused.is_err(), "two sign already");
    let served = witness.served_keys().await;
    assert!(served[0]["retired_at"].is_null() && served[1]["retired_at"].is_string());
    assert_eq!(retired.len(), 1);
    assert_eq!(retired[0].verifier, served[1]["vkey"].as_str().unwrap());
    let sql = platform.sql().await;
    let seeds = "SELECT number FROM audit_log_signing_keys WHERE seed_sealed IS NOT NULL";
    let seeds = sql.query(seeds, &[]).await.unwrap();
    assert_eq!(
        seeds.iter().map(|row| row.get(0)).collect::<Vec<i32>>(),
        [2]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_environment_has_a_key_of_its_own_and_what_is_none_is_not_found() {
    let platform = TestPlatform::usual().await;
    let app = &platform.parts().app;
    let other = environments::create(app, "other", &Actor::platform("test"))
        .await
        .unwrap()
        .id;
    let client = platform.client().with_key(None);
    let keys = async |environment: &str| {
        let path = format!("/.well-known/tidings/audit-log-keys/{environment}");
        client.get(&path).await
    };

    let (here, there) = (
        keys(&platform.environment.to_string()).await.expect(200),
        keys(&other.to_string()).await.expect(200),
    );

    assert_eq!(there["environment_id"], other.to_string());
    assert_eq!(there["keys"].as_array().unwrap().len(), 1);
    assert_eq!(
        witness::key(&there["keys"][0]).name(),
        format!("tidings/{other}")
    );
    assert_ne!(here["keys"], there["keys"]);
    for nobody in ["env_01KDWX4V00000000000000TEST", "org_1", "%2F"] {
        let reply = keys(nobody).await;
        assert_eq!(
            reply.verdict(),
            (404, "entity_not_found".to_owned()),
            "{nobody}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_lost_its_key_to_a_restored_row_gets_one_with_its_next_checkpoint() {
    let platform = TestPlatform::usual().await;
    let witness = Witness::new(&platform).await;
    let sql = platform.sql().await;
    sql.execute("DELETE FROM audit_log_signing_keys", &[])
        .await
        .unwrap();
    witness.record(1).await;

    let made = witness.checkpoint().await;

    assert!(opened(&made, &witness.keys().await).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_of_another_environment_is_not_found_however_it_is_asked_for() {
    let platform = TestPlatform::usual().await;
    let witness = Witness::new(&platform).await;
    witness.record(1).await;
    let made = witness.checkpoint().await;
    let foreign = platform.foreign_client().await;

    for trail in [
        witness.trail.as_str(),
        "org_01KDWX4V00000000000000TEST",
        "org_1",
    ] {
        let body = json!({ "organization_id": trail });
        let mut replies = vec![foreign.post("/audit_logs/checkpoints", &body).await];
        for path in [
            "/audit_logs/checkpoints?",
            "/audit_logs/checkpoints/latest?",
            "/audit_logs/consistency_proof?from=1&to=1&",
        ] {
            replies.push(foreign.get(&format!("{path}organization_id={trail}")).await);
        }
        for reply in replies {
            assert_eq!(
                reply.verdict(),
                (404, "entity_not_found".to_owned()),
                "{trail}"
            );
            let message = format!("Organization not found: '{trail}'.");
            assert_eq!(reply.json()["message"], message);
        }
    }
    let path = format!("/audit_logs/checkpoints/{}", made["id"].as_str().unwrap());
    assert_eq!(foreign.get(&path).await.status, 404);
    let own = "/audit_logs/checkpoints?organization_id=environment";
    assert_eq!(foreign.get(own).await.expect(200)["data"], json!([]));
}
