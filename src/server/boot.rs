//! From arguments to a running server and, in order, back to nothing.

use super::archive::Archive;
use super::archive::flow::UNCONFIGURED;
use super::args::{Args, AuditCommand, Command, ConfigCommand};
use super::auth::trusted::Trusted;
use super::config::{self, Config, EXIT_CONFIG, Listen, print};
use super::http::connections::{ConnectionLimit, Timeouts};
use super::limits::Shares;
use super::status::Status;
use super::tasks::Tasks;
use super::{http, limits, telemetry};
use crate::model::format;
use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[macro_use]
mod say;
mod export;
mod people;
mod verify;
mod wiring;

/// How long requests may take to end after the server was asked to stop. Streams end at once.
const DRAIN: Duration = Duration::from_secs(8);

/// Does what the command line says.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let mut config = match config::load_here(args.config.as_deref()) {
        Ok(config) => config,
        Err(problems) => {
            say_error!("drover: {problems}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    config.warnings.extend(http::known().warning(&config.base_path));
    match args.command.clone().unwrap_or(Command::Serve) {
        Command::Serve => serve_until_told(config),
        Command::Audit {
            command: AuditCommand::Verify { expect },
        } => verify::verify(&config, expect.as_deref()),
        Command::Audit {
            command: AuditCommand::Export { follow },
        } => export::export(&config, follow),
        Command::User { command } => people::user(&config, command),
        Command::Token { command } => people::token(&config, command),
        Command::Migrate => migrate(&config),
        Command::Healthcheck => healthcheck(&config.listen),
        Command::Config { command } => {
            for warning in &config.warnings {
                say_error!("warning: {warning}");
            }
            match command {
                ConfigCommand::Check => say!(
                    "the configuration is good: {}",
                    format::counted(config.stores.len() as u64, "store", "stores")
                ),
                ConfigCommand::Print => say!("{}", print::print(&config).trim_end()),
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
        Ok((address, 0)) => say!("the schema drover at {address} is up to date"),
        Ok((address, steps)) => say!(
            "updated the schema drover at {address}: {}",
            format::counted(steps as u64, "step", "steps")
        ),
        Err(why) => {
            say_error!("drover: {why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn serve_until_told(config: Config) -> ExitCode {
    if let Err(why) = telemetry::init(&config.log, config.log_format) {
        say_error!("drover: {why}");
        return ExitCode::from(EXIT_CONFIG);
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    limits::raise();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say_error!("drover: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let listen = config.listen.clone();
        let listener = match http::Listening::on(&listen).await {
            Ok(listener) => listener,
            Err(error) => {
                say_error!("drover: cannot listen on {listen}: {error}. Set DROVER_LISTEN to another address.");
                return ExitCode::FAILURE;
            }
        };
        let tasks = Tasks::new(CancellationToken::new());
        let stop = tasks.stop().clone();
        tasks.keep_closing("signals", move || stop_on_signal(stop.clone()));
        match serve(config, listener, tasks).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say_error!("drover: the server failed: {error}");
                ExitCode::FAILURE
            }
        }
    });
    // Whatever still runs (a read from a frozen store) must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}

/// Stops the server on a signal. It cancels before it logs, so that a failing log cannot keep the server running.
async fn stop_on_signal(stop: CancellationToken) {
    wait_for_signal().await;
    stop.cancel();
    tracing::info!("shutting down: ending streams");
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

/// Serves on `listener` until the stop, and until requests have ended, for at most [`DRAIN`].
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    mut config: Config,
    listener: impl Into<http::Listening>,
    tasks: impl Into<Tasks>,
) -> std::io::Result<()> {
    let tasks = tasks.into();
    let stop = tasks.stop().clone();
    let shares = share(&mut config);
    let limit = |most: usize| ConnectionLimit::new(most, Timeouts::default());
    let alone = listen_alone(&config).await?;
    let app = wiring::start(config, &tasks);
    if let (Some(alone), Some(status)) = (alone, app.status()) {
        serve_alone(
            alone,
            status.clone(),
            app.config().auth.trusted.clone(),
            limit(shares.status),
            &tasks,
        )?;
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
    let serving = http::serve(app, listening, limit(shares.board), stop.clone());
    let result = tokio::select! {
        result = serving => result,
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => {
            tracing::warn!("requests were cut off after {} s", DRAIN.as_secs());
            Ok(())
        }
    };
    stop.cancel();
    tasks.ended(Duration::from_secs(1)).await;
    result
}

/// Divides the open files, and logs how.
fn share(config: &mut Config) -> Shares {
    let files = limits::files();
    let wanted = config.max_streams;
    let shares = Shares::of(files, config);
    config.max_streams = shares.streams;
    tracing::info!(
        open_files = files.map_or_else(|| "unlimited".to_owned(), |n| n.to_string()),
        max_connections = shares.board,
        max_streams = shares.streams,
        "limits"
    );
    if shares.streams < wanted {
        tracing::warn!(
            "only {} event streams at once instead of {wanted}: raise the limit of open files (ulimit -n, LimitNOFILE=)",
            shares.streams
        );
    }
    shares
}

/// Serves the status page on its own listener, which stays open should what serves it fail.
fn serve_alone(
    listener: TcpListener,
    status: Arc<Status>,
    trusted: Trusted,
    places: Arc<ConnectionLimit>,
    tasks: &Tasks,
) -> std::io::Result<()> {
    let listener = listener.into_std()?;
    let stop = tasks.stop().clone();
    tasks.keep_closing("status listener", move || {
        let listener = listener.try_clone().and_then(TcpListener::from_std);
        let (status, trusted, places, stop) = (status.clone(), trusted.clone(), places.clone(), stop.clone());
        async move {
            let served = match listener {
                Ok(listener) => http::status::serve(status, trusted, listener, places, stop).await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                tracing::error!("the status page is no longer served on its own: {error}");
            }
        }
    });
    Ok(())
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
            say!("ready");
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            say_error!(
                "drover: {listen} is not ready: {}",
                answer.lines().next().unwrap_or("no answer")
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            say_error!("drover: no answer from {listen}: {error}");
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
