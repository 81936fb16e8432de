//! Every way in which a POST can end, against real listeners.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::receiver::{Manner, Receiver};
use crate::domain::attempt::{Attempt, Outcome, Unreachable};
use crate::egress::{HeaderMap, HeaderValue, Policy, Post, Sender, SenderSettings, To};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const SHORT: Duration = Duration::from_millis(300);

pub(super) fn loopback() -> Arc<Policy> {
    let allow = ["127.0.0.0/8", "::1/128"].map(|range| range.parse().unwrap());
    Arc::new(Policy::new(allow.to_vec(), false))
}

pub(super) fn sender() -> Sender {
    Sender::new(SenderSettings::new(loopback())).unwrap()
}

pub(super) fn to(url: &str) -> Post<'_> {
    Post {
        to: To::Url(url),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        timeout: None,
    }
}

fn within(limit: Duration, url: &str) -> Post<'_> {
    Post {
        timeout: Some(limit),
        ..to(url)
    }
}

pub(super) async fn met(manner: Manner) -> Attempt {
    let receiver = Receiver::start(manner).await;
    sender()
        .post(within(SHORT, &receiver.url("http", "127.0.0.1")))
        .await
}

pub(super) fn unreachable(reason: Unreachable) -> Outcome {
    Outcome::Unreachable { reason }
}

pub(super) fn body_of(attempt: &Attempt) -> &[u8] {
    &attempt.answer.as_ref().unwrap().body
}

#[tokio::test]
async fn a_2xx_is_accepted_and_its_answer_kept() {
    let mut receiver = Receiver::start(Manner::Answer(OK)).await;
    let url = receiver.url("http", "127.0.0.1");
    let mut post = to(&url);
    post.headers
        .append("webhook-id", HeaderValue::from_static("event_1"));
    post.headers
        .append("user-agent", HeaderValue::from_static("Tidings/1"));

    let attempt = sender().post(post).await;

    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    assert_eq!(body_of(&attempt), b"ok");
    let headers = attempt.answer.unwrap().headers;
    assert_eq!(headers, [("content-length".to_owned(), "2".to_owned())]);
    let request = receiver.request().await;
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("webhook-id: event_1\r\n"), "{request}");
    assert!(request.contains("user-agent: Tidings/1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{}"), "{request}");
}

#[tokio::test]
async fn small_answers_leave_their_connection_to_the_next_post() {
    let receiver = Receiver::start(Manner::Answer(OK)).await;
    let url = receiver.url("http", "127.0.0.1");
    let sender = sender();
    let target = loopback().check_url(&url).unwrap();

    for to in [To::Url(&url), To::Target(&target), To::Url(&url)] {
        let post = Post {
            to,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: None,
        };
        assert_eq!(
            sender.post(post).await.outcome,
            Outcome::Accepted { status: 200 }
        );
    }

    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_caller_cannot_frame_the_request() {
    let mut receiver = Receiver::start(Manner::Answer(OK)).await;
    let url = receiver.url("http", "127.0.0.1");
    let mut post = to(&url);
    for (name, value) in [
        ("content-length", "0"),
        ("transfer-encoding", "chunked"),
        ("host", "internal"),
        ("connection", "close"),
    ] {
        post.headers.append(name, HeaderValue::from_static(value));
    }

    sender().post(post).await;

    let request = receiver.request().await;
    assert!(request.contains("content-length: 2\r\n"), "{request}");
    assert!(
        request.contains(&format!("host: {}\r\n", receiver.address)),
        "{request}"
    );
    for absent in ["content-length: 0", "chunked", "internal", "close"] {
        assert!(!request.contains(absent), "{request}");
    }
}

#[tokio::test]
async fn any_other_answer_is_refused_and_may_ask_for_a_delay() {
    let refused = |status, retry_after| Outcome::Refused {
        status,
        retry_after,
    };
    let minute = Some(Duration::from_secs(60));
    for (answer, outcome) in [
        (
            "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
            refused(500, None),
        ),
        (
            "HTTP/1.1 503 No\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n",
            refused(503, minute),
        ),
        (
            "HTTP/1.1 429 No\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n",
            refused(429, minute),
        ),
        (
            "HTTP/1.1 304 No\r\nRetry-After: 60\r\n\r\n",
            refused(304, None),
        ),
        (
            "HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n",
            refused(999, None),
        ),
    ] {
        assert_eq!(met(Manner::Answer(answer)).await.outcome, outcome);
    }
}

#[tokio::test]
async fn a_redirect_is_refused_and_not_followed() {
    let mut receiver = Receiver::start(Manner::Answer(
        "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    ))
    .await;
    let sender = sender();

    let attempt = sender.post(to(&receiver.url("http", "127.0.0.1"))).await;

    assert_eq!(
        attempt.outcome,
        Outcome::Refused {
            status: 302,
            retry_after: None
        }
    );
    // the next request is the next post: nothing was asked for in between
    sender.post(to(&receiver.url("http", "127.0.0.1"))).await;
    for _ in 0..2 {
        assert!(receiver.request().await.starts_with("POST /hook "));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_or_end_in_time_has_timed_out() {
    for manner in [
        Manner::Hang,
        Manner::Trickle("HTTP/1.1 200 OK\r\nX-Slow: "),
        Manner::Trickle("HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"),
        Manner::Answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        Manner::Answer("HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let attempt = met(manner).await;

        assert_eq!(
            attempt.outcome,
            Outcome::TimedOut { after: SHORT },
            "{manner:?}"
        );
        assert!(
            attempt.duration >= SHORT && attempt.duration < SHORT * 10,
            "{attempt:?}"
        );
    }
}

#[tokio::test]
async fn a_broken_answer_is_no_answer() {
    for manner in [
        Manner::Reset,
        Manner::Blurt(""),
        Manner::AnswerAndHangUp(""),
        Manner::AnswerAndHangUp("SSH-2.0-OpenSSH_9.9\r\n"),
        Manner::AnswerAndHangUp("HTTP/1.1 200 OK\r\nContent-Le"),
        Manner::AnswerAndHangUp("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        Manner::AnswerAndHangUp("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        Manner::Answer("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        Manner::Answer("HTTP/1.1 7 OK\r\n\r\n"),
    ] {
        assert_eq!(
            met(manner).await.outcome,
            unreachable(Unreachable::Broken),
            "{manner:?}"
        );
    }
}

#[tokio::test]
async fn a_closed_port_is_no_connection() {
    let receiver = Receiver::start(Manner::Hang).await;
    let url = receiver.url("http", "127.0.0.1");
    drop(receiver);
    // the listener's task ends at its next turn
    tokio::task::yield_now().await;

    let attempt = sender().post(to(&url)).await;

    assert_eq!(attempt.outcome, unreachable(Unreachable::Connect));
    assert_eq!(attempt.answer, None);
}

#[tokio::test]
async fn a_receiver_without_tls_fails_the_handshake() {
    for manner in [
        Manner::Blurt(""),
        Manner::Blurt("HTTP/1.1 400 Bad Request\r\n\r\n"),
    ] {
        let receiver = Receiver::start(manner).await;

        let attempt = sender().post(to(&receiver.url("https", "127.0.0.1"))).await;

        assert_eq!(attempt.outcome, unreachable(Unreachable::Tls), "{manner:?}");
    }
}

/// The client would ask the environment for proxies, and then the proxy would resolve the name.
#[test]
fn the_client_knows_no_proxy() {
    let sender = format!("{:?}", sender());

    assert!(!sender.contains("prox"), "{sender}");
}

#[tokio::test]
async fn a_handshake_that_hangs_ends_with_the_connect_timeout() {
    let receiver = Receiver::start(Manner::Hang).await;
    let settings = SenderSettings {
        connect_timeout: SHORT,
        ..SenderSettings::new(loopback())
    };

    let attempt = Sender::new(settings)
        .unwrap()
        .post(to(&receiver.url("https", "127.0.0.1")))
        .await;

    assert_eq!(attempt.outcome, Outcome::TimedOut { after: SHORT });
}

#[tokio::test]
async fn a_forbidden_address_is_never_connected_to() {
    let receiver = Receiver::start(Manner::Answer(OK)).await;
    let strict = Sender::new(SenderSettings::new(Arc::default())).unwrap();
    let target = loopback()
        .check_url(&receiver.url("http", "127.0.0.1"))
        .unwrap();
    let urls = [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "localhost",
        "127.0.0.1.",
    ]
    .map(|host| receiver.url("http", host));

    // a target that another policy has checked is judged again
    let posts = urls.iter().map(|url| to(url)).chain([Post {
        to: To::Target(&target),
        ..to("")
    }]);
    for post in posts {
        let attempt = strict.post(post).await;
        let reason = "the address is not allowed: loopback".to_owned();
        assert_eq!(attempt.outcome, Outcome::Forbidden { reason });
    }

    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn localhost_is_reached_where_loopback_is_allowed() {
    let receiver = Receiver::start(Manner::Answer(OK)).await;

    let attempt = sender().post(to(&receiver.url("http", "localhost"))).await;

    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
}

#[tokio::test]
async fn a_timeout_may_be_shortened_but_not_lengthened() {
    let receiver = Receiver::start(Manner::Hang).await;
    let settings = SenderSettings {
        total_timeout: SHORT,
        ..SenderSettings::new(loopback())
    };
    let url = receiver.url("http", "127.0.0.1");

    let attempt = Sender::new(settings)
        .unwrap()
        .post(within(SHORT * 100, &url))
        .await;

    assert_eq!(attempt.outcome, Outcome::TimedOut { after: SHORT });
}
