//! Receivers that do harm: each in its own manner, to whoever calls.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::looks;

/// What a receiver does to those that call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Reads, and says nothing.
    Hang,
    /// Says yes, and sends its answer a byte at a time.
    Trickle,
    /// Says yes, and never comes to an end.
    Endless,
    /// Says yes, with an answer of 30 KiB that would be 8 MiB.
    Bomb,
    /// Breaks the connection off.
    Reset,
    /// Says no.
    Refuse,
}

impl Manner {
    pub(crate) const ALL: [Self; 6] = [
        Self::Hang,
        Self::Trickle,
        Self::Endless,
        Self::Bomb,
        Self::Reset,
        Self::Refuse,
    ];
}

/// A receiver that does harm; it is gone when this is dropped.
pub(crate) struct Hostile {
    address: String,
    task: JoinHandle<()>,
}

impl Hostile {
    pub(crate) async fn new(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::runtime::Handle::current().spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(treat(stream, manner));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, task }
    }

    /// One of its many URLs.
    pub(crate) fn url(&self, number: usize) -> String {
        format!("http://{}/{number}", self.address)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Treats one connection; every end is a good one.
async fn treat(mut stream: TcpStream, manner: Manner) {
    let _ended = converse(&mut stream, manner).await;
}

async fn converse(stream: &mut TcpStream, manner: Manner) -> io::Result<()> {
    let mut request = vec![0; 64 * 1024];
    let _some_of_it = stream.read(&mut request).await?;
    match manner {
        Manner::Hang => loop {
            if stream.read(&mut request).await? == 0 {
                return Ok(());
            }
        },
        Manner::Trickle => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
                .await?;
            let mut looks = looks();
            loop {
                looks.tick().await;
                stream.write_all(b"x").await?;
            }
        }
        Manner::Endless => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await?;
            let chunk = [b"2000\r\n".as_slice(), &[b'x'; 0x2000], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk).await?;
            }
        }
        Manner::Bomb => {
            let body = bomb();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await
        }
        Manner::Reset => {
            stream.set_zero_linger()?;
            Ok(())
        }
        Manner::Refuse => {
            stream
                .write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await
        }
    }
}

/// The start of a gzip stream of zeros, 258 of them for each 13 bits (RFC 1951, fixed codes: length 258 is
/// 11000101, distance 1 is 00000).
fn bomb() -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    // a last block of fixed codes, and a literal zero: 1, then 01, then 00110000
    let mut bits = vec![true, true, false];
    bits.extend([false, false, true, true, false, false, false, false]);
    for _ in 0..18_000 {
        bits.extend([true, true, false, false, false, true, false, true]);
        bits.extend([false; 5]);
    }
    for eight in bits.chunks(8) {
        let byte = eight
            .iter()
            .rev()
            .fold(0, |byte, &bit| (byte << 1) | u8::from(bit));
        bytes.push(byte);
    }
    bytes
}
