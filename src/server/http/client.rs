//! The other end of a connection, whichever kind of socket it came through.

use super::connections::{ConnectionState, LimitedListener, state_of};
use crate::server::auth::Peer;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener};

/// What every request carries of its connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// Who is at the other end.
    pub peer: Peer,
    /// The connection.
    pub state: Arc<ConnectionState>,
}

impl Connected<IncomingStream<'_, LimitedListener<Tuned>>> for Client {
    fn connect_info(stream: IncomingStream<'_, LimitedListener<Tuned>>) -> Self {
        Self {
            peer: Peer::Ip(stream.remote_addr().ip()),
            state: state_of(&stream),
        }
    }
}

impl Connected<IncomingStream<'_, LimitedListener<UnixListener>>> for Client {
    fn connect_info(stream: IncomingStream<'_, LimitedListener<UnixListener>>) -> Self {
        Self {
            peer: Peer::Socket,
            state: state_of(&stream),
        }
    }
}

/// A client that has taken nothing for this long is disconnected by the kernel: this is what ends a
/// stream to a browser that was put to sleep.
const STALLED: Duration = Duration::from_secs(30);

/// Listens on an address. Frames are small and must leave at once; dead peers must not hold memory.
#[derive(Debug)]
pub struct Tuned(pub TcpListener);

impl Listener for Tuned {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY cannot be set");
        }
        if let Err(error) = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(STALLED)) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT cannot be set");
        }
        (stream, address)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
