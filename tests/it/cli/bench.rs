//! Measuring: a private platform from nothing to nothing, a server that runs, and one that cannot deliver.

use serde_json::Value;

use crate::process::{KEY, Server, Site, free_port, is_running, text};

/// A server that may deliver to this machine or not, and a site whose commands know it.
async fn server(allow: &str) -> (Site, Server) {
    let site = Site::new().with("TIDINGS__EGRESS__ALLOW", allow);
    let server = site.serve().await;
    let site = site.with("TIDINGS_API_KEY", KEY);
    (site, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_platform_is_measured_and_leaves_nothing_behind() {
    let site = Site::new();
    let scratch = site.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();

    let measured = site
        .json(&[
            "bench",
            "--events",
            "200",
            "--warmup",
            "20",
            "--endpoints",
            "3",
            "--json",
            "--scratch",
            scratch.to_str().unwrap(),
        ])
        .await;

    assert_eq!(measured["platform"], "private", "{measured}");
    assert_eq!(measured["accepted"], 200, "{measured}");
    assert_eq!(measured["delivered"], 600, "{measured}");
    assert_eq!(measured["lost"], 0, "{measured}");
    assert_eq!(measured["signatures_wrong"], 0, "{measured}");
    // events 0, 64, 128 and 192, for three endpoints
    assert_eq!(measured["signatures_checked"], 12, "{measured}");
    for known in [
        "/accepted_per_s",
        "/post_ms/p50",
        "/due_to_receive_ms/p99",
        "/cpu/ms_per_event",
        "/cpu/ms_per_delivery",
        "/cpu/bench_ms_per_event",
        "/server_peak_bytes",
        "/database_bytes_per_event",
        "/wal_bytes_per_event",
    ] {
        let value = measured.pointer(known).and_then(Value::as_f64);
        assert!(
            value.is_some_and(|value| value > 0.0),
            "{known}: {measured}"
        );
    }
    let left: Vec<_> = std::fs::read_dir(&scratch).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(
        !site.data_dir().exists(),
        "the settings' own data directory is not touched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_measured_and_its_endpoints_are_its_own_again() {
    let (site, server) = server("127.0.0.0/8").await;
    let url = server.url("");
    let pid = server.pid().to_string();
    let bench = |options: &'static str| {
        let fixed = ["bench", "--json", "--url", &url, "--warmup", "10"];
        let arguments: Vec<_> = fixed.into_iter().chain(options.split(' ')).collect();
        let site = &site;
        async move { site.json(&arguments).await }
    };

    let batches = bench("--events 100 --batch 30 --producers 2").await;
    let paced = bench("--events 50 --rate 200").await;
    let recorded = bench("--events 50 --no-deliveries").await;
    let fixed = ["bench", "--url", &url, "--warmup", "0", "--events", "20"];
    let table = site.run(&[&fixed[..], &["--pid", &pid]].concat()).await;

    assert_eq!(batches["delivered"], 100, "{batches}");
    assert_eq!(batches["load"]["batch"], 30);
    assert_eq!(paced["delivered"], 50, "{paced}");
    assert!(
        paced["accepted_per_s"].as_f64().unwrap() <= 220.0,
        "{paced}"
    );
    assert_eq!(recorded["accepted"], 50, "{recorded}");
    assert_eq!(recorded["delivered"], 0, "{recorded}");
    assert_eq!(recorded["accept_to_receive_ms"], Value::Null);
    // nothing was said about the server's process
    assert_eq!(recorded["cpu"]["ms_per_event"], Value::Null);
    assert_eq!(recorded["server_peak_bytes"], Value::Null);
    let table = text(&table.stdout);
    assert!(table.contains(" 0 lost, 0 duplicates"), "{table}");
    assert!(table.contains("MiB at most"), "{table}");
    let endpoints: Value = server.get("/webhook_endpoints").await.json().await.unwrap();
    assert_eq!(endpoints["data"], serde_json::json!([]));
    let events = server.feed().await;
    assert_eq!(events.len(), 110 + 60 + 60 + 20);
    assert!(
        events
            .iter()
            .all(|event| event["event"].as_str().unwrap().starts_with("bench.run_"))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_the_server_cannot_reach_ends_the_run_with_what_to_do() {
    let (site, server) = server("").await;
    let url = server.url("");
    let arguments = ["bench", "--url", &url, "--warmup", "5", "--give-up", "5s"];

    let forbidden = site.run(&arguments).await;
    server.stop().await;
    let site = site.with("TIDINGS__EGRESS__ALLOW", "127.0.0.0/8");
    let server = site.serve().await;
    let (url, nobody) = (server.url(""), format!("http://127.0.0.1:{}", free_port()));
    let arguments = ["bench", "--url", &url, "--warmup", "5", "--give-up", "5s"];
    let refused = site
        .run(&[&arguments[..], &["--receive-url", &nobody]].concat())
        .await;

    for (output, word) in [
        (forbidden, "the address is not allowed: loopback"),
        (refused, "unreachable: connect"),
    ] {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(word), "{word} is not in: {said}");
        assert!(said.contains("--egress-allow"), "{said}");
    }
    let endpoints: Value = server.get("/webhook_endpoints").await.json().await.unwrap();
    assert_eq!(endpoints["data"], serde_json::json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_cleans_up() {
    let site = Site::new();
    let scratch = site.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let arguments = [
        "bench",
        "--rate",
        "1",
        "--scratch",
        scratch.to_str().unwrap(),
    ];
    let mut bench = crate::process::Process::start(site.command(&arguments));
    let postmaster =
        crate::process::eventually("a Postgres", crate::process::seconds(60), async || {
            let folder = std::fs::read_dir(&scratch).ok()?.next()?.ok()?.path();
            let pid = std::fs::read_to_string(folder.join("data/postgres/postmaster.pid")).ok()?;
            pid.lines().next()?.parse::<i32>().ok()
        })
        .await;

    bench.signal(nix::sys::signal::Signal::SIGINT);
    let status = bench.ended().await;

    assert_eq!(status.code(), Some(1));
    assert!(
        bench.log().join("\n").contains("interrupted"),
        "{:?}",
        bench.log()
    );
    assert!(!is_running(postmaster));
    let left: Vec<_> = std::fs::read_dir(&scratch).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
