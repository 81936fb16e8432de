//! Replays from the command line.

use serde_json::json;

use crate::process::{KEY, Site, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_counted_asked_for_shown_and_stopped() {
    let site = Site::new();
    let server = site.serve().await;
    let url = server.url("");
    let site = site.with("TIDINGS_URL", &url).with("TIDINGS_API_KEY", KEY);
    for number in 0..3 {
        server.publish(number).await;
    }
    // nobody listens there: what becomes of the deliveries is not the replay's affair
    let endpoint = server.create_endpoint("http://127.0.0.1:7009/").await;
    let endpoint = endpoint["id"].as_str().unwrap();
    let range = [endpoint, "--since", "1h", "--scope", "missing"];
    let replays = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let site = &site;
        async move {
            let mut whole = vec!["replays"];
            whole.extend(words.iter().map(String::as_str));
            let output = site.run(&whole).await;
            assert!(output.status.success(), "{}", text(&output.stderr));
            text(&output.stdout).trim().to_owned()
        }
    };

    let count = replays(&[&["preview"][..], &range].concat()).await;
    let slow = ["--rate", "1"];
    let id = replays(&[&["create"][..], &range, &slow].concat()).await;
    let cancelled = replays(&["cancel", &id]).await;
    let shown: serde_json::Value =
        serde_json::from_str(&replays(&["show", &id, "--json"]).await).unwrap();
    let listed = replays(&["list", "--endpoint", endpoint]).await;
    let failed = replays(&["preview", endpoint, "--since", "2020-01-01"]).await;

    assert_eq!((count.as_str(), failed.as_str()), ("3", "0"));
    assert!(cancelled.contains("cancelled"), "{cancelled}");
    assert_eq!((&shown["id"], &shown["rate"]), (&json!(id), &json!(1)));
    assert_eq!(listed.lines().count(), 2, "a head and one replay: {listed}");
    server.stop().await;
}
