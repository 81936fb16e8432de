//! One connection: a stream on which something must be answered at least every 75 seconds.
//!
//! Invariant: from the first byte of a request to the first byte of its answer at most [`STALL_MAX`] passes,
//! however slowly the caller sends or reads. The framework bounds the head of a connection's *first* request
//! only: it stops its timer for idle connections at the first byte of the next one and sets no other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a connection may go on without an answer being written.
pub(super) const STALL_MAX: Duration = Duration::from_secs(75);

/// A stream that fails when it has stalled.
pub(super) struct Bounded<T> {
    stream: T,
    /// When the connection began, was last written to, or got the first byte after that.
    since: Instant,
    /// Whether a byte came since the last write.
    reading: bool,
    /// Never later than `since` + [`STALL_MAX`]; moved on only when it fires.
    timer: Pin<Box<Sleep>>,
}

impl<T> Bounded<T> {
    pub(super) fn new(stream: T) -> Self {
        let since = Instant::now();
        Self {
            stream,
            since,
            reading: false,
            timer: Box::pin(sleep_until(since + STALL_MAX)),
        }
    }

    /// Ready when the connection has stalled; otherwise the task is woken when it may have.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let deadline = self.since + STALL_MAX;
            if Instant::now() >= deadline {
                return Poll::Ready(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the connection stalled",
                ));
            }
            self.timer.as_mut().reset(deadline);
        }
    }

    fn note_read(&mut self) {
        if !self.reading {
            self.reading = true;
            self.since = Instant::now();
        }
    }

    fn note_written(&mut self) {
        self.reading = false;
        self.since = Instant::now();
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Bounded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.note_read();
        }
        // Looked at whatever was read: a caller who trickles always has a byte ready.
        match self.poll_stalled(cx) {
            Poll::Ready(stalled) => Poll::Ready(Err(stalled)),
            Poll::Pending => read,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Bounded<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.note_written();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().expect("a runtime")
    }

    /// A connection as it would be had it begun `ago`.
    fn begun(ago: Duration) -> (Bounded<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (near, far) = duplex(64);
        let mut connection = Bounded::new(near);
        connection.since -= ago;
        connection
            .timer
            .as_mut()
            .reset(connection.since + STALL_MAX);
        (connection, far)
    }

    #[test]
    fn a_silent_connection_fails_when_its_time_is_up() {
        runtime().block_on(async {
            let (mut connection, _far) = begun(STALL_MAX);

            let fault = connection.read_u8().await.expect_err("a stall");

            assert_eq!(fault.kind(), io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn a_trickle_does_not_keep_a_connection() {
        runtime().block_on(async {
            let (mut connection, mut far) = begun(STALL_MAX - SECOND);
            far.write_all(b"GE").await.expect("room");
            assert_eq!(connection.read_u8().await.expect("the first byte"), b'G');
            connection.since -= STALL_MAX;
            connection.timer.as_mut().reset(connection.since);

            assert!(connection.read_u8().await.is_err());
        });
    }

    #[test]
    fn the_first_byte_of_a_request_and_every_answer_give_new_time() {
        runtime().block_on(async {
            let (mut connection, mut far) = begun(STALL_MAX - SECOND);
            far.write_all(b"G").await.expect("room");
            connection.read_u8().await.expect("a byte");
            assert!(connection.since.elapsed() < SECOND && connection.reading);

            connection.since -= STALL_MAX;
            connection.write_all(b"answer").await.expect("room");

            assert!(connection.since.elapsed() < SECOND && !connection.reading);
        });
    }
}
