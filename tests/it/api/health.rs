//! Health: what a supervisor and a load balancer ask.

use serde_json::json;

use crate::harness::TestPlatform;

#[tokio::test(flavor = "multi_thread")]
async fn a_running_platform_says_that_it_lives_and_is_ready_to_anyone() {
    let platform = TestPlatform::builder().dispatching().start().await;
    let stranger = platform.client().with_key(None);

    let live = stranger.get("/livez").await;
    let ready = stranger.get("/readyz").await;

    assert_eq!(live.expect(200), json!({ "status": "ok" }));
    assert_eq!(
        ready.expect(200),
        json!({ "status": "ok", "checks": { "database": "ok", "migrations": "ok", "dispatcher": "ok" } })
    );
    platform.finish().await;
}
