//! What is kept of an answer, and how little of a hostile one is taken.

use super::receiver::{Manner, Receiver};
use super::sender::{body_of, met, sender, to, unreachable};
use crate::domain::attempt::{Outcome, Unreachable};

const KEPT_BYTES_MAX: usize = 16 * 1024;

#[tokio::test]
async fn what_came_before_the_time_was_up_is_kept() {
    let attempt = met(Manner::Answer(
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    ))
    .await;

    assert_eq!(body_of(&attempt), b"half");
    assert_eq!(met(Manner::Hang).await.answer, None);
}

#[tokio::test]
async fn an_endless_body_is_cut_and_its_connection_closed() {
    let mut receiver = Receiver::start(Manner::Flood("HTTP/1.1 200 OK\r\n\r\n")).await;

    let attempt = sender().post(to(&receiver.url("http", "127.0.0.1"))).await;

    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    assert_eq!(body_of(&attempt).len(), KEPT_BYTES_MAX);
    receiver.connection_closed().await;
}

#[tokio::test]
async fn endless_headers_are_not_an_answer() {
    for head in [
        "HTTP/1.1 200 OK\r\nX-Long: ",
        "HTTP/1.1 200 OK\r\n\tfolded: ",
    ] {
        let mut receiver = Receiver::start(Manner::Flood(head)).await;

        let attempt = sender().post(to(&receiver.url("http", "127.0.0.1"))).await;

        assert_eq!(attempt.outcome, unreachable(Unreachable::Broken));
        receiver.connection_closed().await;
    }
}

#[tokio::test]
async fn thousands_of_headers_are_not_an_answer() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Many: 1\r\n".repeat(3000));

    let attempt = met(Manner::Answer(many.leak())).await;

    assert_eq!(attempt.outcome, unreachable(Unreachable::Broken));
}

#[tokio::test]
async fn kept_headers_are_cut_to_the_limit_and_hostile_ones_survive() {
    let long = "x".repeat(KEPT_BYTES_MAX);
    let mut answer =
        b"HTTP/1.1 200 OK\r\nX-Odd: \xff\xfe\r\nContent-Length: 0\r\nX-Long: ".to_vec();
    answer.extend_from_slice(long.as_bytes());
    answer.extend_from_slice(b"\r\n\r\n");

    let attempt = met(Manner::AnswerBytes(answer.leak())).await;

    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    let headers = attempt.answer.unwrap().headers;
    assert_eq!(
        headers[0],
        ("x-odd".to_owned(), "\u{fffd}\u{fffd}".to_owned())
    );
    assert!(headers.iter().all(|(name, _)| name != "x-long"));
}

#[tokio::test]
async fn a_compressed_body_is_kept_as_it_came() {
    // the gzip of nothing: twenty bytes, which an eager client would turn into none
    let attempt = met(Manner::AnswerBytes(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n\
        \x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    ))
    .await;

    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    assert_eq!(body_of(&attempt).len(), 20);
    assert!(body_of(&attempt).starts_with(b"\x1f\x8b"));
}
