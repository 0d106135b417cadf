//! A Postgres to archive to, or to keep jobs in: one that waits for its disk, as in production.

use crate::Outcome;
use crate::process::free_port;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to answer.
const START: Duration = Duration::from_secs(20);

/// A running `postgres`.
#[derive(Debug)]
pub(crate) struct Postgres {
    child: Child,
    _dir: TempDir,
    port: u16,
}

impl Postgres {
    /// Starts one and waits until it answers.
    pub(crate) async fn start() -> Outcome<Self> {
        let dir = tempfile::tempdir()?;
        let owner = owner();
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(dir.path(), Some(user), Some(group))?;
        }
        let data = dir.path().join("data");
        let command = |program: &str| {
            let mut command = Command::new(program);
            if let Some((user, group)) = owner {
                // The server refuses to run as root.
                command.uid(user).gid(group);
            }
            command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let made = command("initdb")
            .args([
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "-U",
                "owner",
                "-D",
            ])
            .arg(&data)
            .status()
            .map_err(|error| format!("initdb cannot be started: {error}"))?;
        if !made.success() {
            return Err("initdb failed".into());
        }
        let port = free_port()?;
        let child = command("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .spawn()
            .map_err(|error| format!("postgres cannot be started: {error}"))?;
        let postgres = Self { child, _dir: dir, port };
        let began = Instant::now();
        while postgres.connection().await.is_err() {
            if began.elapsed() > START {
                return Err(format!("postgres on port {port} does not answer").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(postgres)
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("postgres://owner@127.0.0.1:{}/postgres", self.port)
    }

    /// A connection.
    pub(crate) async fn connection(&self) -> Outcome<PgConnection> {
        Ok(PgConnection::connect(&self.url()).await?)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The user that Debian's package creates for the server, where we are root.
fn owner() -> Option<(u32, u32)> {
    let id = |words: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(words).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    (id(&["-u"])? == 0)
        .then(|| Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?)))
        .flatten()
}
