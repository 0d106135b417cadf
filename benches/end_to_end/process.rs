//! The measured processes: a Redis and a Drover of our own, each ended when its handle is dropped.

use crate::Outcome;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a process may take to answer for the first time.
const START: Duration = Duration::from_secs(15);

/// Clock ticks a second in `/proc`; Linux has told user space 100 on every machine for decades.
const TICKS: u64 = 100;

/// A free port below the range for outgoing connections, one of which could take it before its use.
pub(crate) fn free_port() -> Outcome<u16> {
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = std::iter::repeat_with(|| rand::random_range(10_000..32_000));
    ports.find(free).ok_or_else(|| "no port is free".into())
}

/// A running `redis-server` without persistence and without a memory limit.
#[derive(Debug)]
pub(crate) struct Redis {
    child: Child,
    _dir: TempDir,
    port: u16,
}

impl Redis {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Outcome<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port()?;
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(["--maxmemory", "0", "--dir"])
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server cannot be started: {error}"))?;
        let redis = Self { child, _dir: dir, port };
        let began = Instant::now();
        loop {
            if let Ok(mut connection) = redis.connection()
                && redis::cmd("PING").query::<String>(&mut connection).is_ok()
            {
                return Ok(redis);
            }
            if began.elapsed() > START {
                return Err(format!("redis-server on port {port} does not answer").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A blocking connection.
    pub(crate) fn connection(&self) -> Outcome<redis::Connection> {
        Ok(redis::Client::open(self.url())?.get_connection()?)
    }

    /// A number from its `INFO`.
    pub(crate) fn info(&self, field: &str) -> Outcome<f64> {
        let text: String = redis::cmd("INFO").arg("everything").query(&mut self.connection()?)?;
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(found.ok_or_else(|| format!("INFO has no {field}"))?.trim().parse()?)
    }

    /// Processor seconds it has used, including its own background threads.
    pub(crate) fn cpu(&self) -> Outcome<f64> {
        Ok(self.info("used_cpu_user")? + self.info("used_cpu_sys")?)
    }

    /// Commands it has processed. Reading this number costs commands too: see `rows::commands`.
    pub(crate) fn commands(&self) -> Outcome<f64> {
        self.info("total_commands_processed")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Which Drover to measure: `TESTED_DROVER`, else the release build.
pub(crate) fn find_drover() -> Outcome<PathBuf> {
    let path = match std::env::var_os("TESTED_DROVER") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/drover"),
    };
    if !path.is_file() {
        return Err(format!(
            "There is no {}. Run `make build`, or set TESTED_DROVER.",
            path.display()
        )
        .into());
    }
    let path = path.canonicalize()?;
    if path.components().any(|part| part.as_os_str() == "debug") {
        return Err(format!(
            "{} is a debug build, and its figures would mean nothing. Run `make build`, or set TESTED_DROVER.",
            path.display()
        )
        .into());
    }
    Ok(path)
}

/// A running Drover.
#[derive(Debug)]
pub(crate) struct Drover {
    child: Child,
    dir: TempDir,
    /// Where it listens, on this machine.
    pub(crate) port: u16,
}

impl Drover {
    /// Starts one over a Redis; does not wait for it. This process's environment and folder do not configure it.
    pub(crate) fn spawn(binary: &Path, redis: &Redis) -> Outcome<Self> {
        Self::spawn_with(binary, redis, &[])
    }

    /// The same with so many open files at most.
    pub(crate) fn spawn_within(binary: &Path, redis: &Redis, files: u32) -> Outcome<Self> {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -n {files}; exec \"$0\"")])
            .arg(binary);
        Self::run(command, redis, &[])
    }

    /// The same with additional configuration.
    pub(crate) fn spawn_with(binary: &Path, redis: &Redis, more: &[(&str, String)]) -> Outcome<Self> {
        Self::run(Command::new(binary), redis, more)
    }

    fn run(mut command: Command, redis: &Redis, more: &[(&str, String)]) -> Outcome<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port()?;
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DROVER_") {
                command.env_remove(name);
            }
        }
        let log = std::fs::File::create(dir.path().join("log"))?;
        let child = command
            .env("DROVER_REDIS_URL", redis.url())
            .env("DROVER_LISTEN", format!("127.0.0.1:{port}"))
            .env("DROVER_LOG", "warn")
            .env("DROVER_AUDIT_FILE", dir.path().join("audit.ndjson"))
            .envs(more.iter().map(|(name, value)| (name, value)))
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("Drover cannot be started: {error}"))?;
        Ok(Self { child, dir, port })
    }

    /// What it has logged, for messages.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Kilobytes from a line of `/proc/<pid>/status`.
    fn status_kb(&self, field: &str) -> Outcome<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let words = found.ok_or_else(|| format!("the system tells no {field}"))?;
        Ok(words.split_whitespace().next().unwrap_or_default().parse()?)
    }

    /// Memory it holds now, in kilobytes.
    pub(crate) fn rss_kb(&self) -> Outcome<u64> {
        self.status_kb("VmRSS")
    }

    /// The most it has held since the start or since [`Drover::forget_peak`], in kilobytes.
    pub(crate) fn peak_kb(&self) -> Outcome<u64> {
        self.status_kb("VmHWM")
    }

    /// Starts a new peak.
    pub(crate) fn forget_peak(&self) -> Outcome<()> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?)
    }

    /// Processor seconds it has used.
    pub(crate) fn cpu(&self) -> Outcome<f64> {
        cpu_of(&self.child.id().to_string())
    }
}

impl Drop for Drover {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor seconds this process has used: the load and the clients.
pub(crate) fn own_cpu() -> Outcome<f64> {
    cpu_of("self")
}

fn cpu_of(process: &str) -> Outcome<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the name in brackets, which may hold spaces.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |n: usize| {
        rest.split_whitespace()
            .nth(n)
            .and_then(|word| word.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Ok(crate::measure::float(field(11) + field(12)) / crate::measure::float(TICKS))
}

/// Memory that is available without swapping, in megabytes.
pub(crate) fn free_memory_mb() -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let found = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kb: u64 = found
        .unwrap_or_default()
        .split_whitespace()
        .next()
        .unwrap_or("0")
        .parse()?;
    Ok(kb / 1024)
}
