//! Errors: whatever goes wrong, and wherever, the answer is the one JSON shape with a request id.

use std::collections::HashSet;

use serde_json::Value;

use crate::harness::TestPlatform;

const JSON: &str = "content-type: application/json\r\n";

/// Status, code and request id of a raw answer, which must be JSON.
fn read(answer: &str) -> (u16, String, String) {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let header = |name: &str| {
        let found = head.lines().find_map(|line| {
            let (header, value) = line.split_once(": ")?;
            header.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        found.unwrap_or_default()
    };
    assert_eq!(header("content-type"), "application/json", "{answer}");
    let json: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    assert!(
        json["message"].is_string() && json.get("error").is_none(),
        "{answer}"
    );
    (
        status,
        json["code"].as_str().unwrap_or_default().to_owned(),
        header("x-request-id"),
    )
}

/// Sends each request and holds its answer against the status and the code.
/// A path, a content type, a body, and the status and code that refuse it.
type Case<'a> = (&'a str, &'a str, &'a [u8], (u16, &'a str));

async fn hold(platform: &TestPlatform, cases: &[Case<'_>]) {
    let mut ids = HashSet::new();
    for &(line, headers, body, wanted) in cases {
        let answer = platform.client().raw(line, headers, body).await;

        let (status, code, id) = read(&answer);
        assert_eq!((status, code.as_str()), wanted, "{line}: {answer}");
        assert!(id.starts_with("req_"), "{line}: {answer}");
        assert!(ids.insert(id), "{line}: a request id was used twice");
    }
}

fn length(bytes: &[u8]) -> String {
    format!("{JSON}content-length: {}\r\n", bytes.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_do_not_exist_are_refused_in_json() {
    let platform = TestPlatform::usual().await;
    let (nothing, method) = ((404, "not_found"), (405, "method_not_allowed"));
    hold(
        &platform,
        &[
            ("GET /nothing HTTP/1.1", "", b"", nothing),
            ("GET /events/ HTTP/1.1", "", b"", nothing),
            ("GET //events HTTP/1.1", "", b"", nothing),
            (
                "GET /events/%zz HTTP/1.1",
                "",
                b"",
                (404, "entity_not_found"),
            ),
            (
                "GET /events/%ff%fe HTTP/1.1",
                "",
                b"",
                (404, "entity_not_found"),
            ),
            ("DELETE /events HTTP/1.1", "", b"", method),
            ("PATCH /livez HTTP/1.1", "", b"", method),
            ("BREW /events HTTP/1.1", "", b"", method),
            ("OPTIONS /events HTTP/1.1", "", b"", method),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_the_wrong_kind_and_size_are_refused_in_json() {
    let platform = TestPlatform::builder()
        .configure(|config| config.server.body_bytes_max = 1_000)
        .start()
        .await;
    let plain = "content-type: text/plain\r\ncontent-length: 2\r\n";
    let zipped = format!("{JSON}content-encoding: gzip\r\ncontent-length: 2\r\n");
    let post = "POST /events HTTP/1.1";
    let media = (415, "unsupported_media_type");
    hold(
        &platform,
        &[
            (post, plain, b"{}", media),
            (post, &zipped, b"{}", media),
            (
                post,
                &length(&[b'x'; 1_001]),
                &[b'x'; 1_001],
                (413, "payload_too_large"),
            ),
            (post, "", b"", (400, "malformed_json")),
        ],
    )
    .await;
    for body in [
        &b"{"[..],
        b"\xff\xfe",
        b"{\"event\":\"\xff\"}",
        b"{}{}",
        b"{\"event\":}",
    ] {
        hold(
            &platform,
            &[(post, &length(body), body, (400, "malformed_json"))],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_and_keys_that_cannot_be_read_are_refused_in_json() {
    let platform = TestPlatform::usual().await;
    let event = br#"{"event":"a","data":{}}"#;
    let keys = format!(
        "idempotency-key: a\r\nidempotency-key: b\r\n{}",
        length(event)
    );
    let invalid = (422, "invalid_request_parameters");
    hold(
        &platform,
        &[
            ("GET /events?limit=%zz HTTP/1.1", "", b"", invalid),
            ("GET /events?after=%ff HTTP/1.1", "", b"", invalid),
            ("GET /deliveries?%c3=1 HTTP/1.1", "", b"", invalid),
            ("POST /events HTTP/1.1", &keys, event, invalid),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_is_not_taken_is_answered_with_those_that_are() {
    let platform = TestPlatform::usual().await;
    for (path, allowed) in [
        ("/events", "GET, HEAD, POST"),
        ("/events/batch", "POST"),
        ("/readyz", "GET, HEAD"),
    ] {
        let refused = platform.client().delete(path).await;
        assert_eq!((refused.status, refused.header("allow")), (405, allowed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_refused_and_the_server_goes_on() {
    let platform = TestPlatform::usual().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET /events HTTP/9.9\r\n\r\n",
        b"GET /events HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /ev ents HTTP/1.1\r\n\r\n",
        b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc",
        b"GET /\xff HTTP/1.1\r\n\r\n",
    ] {
        let answer = platform.client().exchange(bytes).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(answer.is_empty() || status.starts_with('4'), "{bytes:?}: {answer}");
    }
    assert_eq!(platform.client().get("/events").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_of_the_caller_is_not_taken_over() {
    let platform = TestPlatform::usual().await;
    let request = platform.client().request(reqwest::Method::GET, "/livez");

    let reply = platform
        .client()
        .send(request.header("x-request-id", "mine"))
        .await;

    assert!(reply.header("x-request-id").starts_with("req_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_is_answered_like_a_get_without_its_body() {
    let platform = TestPlatform::usual().await;
    let head = platform.client().request(reqwest::Method::HEAD, "/events");

    let reply = platform.client().send(head).await;

    assert_eq!((reply.status, reply.text()), (200, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_with_a_content_type_and_no_body_is_a_get() {
    let platform = TestPlatform::usual().await;
    let request = platform.client().request(reqwest::Method::GET, "/events");

    let reply = platform
        .client()
        .send(request.header("content-type", "application/json"))
        .await;

    assert_eq!(reply.status, 200);
}
