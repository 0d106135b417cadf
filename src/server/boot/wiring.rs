//! Puts the parts together: what each needs of the others is written here and nowhere else.

use crate::server::adapter::Adapter;
use crate::server::adapter::arq::Arq;
use crate::server::adapter::bullmq::{self, BullMq};
use crate::server::adapter::celery::Celery;
use crate::server::adapter::lists::Lists;
use crate::server::adapter::pgboss::{self, PgBoss};
use crate::server::adapter::postgres::database::Database;
use crate::server::adapter::recognised::Recognised;
use crate::server::adapter::redis::link::Link;
use crate::server::archive::Archive;
use crate::server::auth::Auth;
use crate::server::auth::settings::Mode;
use crate::server::collect::board::Board;
use crate::server::collect::collector::Collector;
use crate::server::collect::source::Source;
use crate::server::config::{Config, Store, StoreKind};
use crate::server::database::OwnData;
use crate::server::history;
use crate::server::http::state::{App, Parts};
use crate::server::operation::Operations;
use crate::server::redact::{Masks, Redactor};
use crate::server::service::Service;
use crate::server::service::act::ActionContext;
use crate::server::service::policies::runner::{self as policies, Policies};
use crate::server::status::Status;
use crate::server::tasks::Tasks;
use std::sync::Arc;

/// Builds every part and starts the collectors.
pub(super) fn start(config: Config, tasks: &Tasks) -> App {
    let board = Arc::new(Board::default());
    // It was compiled once when the configuration was checked.
    let redactor = Redactor::new(config.redact.clone()).unwrap_or_else(|why| unreachable!("checked: {why:?}"));
    let redactor = Arc::new(redactor);
    let mut collectors = Vec::new();
    for store in &config.stores {
        let (source, adapters) = open(store, Masks::new(redactor.clone(), &store.id));
        let collector = Arc::new(Collector::new(&store.id, source, adapters, board.clone()));
        collector.start(tasks);
        collectors.push((store.id.clone(), collector));
    }
    let archive = config
        .archive
        .clone()
        .and_then(|settings| match Archive::new(settings) {
            Ok(archive) => Some(Arc::new(archive)),
            Err(why) => {
                tracing::error!("the archive cannot be used: {why}");
                None
            }
        });
    if let Some(archive) = &archive {
        archive.start(tasks);
    }
    let shared = archive.as_ref().map(|archive| archive.shared().clone());
    let data = OwnData::new(shared, &config.audit_file);
    data.start(tasks);
    history::start(&collectors, &data, tasks);
    let actions = ActionContext::new(&config, tasks.clone());
    if let Some(archive) = &archive {
        actions.audit().share(archive, tasks);
    }
    let operations = operations(&config, &collectors, archive.as_ref(), &actions, &board, tasks);
    let status = config.status.clone().map(|settings| {
        let base = config.base_path.as_str();
        Status::start(settings, base, board.clone(), Some(data.clone()), tasks)
    });
    let policies = config.archive.as_ref().map_or(&[][..], |archive| &archive.policies);
    let service = Arc::new(Service::new(
        board.clone(),
        collectors.clone(),
        actions,
        operations,
        archive.clone(),
        Policies::new(policies),
        redactor,
    ));
    let auth = Arc::new(Auth::open(&config.auth, &config.base_path, data.clone()));
    let watching = auth.clone();
    tasks.keep("users and tokens", move || {
        let auth = watching.clone();
        async move { auth.keep_identity().await }
    });
    if matches!(auth.mode(), Mode::Password) {
        let keeping = auth.clone();
        tasks.keep("sessions", move || {
            let auth = keeping.clone();
            async move { auth.keep_sessions().await }
        });
    }
    if let Some(archive) = &archive {
        policies::start(&service, archive, tasks);
    }
    App::new(Parts {
        config,
        auth,
        board,
        collectors,
        service,
        status,
        data,
        tasks: tasks.clone(),
    })
}

/// The operations and their runner, or why there can be none.
fn operations(
    config: &Config,
    collectors: &[(String, Arc<Collector>)],
    archive: Option<&Arc<Archive>>,
    actions: &ActionContext,
    board: &Arc<Board>,
    tasks: &Tasks,
) -> Result<Arc<Operations>, String> {
    let folder = config.audit_file.with_file_name("operations");
    let operations = Operations::open(
        &folder,
        collectors.iter().cloned(),
        archive.cloned(),
        actions.audit().clone(),
        board.clone(),
        tasks,
    );
    let operations = operations.map_err(|error| {
        let why = format!("operations cannot be kept in {}: {error}", folder.display());
        tracing::error!("{why}");
        why
    })?;
    operations.share(!config.read_only);
    Ok(operations)
}

/// The connection to a store and the adapters of the systems that can be in it. The URL was checked with the configuration.
fn open(store: &Store, masks: Masks) -> (Source, Vec<Arc<dyn Adapter>>) {
    match store.kind {
        StoreKind::Redis => {
            let link =
                Arc::new(Link::open(store.target()).unwrap_or_else(|error| unreachable!("checked URL: {error}")));
            let scope = bullmq::Scope {
                prefixes: store.prefixes.clone(),
                queues: store.queues.clone(),
            };
            let bullmq = BullMq::new(link.clone(), scope, masks);
            let mut adapters: Vec<Arc<dyn Adapter>> = vec![Arc::new(bullmq)];
            // Prefixes and ids of Bull and BullMQ leave out everything else.
            if store.prefixes.is_empty() && store.queues.is_empty() {
                adapters.push(Arc::new(Celery::new(link.clone())));
                adapters.push(Arc::new(Arq::new(link.clone())));
                adapters.push(Arc::new(Recognised::new(link.clone())));
            }
            // First: what an operator describes is not taken for anything else.
            if !store.lists.is_empty() {
                adapters.insert(0, Arc::new(Lists::new(link.clone(), store.lists.clone())));
            }
            (Source::Redis(link), adapters)
        }
        StoreKind::Postgres => {
            let database = Database::new(&store.url).unwrap_or_else(|error| unreachable!("checked URL: {error}"));
            let database = Arc::new(database);
            let scope = pgboss::Scope {
                schemas: store.schemas.clone(),
            };
            let pgboss = PgBoss::new(database.clone(), scope, masks);
            (Source::Postgres(database), vec![Arc::new(pgboss)])
        }
    }
}
