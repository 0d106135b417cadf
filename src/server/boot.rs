//! From arguments to a running server and, in order, back to nothing.

use super::adapter::Adapter;
use super::adapter::bullmq::{self, BullMq};
use super::adapter::pgboss::{self, PgBoss};
use super::adapter::postgres::database::Database;
use super::adapter::redis::link::Link;
use super::archive::Archive;
use super::archive::flow::UNCONFIGURED;
use super::args::{Args, AuditCommand, Command, ConfigCommand};
use super::collect::board::Board;
use super::collect::collector::Collector;
use super::collect::source::Source;
use super::config::{self, Config, EXIT_CONFIG, Listen, Store, StoreKind, print};
use super::redact::{Masks, Redactor};
use super::state::App;
use super::{history, http, limits, policy, telemetry};
use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod people;
mod verify;

/// How long requests may take to end after the server was asked to stop. Streams end at once.
const DRAIN: Duration = Duration::from_secs(8);

/// Does what the command line says.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let config = match config::load(args.config.as_deref(), &env) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("drover: {problems}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    match args.command.clone().unwrap_or(Command::Serve) {
        Command::Serve => serve_until_told(config),
        Command::Audit {
            command: AuditCommand::Verify { expect },
        } => verify::verify(&config, expect.as_deref()),
        Command::User { command } => people::user(&config, command),
        Command::Token { command } => people::token(&config, command),
        Command::Migrate => migrate(&config),
        Command::Healthcheck => healthcheck(&config.listen),
        Command::Config { command } => {
            for warning in &config.warnings {
                eprintln!("warning: {warning}");
            }
            match command {
                ConfigCommand::Check => println!("the configuration is good: {} store(s)", config.stores.len()),
                ConfigCommand::Print => print!("{}", print::print(&config)),
            }
            ExitCode::SUCCESS
        }
    }
}

/// Makes the tables of the archive with the configured role.
fn migrate(config: &Config) -> ExitCode {
    let archive = config.archive.clone().ok_or_else(|| UNCONFIGURED.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = archive.and_then(|settings| {
        let runtime = runtime.map_err(|error| format!("the runtime cannot start: {error}"))?;
        // Its pools want a runtime from the moment they are made.
        runtime.block_on(async {
            let archive = Archive::new(settings)?;
            let steps = archive.migrate().await?;
            Ok((archive.address().to_owned(), steps))
        })
    });
    match done {
        Ok((address, 0)) => println!("the schema drover at {address} is up to date"),
        Ok((address, steps)) => println!("the schema drover at {address} is up to date now: {steps} step(s)"),
        Err(why) => {
            eprintln!("drover: {why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn serve_until_told(mut config: Config) -> ExitCode {
    if let Err(why) = telemetry::init(&config.log, config.log_format) {
        eprintln!("drover: {why}");
        return ExitCode::from(EXIT_CONFIG);
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let files = limits::raise();
    let wanted = config.max_streams;
    config.max_streams = limits::streams(wanted, files);
    tracing::info!(
        open_files = files.map_or_else(|| "unlimited".to_owned(), |n| n.to_string()),
        max_streams = config.max_streams,
        "limits"
    );
    if config.max_streams < wanted {
        tracing::warn!(
            "only {} event streams at once instead of {wanted}: raise the limit of open files (ulimit -n, LimitNOFILE=)",
            config.max_streams
        );
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("drover: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let listen = config.listen.clone();
        let listener = match http::Listening::on(&listen).await {
            Ok(listener) => listener,
            Err(error) => {
                eprintln!("drover: cannot listen on {listen}: {error}. Set DROVER_LISTEN to another address.");
                return ExitCode::FAILURE;
            }
        };
        let stop = CancellationToken::new();
        let on_signal = stop.clone();
        tokio::spawn(async move {
            wait_for_signal().await;
            tracing::info!("asked to stop: ending streams");
            on_signal.cancel();
        });
        match serve(config, listener, stop).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("drover: the server failed: {error}");
                ExitCode::FAILURE
            }
        }
    });
    // Whatever still runs (a read from a frozen store) must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}

async fn wait_for_signal() {
    let interrupt = signal(SignalKind::interrupt());
    let terminate = signal(SignalKind::terminate());
    match (interrupt, terminate) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without handlers the process ends on a signal anyway.
        _ => std::future::pending().await,
    }
}

/// Serves on `listener` until `stop` is cancelled and requests have ended, for at most [`DRAIN`].
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    config: Config,
    listener: impl Into<http::Listening>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let tasks = TaskTracker::new();
    let alone = listen_alone(&config).await?;
    let app = start(config, &tasks, &stop);
    if let (Some(alone), Some(status)) = (alone, app.status()) {
        let serving = http::status::serve(status.clone(), alone, stop.clone());
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!("the status page is no longer served on its own: {error}");
            }
        });
    }
    let listening = listener.into();
    let place = listening.place();
    tracing::info!(
        address = place,
        auth = app.auth().mode().as_str(),
        base_path = app.config().base_path.as_str(),
        stores = app.config().stores.len(),
        "serving {place}{}",
        app.config().base_path.href("/")
    );
    let serving = http::serve(app, listening, stop.clone());
    let result = tokio::select! {
        result = serving => result,
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => {
            tracing::warn!("requests were cut off after {} s", DRAIN.as_secs());
            Ok(())
        }
    };
    stop.cancel();
    tasks.close();
    let _ = tokio::time::timeout(Duration::from_secs(1), tasks.wait()).await;
    result
}

/// The status page's own listener, where one is configured.
async fn listen_alone(config: &Config) -> std::io::Result<Option<TcpListener>> {
    let Some(address) = config.status.as_ref().and_then(|status| status.listen) else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let why = format!(
            "cannot listen on {address} for the status page: {error}. Set DROVER_STATUS_LISTEN to another address."
        );
        std::io::Error::new(error.kind(), why)
    })?;
    tracing::info!(%address, "the status page alone at http://{address}/");
    Ok(Some(listener))
}

/// Builds every part and starts the collectors.
fn start(config: Config, tasks: &TaskTracker, stop: &CancellationToken) -> App {
    let board = Arc::new(Board::default());
    // It was compiled once when the configuration was checked.
    let redactor = Redactor::new(config.redact.clone()).unwrap_or_else(|why| unreachable!("checked: {why:?}"));
    let redactor = Arc::new(redactor);
    let mut collectors = Vec::new();
    for store in &config.stores {
        let (source, adapter) = open(store, Masks::new(redactor.clone(), &store.id));
        let collector = Arc::new(Collector::new(&store.id, source.clone(), adapter, board.clone()));
        tasks.spawn(source.supervise(stop.clone()));
        collector.start(tasks, stop);
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
        archive.start(tasks, stop);
        history::start(&collectors, archive, tasks, stop);
    }
    let app = App::new(
        config,
        board,
        collectors,
        archive.clone(),
        redactor,
        stop.clone(),
        tasks,
    );
    if let Some(archive) = &archive {
        policy::start(&app, archive, tasks, stop);
    }
    app
}

/// The connection to a store and what reads its queues. The URL was checked with the configuration.
fn open(store: &Store, masks: Masks) -> (Source, Arc<dyn Adapter>) {
    match store.kind {
        StoreKind::Redis => {
            let link = Arc::new(
                Link::trusting(&store.url, store.authorities.as_deref())
                    .unwrap_or_else(|error| unreachable!("checked URL: {error}")),
            );
            let scope = bullmq::Scope {
                prefixes: store.prefixes.clone(),
                queues: store.queues.clone(),
            };
            (Source::Redis(link.clone()), Arc::new(BullMq::new(link, scope, masks)))
        }
        StoreKind::Postgres => {
            let database = Database::new(&store.url).unwrap_or_else(|error| unreachable!("checked URL: {error}"));
            let database = Arc::new(database);
            let scope = pgboss::Scope {
                schemas: store.schemas.clone(),
            };
            (
                Source::Postgres(database.clone()),
                Arc::new(PgBoss::new(database, scope, masks)),
            )
        }
    }
}

/// Asks `/readyz` of the server that this configuration would start.
fn healthcheck(listen: &Listen) -> ExitCode {
    let limit = Duration::from_secs(2);
    let answer = match listen {
        Listen::Tcp(address) => TcpStream::connect_timeout(address, limit).and_then(|stream| {
            stream.set_read_timeout(Some(limit))?;
            ask(stream)
        }),
        Listen::Unix(path) => UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(limit))?;
            ask(stream)
        }),
    };
    match answer {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => {
            println!("ready");
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            eprintln!(
                "drover: {listen} is not ready: {}",
                answer.lines().next().unwrap_or("no answer")
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("drover: no answer from {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask(mut stream: impl std::io::Read + std::io::Write) -> std::io::Result<String> {
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer)
}
