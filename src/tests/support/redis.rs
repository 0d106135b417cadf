//! A Redis server for a test.

use super::free_port;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The users that are shipped.
const USERS: &str = include_str!("../../../deploy/redis/users.acl");

/// The rules of a user that is shipped.
pub(crate) fn shipped(user: &str) -> Vec<&'static str> {
    let line = USERS
        .lines()
        .find_map(|line| line.strip_prefix(&format!("user {user} ")));
    line.unwrap_or_else(|| panic!("there is no user {user}"))
        .split(' ')
        .collect()
}

/// A running `redis-server`, killed when dropped.
pub(crate) struct Redis {
    child: Child,
    dir: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Redis {
    /// Starts one without persistence.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more options.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let child = spawn(&dir, port, options);
        let redis = Self { child, dir, port };
        redis.wait();
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection for arranging and checking.
    pub(crate) fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Creates a user with this password and these rules; returns the URL with which it connects.
    pub(crate) fn user(&self, name: &str, password: &str, rules: &[&str]) -> String {
        let open = format!(">{password}");
        self.run::<()>(&[&["ACL", "SETUSER", name, "on", &open], rules].concat());
        format!("redis://{name}:{password}@127.0.0.1:{}", self.port)
    }

    /// Starts one with the users of the deployment in its ACL file, beside the default one, who may `DEBUG`.
    pub(crate) fn with_users() -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), USERS).unwrap();
        let file = file.path().to_str().unwrap();
        Self::start_with(&["--aclfile", file, "--enable-debug-command", "yes"])
    }

    /// The URL of a user of the deployment.
    pub(crate) fn url_as(&self, user: &str) -> String {
        let password = shipped(user)[1].strip_prefix('>').unwrap();
        format!("redis://{user}:{password}@127.0.0.1:{}", self.port)
    }

    /// The refusals for all users: the command or the key, the newest first.
    pub(crate) fn denied(&self) -> Vec<String> {
        let log: Vec<std::collections::HashMap<String, redis::Value>> = self.run(&["ACL", "LOG", "128"]);
        let object = |entry: &std::collections::HashMap<String, redis::Value>| {
            redis::from_redis_value(entry["object"].clone()).unwrap()
        };
        log.iter().map(object).collect()
    }

    /// Where it writes its files.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Runs one command.
    pub(crate) fn run<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.connection()).unwrap()
    }

    fn wait(&self) {
        let began = Instant::now();
        let client = redis::Client::open(self.url()).unwrap();
        loop {
            if let Ok(mut connection) = client.get_connection()
                && redis::cmd("PING").query::<String>(&mut connection).is_ok()
            {
                return;
            }
            assert!(
                began.elapsed() < super::SOON,
                "redis-server on port {} does not answer",
                self.port
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port, with more options.
    pub(crate) fn restart(&mut self, options: &[&str]) {
        self.kill();
        self.child = spawn(&self.dir, self.port, options);
        if options.is_empty() {
            self.wait();
        }
    }

    /// How often all commands were called since the start.
    pub(crate) fn calls_in_all(&self) -> u64 {
        self.calls().into_iter().map(|(_, calls)| calls).sum()
    }

    /// How often this command was called since the start.
    pub(crate) fn calls_of(&self, name: &str) -> u64 {
        self.calls()
            .into_iter()
            .find(|(n, _)| n == name)
            .map_or(0, |(_, calls)| calls)
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .arg(signal)
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Stops the process without ending it: it accepts connections, and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets the process continue.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// How often each command was called since the start.
    pub(crate) fn calls(&self) -> Vec<(String, u64)> {
        let text: String = self.run(&["INFO", "commandstats"]);
        text.lines()
            .filter_map(|line| {
                let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
                Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
            })
            .collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(dir: &tempfile::TempDir, port: u16, options: &[&str]) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ])
        .arg(dir.path())
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

/// Sets a setting of a running server over this connection.
pub(crate) fn configure(connection: &mut redis::Connection, name: &str, value: &str) {
    let mut command = redis::cmd("CONFIG");
    command.arg(&["SET", name, value]).exec(connection).unwrap();
}
