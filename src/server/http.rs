//! Pages, JSON and streams over HTTP.
//!
//! [`router`] has every route on one screen. Around it, from the outside in: the base path is taken
//! off ([`base_path`]), requests that must not be here are refused and every answer gets its
//! headers ([`security`]).

pub mod api;
pub mod assets;
pub mod base_path;
pub mod caller;
pub mod events;
pub mod health;
pub mod openapi;
pub mod pages;
pub mod problem;
pub mod route;
pub mod router;
pub mod security;

use super::state::App;
use axum::ServiceExt;
use axum::extract::Request;
use axum::serve::ListenerExt as _;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A client that has taken nothing for this long is disconnected by the kernel: this is what ends a
/// stream to a browser that was put to sleep.
const STALLED: Duration = Duration::from_secs(30);

/// Serves until `stop`, then lets requests end.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(app: App, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
    let listener = listener.tap_io(tune);
    let service = base_path::Strip::new(app.config().base_path.clone(), router::router(app));
    let service = ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(service);
    axum::serve(listener, service)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// Frames are small and must leave at once; dead peers must not hold memory.
fn tune(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    if let Err(error) = socket2::SockRef::from(&*stream).set_tcp_user_timeout(Some(STALLED)) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT cannot be set");
    }
}
