//! A receiver: a listener on loopback that speaks raw bytes, well or badly.
//!
//! It counts connections and keeps what it was sent. Its tasks end with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What a receiver does with every request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Manner {
    /// Answers and waits for the next request on the connection.
    Answer(&'static str),
    /// Answers raw bytes and waits for the next request.
    AnswerBytes(&'static [u8]),
    AnswerAndHangUp(&'static str),
    Hang,
    Reset,
    /// Says the head, then one byte every few milliseconds, for ever.
    Trickle(&'static str),
    /// Says the head, then as many bytes as are taken, for ever.
    Flood(&'static str),
    /// Says this without being asked, and hangs up.
    Blurt(&'static str),
}

#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: mpsc::UnboundedReceiver<String>,
    closed: mpsc::UnboundedReceiver<()>,
    _listening: JoinSet<()>,
}

impl Receiver {
    pub(super) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (asked, requests) = mpsc::unbounded_channel();
        let (hung_up, closed) = mpsc::unbounded_channel();
        let counted = Arc::clone(&connections);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (asked, hung_up) = (asked.clone(), hung_up.clone());
                open.spawn(async move {
                    serve(stream, manner, &asked).await;
                    hung_up.send(()).ok();
                });
            }
        });
        Self {
            address,
            connections,
            requests,
            closed,
            _listening: listening,
        }
    }

    pub(super) fn url(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{host}:{}/hook", self.address.port())
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) async fn request(&mut self) -> String {
        self.requests.recv().await.unwrap()
    }

    /// Waits until a connection has come to its end.
    pub(super) async fn connection_closed(&mut self) {
        tokio::time::timeout(Duration::from_secs(10), self.closed.recv())
            .await
            .unwrap()
            .unwrap();
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, asked: &mpsc::UnboundedSender<String>) {
    if let Manner::Blurt(words) = manner {
        stream.write_all(words.as_bytes()).await.ok();
        return;
    }
    while let Some(request) = read_request(&mut stream).await {
        asked.send(request).ok();
        let answered = match manner {
            Manner::Answer(answer) => stream.write_all(answer.as_bytes()).await,
            Manner::AnswerBytes(answer) => stream.write_all(answer).await,
            Manner::AnswerAndHangUp(answer) => {
                stream.write_all(answer.as_bytes()).await.ok();
                return;
            }
            Manner::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Manner::Trickle(head) => trickle(&mut stream, head).await,
            Manner::Flood(head) => flood(&mut stream, head).await,
            Manner::Hang | Manner::Blurt(_) => Ok(()),
        };
        if answered.is_err() {
            return;
        }
    }
}

async fn trickle(stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
    stream.write_all(head.as_bytes()).await?;
    let mut beat = tokio::time::interval(Duration::from_millis(5));
    loop {
        beat.tick().await;
        stream.write_all(b"x").await?;
    }
}

async fn flood(stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
    stream.write_all(head.as_bytes()).await?;
    loop {
        stream.write_all(&[b'x'; 8192]).await?;
    }
}

/// One request with its body; `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        if body.len() >= length {
            return Some(text.into_owned());
        }
    }
}
