//! The wire: how the server names its refusals, overheard on their way to the driver.
//!
//! Invariant: every byte is passed on as it came. The driver keeps the SQLSTATE of a refusal to itself and hands on
//! its text, which changes with the server's language; so a connection listens to what it is sent, and remembers the
//! last refusals with both. Reads nothing but error messages, and those only as far as their code and text.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Refusals that a connection remembers; statements that are sent together fail together.
const REMEMBERED_MAX: usize = 16;
/// Bytes of one refusal that are looked at.
const REFUSAL_BYTES_MAX: usize = 16 * 1024;
/// A message from the server begins with its kind and its length, which counts itself.
const HEAD_BYTES: usize = 5;
const LENGTH_BYTES: usize = 4;
const ERROR: u8 = b'E';
/// Asks for TLS. Source: PostgreSQL manual, 55.7 (`SSLRequest`).
const TLS_PLEASE: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The last refusals on one connection. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Refusals(Arc<Mutex<VecDeque<Refusal>>>);

struct Refusal {
    state: SqlState,
    message: String,
}

impl Refusals {
    /// The code of the last refusal that had this text.
    pub(super) fn state_of(&self, message: &str) -> Option<SqlState> {
        let refusals = self.remembered();
        let mut latest = refusals.iter().rev();
        let refusal = latest.find(|refusal| refusal.message == message)?;
        Some(refusal.state.clone())
    }

    fn remember(&self, refusal: Refusal) {
        let mut refusals = self.remembered();
        if refusals.len() == REMEMBERED_MAX {
            refusals.pop_front();
        }
        refusals.push_back(refusal);
    }

    fn remembered(&self) -> MutexGuard<'_, VecDeque<Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the messages from the server.
struct Ear {
    refusals: Refusals,
    /// What has come of the next message's head.
    head: Vec<u8>,
    /// Bytes that are still to come of a message.
    left: usize,
    /// What has come of a refusal.
    refusal: Option<Vec<u8>>,
    /// What came could not be followed; nothing is heard any more.
    lost: bool,
}

impl Ear {
    fn new(refusals: Refusals) -> Self {
        Self {
            refusals,
            head: Vec::with_capacity(HEAD_BYTES),
            left: 0,
            refusal: None,
            lost: false,
        }
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.lost {
            let wanted = match self.left {
                0 => HEAD_BYTES - self.head.len(),
                left => left,
            };
            let (now, later) = bytes.split_at(wanted.min(bytes.len()));
            bytes = later;
            match self.left {
                0 => self.hear_head(now),
                _ => self.hear_body(now),
            }
        }
    }

    fn hear_head(&mut self, bytes: &[u8]) {
        self.head.extend_from_slice(bytes);
        let Ok([kind, length @ ..]) = <[u8; HEAD_BYTES]>::try_from(self.head.as_slice()) else {
            return;
        };
        self.head.clear();
        let length = usize::try_from(u32::from_be_bytes(length)).ok();
        match length.and_then(|length| length.checked_sub(LENGTH_BYTES)) {
            Some(left) => {
                self.left = left;
                self.refusal = (kind == ERROR).then(Vec::new);
            }
            None => self.lost = true,
        }
    }

    fn hear_body(&mut self, bytes: &[u8]) {
        self.left -= bytes.len();
        let Some(heard) = &mut self.refusal else {
            return;
        };
        let room = REFUSAL_BYTES_MAX - heard.len();
        heard.extend(bytes.iter().take(room));
        if self.left == 0
            && let Some(refusal) = self.refusal.take().and_then(|heard| understood(&heard))
        {
            self.refusals.remember(refusal);
        }
    }
}

/// Reads the code and the text of a refusal. Source: PostgreSQL manual, 55.8 (error fields).
fn understood(body: &[u8]) -> Option<Refusal> {
    let fields = body.split(|&byte| byte == 0);
    let (mut state, mut message) = (None, None);
    for field in fields {
        match field.split_first() {
            Some((b'C', code)) => state = std::str::from_utf8(code).ok(),
            Some((b'M', text)) => message = std::str::from_utf8(text).ok(),
            _ => {}
        }
    }
    Some(Refusal {
        state: SqlState::from_code(state?),
        message: message?.to_owned(),
    })
}

/// A stream that is listened to.
pub(super) struct Overheard<S> {
    stream: S,
    ear: Ear,
}

impl<S> Overheard<S> {
    pub(super) fn new(stream: S, refusals: Refusals) -> Self {
        let ear = Ear::new(refusals);
        Self { stream, ear }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Overheard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.ear
            .hear(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Overheard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Overheard<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

type Rustls = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
type RustlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// A TCP connection to the server, with TLS or without.
pub(super) enum Line {
    Plain(Socket),
    Tls(Box<RustlsStream>),
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl TlsStream for Line {
    fn channel_binding(&self) -> ChannelBinding {
        match self {
            Self::Plain(_) => ChannelBinding::none(),
            Self::Tls(stream) => stream.channel_binding(),
        }
    }
}

/// Connects as the driver would, TLS or not, and listens. The driver takes it for TLS without negotiation, which is
/// where it lets others take part; whether there is TLS is settled here, by the same rules.
#[derive(Clone)]
pub(super) struct Tap {
    pub(super) tls: MakeRustlsConnect,
    pub(super) mode: SslMode,
    pub(super) negotiation: SslNegotiation,
    pub(super) refusals: Refusals,
}

impl MakeTlsConnect<Socket> for Tap {
    type Stream = Overheard<Line>;
    type TlsConnect = TapConnect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<TapConnect, io::Error> {
        let tls = MakeTlsConnect::<Socket>::make_tls_connect(&mut self.tls, domain);
        Ok(TapConnect {
            tls: tls.map_err(io::Error::other)?,
            tap: self.clone(),
        })
    }
}

/// One connection being made.
pub(super) struct TapConnect {
    tls: Rustls,
    tap: Tap,
}

impl TapConnect {
    async fn line(self, mut socket: Socket) -> io::Result<Line> {
        if self.tap.mode == SslMode::Disable {
            return Ok(Line::Plain(socket));
        }
        if self.tap.negotiation == SslNegotiation::Postgres {
            socket.write_all(&TLS_PLEASE).await?;
            if socket.read_u8().await? != b'S' {
                return match self.tap.mode == SslMode::Require {
                    true => Err(io::Error::other("server does not support TLS")),
                    false => Ok(Line::Plain(socket)),
                };
            }
        }
        let stream = self.tls.connect(socket).await?;
        Ok(Line::Tls(Box::new(stream)))
    }
}

impl TlsConnect<Socket> for TapConnect {
    type Stream = Overheard<Line>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Overheard<Line>>>;

    fn connect(self, socket: Socket) -> Self::Future {
        let refusals = self.tap.refusals.clone();
        async move { Ok(Overheard::new(self.line(socket).await?, refusals)) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + LENGTH_BYTES).unwrap();
        [&[kind], &length.to_be_bytes()[..], body].concat()
    }

    fn refusal(code: &str, text: &str) -> Vec<u8> {
        let body = format!("SFEHLER\0VERROR\0C{code}\0M{text}\0Fparse.c\0\0");
        message(ERROR, body.as_bytes())
    }

    proptest! {
        #[test]
        fn refusals_are_heard_between_other_messages_however_the_bytes_are_cut(
            rows in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6),
            cuts in prop::collection::vec(1_usize..9, 1..40),
        ) {
            let mut sent = Vec::new();
            for row in &rows {
                sent.extend(message(b'D', row));
            }
            sent.extend(refusal("55P03", "Sperre nicht verfügbar"));
            sent.extend(message(b'Z', b"E"));
            sent.extend(refusal("22003", "too large"));
            let refusals = Refusals::default();
            let mut ear = Ear::new(refusals.clone());

            let mut cuts = cuts.into_iter().cycle();
            let mut rest = sent.as_slice();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                ear.hear(now);
                rest = later;
            }

            prop_assert_eq!(
                refusals.state_of("Sperre nicht verfügbar"),
                Some(SqlState::LOCK_NOT_AVAILABLE)
            );
            prop_assert_eq!(
                refusals.state_of("too large"),
                Some(SqlState::NUMERIC_VALUE_OUT_OF_RANGE)
            );
            prop_assert_eq!(refusals.state_of("never said"), None);
        }

        #[test]
        fn whatever_comes_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            Ear::new(Refusals::default()).hear(&bytes);
        }
    }

    #[test]
    fn the_latest_refusal_with_a_text_counts_and_old_ones_are_forgotten() {
        let refusals = Refusals::default();
        let mut ear = Ear::new(refusals.clone());
        ear.hear(&refusal("53100", "first"));
        ear.hear(&refusal("22001", "same"));
        for _ in 0..REMEMBERED_MAX - 1 {
            ear.hear(&refusal("54000", "same"));
        }

        assert_eq!(
            refusals.state_of("same"),
            Some(SqlState::PROGRAM_LIMIT_EXCEEDED)
        );
        assert_eq!(refusals.state_of("first"), None);
    }
}
