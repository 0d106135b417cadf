//! A Postgres server for a test.

use super::{LATER, eventually, free_port};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The role that owns everything.
const OWNER: &str = "owner";

/// A running `postgres` with an empty database, killed when dropped.
pub(crate) struct Postgres {
    child: Child,
    dir: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Postgres {
    /// Starts one that does not wait for its disk.
    pub(crate) async fn start() -> Self {
        Self::start_with(&["fsync=off"]).await
    }

    /// Starts one with these settings, each `name=value`.
    pub(crate) async fn start_with(settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        if let Some((user, group)) = server_user() {
            std::os::unix::fs::chown(dir.path(), Some(user), Some(group)).unwrap();
        }
        let made = as_server("initdb")
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-U"])
            .arg(OWNER)
            .arg("-D")
            .arg(data(dir.path()))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .status()
            .expect("initdb is installed");
        assert!(made.success(), "initdb failed");
        let port = free_port();
        let child = spawn(&mut as_server("postgres"), dir.path(), port, settings);
        let postgres = Self { child, dir, port };
        postgres.answers().await;
        postgres
    }

    /// The address of its database, as the owner of everything.
    pub(crate) fn url(&self) -> String {
        self.url_of(OWNER, "")
    }

    /// The same for another role.
    pub(crate) fn url_of(&self, role: &str, password: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/postgres", self.port)
    }

    /// The same, reached over another port (of a proxy).
    pub(crate) fn url_over(&self, port: u16) -> String {
        format!("postgres://{OWNER}@127.0.0.1:{port}/postgres")
    }

    /// A connection for arranging and checking.
    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// Runs statements.
    pub(crate) async fn run(&self, sql: &str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(sql)
            .execute(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The single value of the single row that a query returns.
    pub(crate) async fn one<T>(&self, sql: &str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        sqlx::query_scalar(sql)
            .fetch_one(&mut self.connection().await)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Stops the process without ending it, its sessions included: it accepts connections, and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets the process continue.
    pub(crate) fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    /// Ends it as a crash would, its sessions included.
    pub(crate) fn kill(&mut self) {
        self.signal_all(Signal::KILL);
        let _ = self.child.wait();
    }

    /// Starts it again on the same port and data, and waits until it answers.
    pub(crate) async fn restart(&mut self, settings: &[&str]) {
        self.kill();
        // A session that started while the others were killed holds the old shared memory for a moment: it gives up at
        // once.
        for _ in 0..20 {
            self.child = spawn(&mut as_server("postgres"), self.dir.path(), self.port, settings);
            tokio::time::sleep(Duration::from_millis(200)).await;
            if self.child.try_wait().unwrap().is_none() {
                break;
            }
        }
        self.answers().await;
    }

    /// The same, and none of its files may grow beyond this, as on a full disk.
    pub(crate) async fn restart_within(&mut self, bytes: u64) {
        self.kill();
        let limit = format!("--fsize={bytes}");
        self.child = spawn(
            as_server("prlimit").args([&limit, "postgres"]),
            self.dir.path(),
            self.port,
            &[],
        );
        self.answers().await;
    }

    /// Starts it again as a standby without a primary: it answers and accepts no writes.
    pub(crate) async fn becomes_standby(&mut self) {
        std::fs::write(data(self.dir.path()).join("standby.signal"), "").unwrap();
        self.restart(&["fsync=off"]).await;
    }

    /// Lets a standby accept writes again.
    pub(crate) async fn becomes_primary(&self) {
        self.run("SELECT pg_promote()").await;
    }

    async fn answers(&self) {
        let options: PgConnectOptions = self.url().parse().unwrap();
        eventually("postgres to answer", LATER, || async {
            let mut connection = options.connect().await.ok()?;
            connection.ping().await.ok()
        })
        .await;
    }

    /// The server and its children: each session is a process.
    fn signal_all(&self, signal: Signal) {
        let server = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        for pid in children.chain(i32::try_from(server)) {
            // A process that has ended meanwhile needs no signal.
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, signal));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.thaw();
        self.kill();
    }
}

fn data(dir: &Path) -> std::path::PathBuf {
    dir.join("data")
}

fn spawn(command: &mut Command, dir: &Path, port: u16, settings: &[&str]) -> Child {
    command.arg("-D").arg(data(dir)).args(["-p", &port.to_string()]);
    let own = ["listen_addresses=127.0.0.1", "unix_socket_directories="];
    for setting in own.iter().chain(settings) {
        command.args(["-c", setting]);
    }
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("postgres is installed")
}

/// A command of the server, which refuses to run as root.
pub(crate) fn as_server(program: &str) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = server_user() {
        command.uid(user).gid(group);
    }
    command.current_dir("/");
    command
}

/// The user that Debian's package creates for the server, where we are root.
pub(crate) fn server_user() -> Option<(u32, u32)> {
    let id = |what: &str, of: &str| -> Option<u32> {
        let output = Command::new("id").args([what, of]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    let own = Command::new("id").arg("-u").output().ok()?;
    if own.stdout != b"0\n" {
        return None;
    }
    Some((id("-u", "postgres")?, id("-g", "postgres")?))
}
