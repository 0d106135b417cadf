//! What every request can reach.

use super::api::queues::Listed;
use super::assets::Assets;
use super::pages::Rendered;
use crate::server::auth::Auth;
use crate::server::auth::who::Who;
use crate::server::collect::board::Board;
use crate::server::collect::collector::Collector;
use crate::server::config::Config;
use crate::server::database::OwnData;
use crate::server::service::Service;
use crate::server::service::view::View;
use crate::server::status::Status;
use crate::server::tasks::Tasks;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;

/// The running server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<State>);

#[derive(Debug)]
struct State {
    parts: Parts,
    assets: Assets,
    rendered: Rendered,
    listed: Listed,
    streams: AtomicUsize,
}

/// What `boot` builds the server from.
#[derive(Debug)]
pub struct Parts {
    /// What the operator decided.
    pub config: Config,
    /// Sign-in and permissions.
    pub auth: Arc<Auth>,
    /// The last known state of stores and queues.
    pub board: Arc<Board>,
    /// By the ids of their stores, in the order of the configuration.
    pub collectors: Vec<(String, Arc<Collector>)>,
    /// The use cases.
    pub service: Arc<Service>,
    /// The status page, where something is published.
    pub status: Option<Arc<Status>>,
    /// Drover's own data.
    pub data: OwnData,
    /// The tasks that run as long as the server does.
    pub tasks: Tasks,
}

impl App {
    /// The server of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(State {
            parts,
            assets: Assets::find(),
            rendered: Rendered::default(),
            listed: Listed::default(),
            streams: AtomicUsize::new(0),
        }))
    }

    /// What the operator decided.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.parts.config
    }

    /// Sign-in and permissions.
    #[must_use]
    pub fn auth(&self) -> &Arc<Auth> {
        &self.0.parts.auth
    }

    /// The last known state of stores and queues.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.0.parts.board
    }

    /// The collectors with the ids of their stores.
    pub fn collectors(&self) -> impl Iterator<Item = (&str, &Arc<Collector>)> {
        self.0
            .parts
            .collectors
            .iter()
            .map(|(id, collector)| (id.as_str(), collector))
    }

    /// The use cases.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.0.parts.service
    }

    /// What a caller may see.
    #[must_use]
    pub fn view<'a>(&'a self, who: &'a Who) -> View<'a> {
        self.service().view(who)
    }

    /// The status page, where something is published.
    #[must_use]
    pub fn status(&self) -> Option<&Arc<Status>> {
        self.0.parts.status.as_ref()
    }

    /// Drover's own data.
    #[must_use]
    pub fn data(&self) -> &OwnData {
        &self.0.parts.data
    }

    /// Scripts, styles and icons.
    #[must_use]
    pub fn assets(&self) -> &Assets {
        &self.0.assets
    }

    /// Pages rendered a moment ago.
    #[must_use]
    pub fn rendered(&self) -> &Rendered {
        &self.0.rendered
    }

    /// The list of queues, made a moment ago.
    #[must_use]
    pub fn listed(&self) -> &Listed {
        &self.0.listed
    }

    /// The tasks that run as long as the server does.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.0.parts.tasks
    }

    /// Cancelled when the server is asked to stop: streams end, and `/readyz` answers 503.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        self.0.parts.tasks.stop()
    }

    /// Event streams being served.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.0.streams.load(Ordering::Relaxed)
    }

    /// A place for one more event stream, given back when dropped; `None` if all are taken.
    #[must_use]
    pub fn open_stream(&self) -> Option<StreamPlace> {
        let taken = self.0.streams.fetch_add(1, Ordering::Relaxed);
        let place = StreamPlace(self.clone());
        (taken < self.0.parts.config.max_streams).then_some(place)
    }
}

/// One event stream's place among those served at once.
#[derive(Debug)]
pub struct StreamPlace(App);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
