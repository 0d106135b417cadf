//! Pages, JSON and streams over HTTP.
//!
//! [`router`] has every route on one screen. Around it, from the outside in: connections are
//! limited ([`connections`]), the base path is taken off ([`base_path`]), requests that are not allowed
//! are refused and every answer gets its headers ([`security`]).

pub mod api;
pub mod assets;
pub mod base_path;
pub mod caller;
pub mod client;
pub mod connections;
pub mod encoding;
pub mod events;
pub mod extract;
pub mod health;
pub mod metrics;
pub mod openapi;
pub mod pages;
pub mod problem;
pub mod route;
pub mod router;
pub mod security;
pub mod state;
pub mod status;

use self::state::App;
use super::config::Listen;
use axum::ServiceExt;
use axum::extract::Request;
use connections::{ConnectionLimit, LimitedListener, TrackRequests};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// Serves until `stop`, then lets requests end.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    app: App,
    listening: Listening,
    places: Arc<ConnectionLimit>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let base = app.config().base_path.clone();
    let service = base_path::Strip::new(base, known(), router::router(app));
    let service = TrackRequests::new(service);
    let service = ServiceExt::<Request>::into_make_service_with_connect_info::<client::Client>(service);
    match listening {
        Listening::Tcp(listener) => {
            axum::serve(LimitedListener::new(client::Tuned(listener), places), service)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await
        }
        Listening::Unix(listener) => {
            axum::serve(LimitedListener::new(listener, places), service)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await
        }
    }
}

/// The paths of the board.
#[must_use]
pub fn known() -> base_path::Known {
    base_path::Known::of(
        router::declared()
            .into_iter()
            .map(|route| route.path)
            .chain(status::paths()),
    )
}

/// A socket that accepts connections.
#[derive(Debug)]
pub enum Listening {
    /// Of an address.
    Tcp(TcpListener),
    /// Of the file system.
    Unix(UnixListener),
}

impl Listening {
    /// Begins.
    ///
    /// # Errors
    ///
    /// When the address is taken, or the path is not ours to use.
    pub async fn on(listen: &Listen) -> std::io::Result<Self> {
        match listen {
            Listen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Listen::Unix(path) => {
                // Removes a socket that an earlier Drover left behind, but not one that another process listens on.
                let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
                if is_socket && UnixStream::connect(path).await.is_err() {
                    std::fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                Ok(Self::Unix(listener))
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| String::new(), |a| format!("http://{a}")),
            Self::Unix(listener) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                path.map_or_else(String::new, |path| format!("unix:{} ", path.display()))
            }
        }
    }
}

impl From<TcpListener> for Listening {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}
