//! What is no HTTP, told in JSON: the framework answers what it cannot parse with a bare status.
//!
//! Invariant: only such an answer is given a body, and nothing else is changed: it is the first that is written since
//! the caller sent something, whole, of one of three statuses, with no body and without the request id that every
//! answer of ours carries. The connection then says goodbye slowly: a caller that is still sending gets its answer
//! and no reset. What follows answers that were not written yet keeps its bare status.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::problem::Code;
use crate::domain::id::RequestId;
use crate::domain::time::Clock;

/// What the framework says without words.
const WORDLESS: [Code; 3] = [
    Code::MalformedRequest,
    Code::RequestTimeout,
    Code::HeadersTooLarge,
];
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// What is still read from a caller after such an answer.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// A stream whose wordless refusals get a body.
pub(super) struct Told<T> {
    stream: T,
    clock: Clock,
    /// Whether something came since the last write; a connection that has only been opened has asked too.
    asked: bool,
    /// What has still to be written instead of what was.
    instead: Bytes,
    /// Bytes that may still be read and forgotten; `None` while there was no such refusal.
    drain: Option<usize>,
}

impl<T> Told<T> {
    pub(super) fn new(stream: T, clock: Clock) -> Self {
        Self {
            stream,
            clock,
            asked: true,
            instead: Bytes::new(),
            drain: None,
        }
    }
}

impl<T: AsyncWrite + Unpin> Told<T> {
    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.instead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

/// The code of a refusal without words; `None` for every other answer.
fn wordless(bytes: &[u8]) -> Option<Code> {
    let head = bytes.strip_suffix(END_OF_HEAD)?;
    let text = std::str::from_utf8(head).ok()?.to_ascii_lowercase();
    let mut lines = text.split("\r\n");
    let status = lines.next()?.strip_prefix("http/1.")?.split(' ').nth(1)?;
    let status: u16 = status.parse().ok()?;
    let mut empty = false;
    for line in lines {
        match line.split_once(": ")? {
            ("content-length", "0") => empty = true,
            ("date" | "connection", _) => {}
            _ => return None,
        }
    }
    let code = WORDLESS.iter().find(|code| code.status() == status)?;
    empty.then_some(*code)
}

#[derive(Serialize)]
struct Words {
    message: &'static str,
    code: &'static str,
}

fn worded(code: Code, id: RequestId) -> Bytes {
    let (status, message) = code.answer();
    let words = Words {
        message,
        code: code.as_str(),
    };
    // Two texts always become JSON.
    let body = serde_json::to_string(&words).unwrap_or_default();
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-length: {}\r\ncontent-type: application/json\r\n\
         connection: close\r\nx-request-id: {id}\r\n\r\n{body}",
        status.as_u16(),
        body.len()
    );
    head.into()
}

impl<T: AsyncRead + Unpin> AsyncRead for Told<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.asked |= buffer.filled().len() > before;
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Told<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(context))?;
        if self.asked
            && let Some(code) = wordless(bytes)
        {
            self.asked = false;
            self.instead = worded(code, RequestId::new(self.clock.now()));
            self.drain = Some(DRAIN_BYTES_MAX);
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.asked = false;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        let mut scratch = [0; 8 * 1024];
        while let Some(left @ 1..) = self.drain {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            self.drain = match (read, buffer.filled().len()) {
                (Ok(()), 1..) => Some(left.saturating_sub(buffer.filled().len())),
                // The end, or a reset, which is one too.
                _ => None,
            };
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const BARE: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\
                          date: Mon, 23 Nov 2026 03:00:00 GMT\r\n\r\n";

    /// What arrives when the framework writes `parts`, after it has read a byte.
    fn arrives(parts: &[&[u8]]) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let (near, mut far) = duplex(4096);
            let mut told = Told::new(near, Clock::System);
            far.write_all(b"?").await.expect("room");
            told.read_u8().await.expect("a byte");
            for part in parts {
                told.write_all(part).await.expect("room");
            }
            told.flush().await.expect("room");
            drop(told);
            let mut text = String::new();
            far.read_to_string(&mut text).await.expect("text");
            text
        })
    }

    #[test]
    fn a_bare_refusal_gets_a_body_and_a_request_id() {
        let text = arrives(&[BARE]);

        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["code"], "malformed_request");
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.contains("x-request-id: req_"), "{head}");
        let length = body.to_string().len();
        assert!(
            head.contains(&format!("content-length: {length}\r\n")),
            "{head}"
        );
    }

    #[test]
    fn every_other_answer_passes_as_it_is() {
        let bare = String::from_utf8(BARE.to_vec()).expect("text");
        for other in [
            bare.replace("400 Bad Request", "200 OK"),
            bare.replace("400 Bad Request", "404 Not Found"),
            bare.replace("date: ", "x-request-id: req_1\r\ndate: "),
            bare.replace("length: 0", "length: 2") + "{}",
            format!("{{\"data\":\"{bare}\"}}"),
        ] {
            assert_eq!(arrives(&[other.as_bytes()]), other);
        }
    }

    #[test]
    fn the_middle_of_an_answer_is_never_taken_for_a_refusal() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n";

        let text = arrives(&[head, BARE]);

        let bare = String::from_utf8_lossy(BARE);
        assert!(text.ends_with(&*bare), "{text}");
    }
}
