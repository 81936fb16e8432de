//! Which URLs may be registered: the outbound guard's first look, in every spelling of a forbidden address.

use serde_json::json;

use crate::harness::TestPlatform;

/// Loopback, private, link-local, shared, documentation, multicast and reserved addresses, as people and
/// attackers write them; and what is no URL to send to at all.
const FORBIDDEN: &[&str] = &[
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.1./",
    "http://127.255.255.254/",
    "http://%31%32%37.0.0.1/",
    "http://１２７.０.０.１/",
    "http://127。0。0。1/",
    "http://①②⑦.0.0.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://0.1.2.3/",
    "http://[::]/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[2002:7f00:1::]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://a.localhost/",
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://0xa000001/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://192.168.257/",
    "http://3232235521/",
    "http://169.254.169.254/",
    "http://0xa9fea9fe/",
    "http://169.254.43518/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://100.64.0.1/",
    "http://192.0.0.1/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://[2001:db8::1]/",
    "http://224.0.0.1/",
    "http://239.255.255.255/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[ff02::1]/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "example.com/hook",
    "//example.com/hook",
    "/hook",
    "",
    " ",
    "http://",
    "https://",
    "http://user:password@example.com/",
    "http://user@example.com/",
    "http://example.com:0/",
    "http://example.com:99999/",
    "http://exa mple.com/",
    "http://[::1/",
    "http://ex%00ample.com/",
    "http://a..b/",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_the_guard_would_never_call_cannot_be_registered_in_any_spelling() {
    let platform = TestPlatform::builder()
        .configure(|config| config.egress.allow = Vec::new())
        .start()
        .await;
    let good = platform
        .register(json!({ "endpoint_url": "https://example.com/a", "events": [] }))
        .await;
    let path = format!("/webhook_endpoints/{}", good["id"].as_str().unwrap());
    let mut taken = Vec::new();
    for url in FORBIDDEN {
        let body = json!({ "endpoint_url": url, "events": [] });

        let created = platform.client().post("/webhook_endpoints", &body).await;
        let changed = platform.client().patch(&path, &body).await;

        for reply in [created, changed] {
            if reply.status != 422 || reply.json()["code"] != "invalid_url" {
                taken.push((url, reply.text().to_owned()));
            } else {
                assert_eq!(reply.json()["errors"][0]["field"], "endpoint_url");
            }
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn public_urls_can_be_registered_as_they_are_written() {
    let platform = TestPlatform::builder()
        .configure(|config| config.egress.allow = Vec::new())
        .start()
        .await;
    for url in [
        "https://example.com/hook?x=1",
        "http://example.com:8080/",
        "https://1.1.1.1/",
        "https://[2606:4700:4700::1111]/",
        "https://bücher.example/",
    ] {
        let body = json!({ "endpoint_url": url, "events": [] });
        let created = platform.client().post("/webhook_endpoints", &body).await;
        assert_eq!(created.expect(201)["endpoint_url"], url);
    }
    let long = format!("https://example.com/{}", "a".repeat(2048));
    let body = json!({ "endpoint_url": long, "events": [] });
    let refused = platform.client().post("/webhook_endpoints", &body).await;
    assert_eq!(
        refused.faults(),
        [("endpoint_url".to_owned(), "too_long".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_can_be_forbidden() {
    let platform = TestPlatform::builder()
        .configure(|config| config.egress.https_only = true)
        .start()
        .await;

    let body = json!({ "endpoint_url": "http://example.com/", "events": [] });
    let refused = platform.client().post("/webhook_endpoints", &body).await;

    assert_eq!(refused.verdict(), (422, "invalid_url".to_owned()));
}
