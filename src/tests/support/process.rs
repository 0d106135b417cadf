//! The real binary, in a process of its own: for properties that a process has and a task does not.

use super::{eventually, free_port};
use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running `drover`, killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) port: u16,
    url: String,
    pub(crate) began: Instant,
    log: tempfile::NamedTempFile,
    /// More of its environment.
    env: Vec<(&'static str, String)>,
    /// Where it keeps the audit log.
    pub(crate) state: tempfile::TempDir,
}

impl Process {
    /// Starts the board over one Redis, with at most so many open files, and waits until it serves.
    pub(crate) async fn over(url: &str, files: Option<u32>) -> Self {
        Self::at(free_port(), url, files).await
    }

    /// The same, on a port where a client already waits for it.
    pub(crate) async fn at(port: u16, url: &str, files: Option<u32>) -> Self {
        Self::again(port, url, files, tempfile::tempdir().unwrap()).await
    }

    /// The same, with the state that another one left behind.
    pub(crate) async fn again(port: u16, url: &str, files: Option<u32>, state: tempfile::TempDir) -> Self {
        Self::start(port, url, files, state, vec![]).await
    }

    /// Starts the board over one Redis, with more in its environment.
    pub(crate) async fn with(url: &str, env: Vec<(&'static str, String)>) -> Self {
        Self::start(free_port(), url, None, tempfile::tempdir().unwrap(), env).await
    }

    async fn start(
        port: u16,
        url: &str,
        files: Option<u32>,
        state: tempfile::TempDir,
        env: Vec<(&'static str, String)>,
    ) -> Self {
        let began = Instant::now();
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = spawn(port, url, files, state.path(), &log, &env);
        let process = Self {
            child,
            port,
            url: url.to_owned(),
            began,
            log,
            env,
            state,
        };
        process.serves().await;
        process
    }

    async fn serves(&self) {
        eventually("the process serves", super::SOON, || async {
            let connected = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await;
            connected.ok().map(|_| ())
        })
        .await;
    }

    /// Ends it as a power cut does, and starts it again with the data it kept.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(self.port, &self.url, None, self.state.path(), &self.log, &self.env);
        self.serves().await;
    }

    /// Ends it as a crash would, and returns its state.
    pub(crate) fn crash(mut self) -> tempfile::TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.state, tempfile::tempdir().unwrap())
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        self.log.reopen().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Its memory, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Files that it has open.
    pub(crate) fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Asks it to stop, and returns how it ended.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let began = Instant::now();
        let sent = Command::new("kill")
            .arg("-TERM")
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < super::LATER, "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(
    port: u16,
    url: &str,
    files: Option<u32>,
    state: &std::path::Path,
    log: &tempfile::NamedTempFile,
    env: &[(&'static str, String)],
) -> Child {
    let limit = files.map_or_else(String::new, |n| format!("ulimit -n {n}; "));
    Command::new("sh")
        .args(["-c", &format!("{limit}exec \"$0\" serve"), env!("CARGO_BIN_EXE_drover")])
        .env("DROVER_REDIS_URL", url)
        .env("DROVER_LISTEN", format!("127.0.0.1:{port}"))
        .env("DROVER_CONFIG", "/dev/null")
        .env("DROVER_AUDIT_FILE", state.join("audit.ndjson"))
        .env("NO_COLOR", "1")
        .envs(env.iter().map(|(name, value)| (*name, value)))
        .stdout(Stdio::null())
        .stderr(log.reopen().unwrap())
        .spawn()
        .unwrap()
}

/// Runs Drover's own command line: its exit code, and its output. Without a configuration except `env`.
pub(crate) async fn command(arguments: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_drover"))
        .args(arguments)
        .env("DROVER_CONFIG", "/dev/null")
        .envs(env.iter().copied())
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// `drover migrate` as the role of a URL: whether it succeeded, and its output.
pub(crate) async fn migrate(url: &str) -> (bool, String) {
    let (code, text) = command(&["migrate"], &[("DROVER_POSTGRES_URL", url)]).await;
    (code == Some(0), text)
}
