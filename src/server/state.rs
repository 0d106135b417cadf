//! What every request can reach.

use super::archive::Archive;
use super::auth::Auth;
use super::auth::who::Who;
use super::collect::board::Board;
use super::collect::collector::Collector;
use super::config::Config;
use super::http::assets::Assets;
use super::http::pages::Rendered;
use super::operation::Operations;
use super::policy::Policies;
use super::redact::Redactor;
use super::service::Service;
use super::service::act::Desk;
use super::service::view::View;
use super::status::Status;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The running server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    config: Config,
    auth: Arc<Auth>,
    board: Arc<Board>,
    /// In the order of the configuration.
    collectors: Vec<(String, Arc<Collector>)>,
    service: Service,
    status: Option<Arc<Status>>,
    assets: Assets,
    rendered: Rendered,
    /// Cancelled when the server is asked to stop: streams say goodbye, `/readyz` says no.
    stop: CancellationToken,
    streams: AtomicUsize,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        config: Config,
        board: Arc<Board>,
        collectors: Vec<(String, Arc<Collector>)>,
        archive: Option<Arc<Archive>>,
        redactor: Arc<Redactor>,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> Self {
        let folder = config.audit_file.with_file_name("operations");
        let desk = Desk::new(&config, tasks.clone());
        if let Some(archive) = &archive {
            desk.audit().share(archive, tasks, &stop);
        }
        let operations = Operations::open(
            &folder,
            collectors.iter().cloned(),
            archive.clone(),
            desk.audit().clone(),
            board.clone(),
            tasks,
            &stop,
        );
        let operations = operations.map_err(|error| {
            let why = format!("operations cannot be kept in {}: {error}", folder.display());
            tracing::error!("{why}");
            why
        });
        if let Ok(operations) = &operations {
            operations.share(!config.read_only);
        }
        let base = config.base_path.as_str();
        let status = config.status.clone();
        let status = status.map(|settings| Status::start(settings, base, board.clone(), archive.clone(), tasks, &stop));
        let policies = config.archive.as_ref().map_or(&[][..], |archive| &archive.policies);
        let policies = Policies::new(policies);
        let service = Service::new(
            board.clone(),
            collectors.clone(),
            desk,
            operations,
            archive,
            policies,
            redactor,
        );
        let auth = Arc::new(Auth::open(&config.auth, &config.base_path));
        Self(Arc::new(Parts {
            config,
            auth,
            board,
            collectors,
            service,
            status,
            assets: Assets::find(),
            rendered: Rendered::default(),
            stop,
            streams: AtomicUsize::new(0),
        }))
    }

    /// What the operator decided.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Who gets in.
    #[must_use]
    pub fn auth(&self) -> &Arc<Auth> {
        &self.0.auth
    }

    /// The last known truth.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.0.board
    }

    /// The collectors with the ids of their stores.
    pub fn collectors(&self) -> impl Iterator<Item = (&str, &Arc<Collector>)> {
        self.0.collectors.iter().map(|(id, collector)| (id.as_str(), collector))
    }

    /// The use cases.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.0.service
    }

    /// What somebody may see.
    #[must_use]
    pub fn view<'a>(&'a self, who: &'a Who) -> View<'a> {
        self.service().view(who)
    }

    /// The status page, where something is published.
    #[must_use]
    pub fn status(&self) -> Option<&Arc<Status>> {
        self.0.status.as_ref()
    }

    /// What is archived by itself.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        self.0.service.policies()
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

    /// Cancelled when the server is asked to stop.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
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
        (taken < self.0.config.max_streams).then_some(place)
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
