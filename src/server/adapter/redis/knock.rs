//! A look at what is behind an address, when a connection to it cannot be made.
//!
//! The library's errors do not tell a silent server from a silent host, TLS that meets plain text from
//! either, or "no room for another client" from a wrong password. A bare socket does.

use redis::ConnectionAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// What was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// The name has no address.
    NoAddress,
    /// No connection was made.
    Unreachable,
    /// A connection, and no answer.
    Silence,
    /// A connection, and this answer.
    Words(String),
}

/// Connects to the address. With `ask` it sends a plain `PING`; without, it reads only what the server sends unasked.
pub(super) async fn knock(address: &ConnectionAddr, ask: bool) -> Behind {
    let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) = address else {
        return Behind::Silence;
    };
    let named = timeout(PATIENCE, lookup_host((host.as_str(), *port))).await;
    let Some(address) = named.ok().and_then(Result::ok).and_then(|mut all| all.next()) else {
        return Behind::NoAddress;
    };
    let Ok(Ok(mut socket)) = timeout(PATIENCE, TcpStream::connect(address)).await else {
        return Behind::Unreachable;
    };
    if ask && socket.write_all(b"PING\r\n").await.is_err() {
        return Behind::Silence;
    }
    let mut words = [0; 128];
    match timeout(PATIENCE, socket.read(&mut words)).await {
        Ok(Ok(n @ 1..)) => Behind::Words(String::from_utf8_lossy(&words[..n]).into_owned()),
        _ => Behind::Silence,
    }
}
