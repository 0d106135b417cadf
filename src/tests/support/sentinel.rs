//! Sentinels for a test.

use super::redis::Redis;
use super::{SOON, eventually, free_port};
use std::collections::HashMap;
use std::process::{Child, Command, Stdio};

/// A running Sentinel, ended when dropped.
pub(crate) struct Sentinel {
    child: Child,
    pub(crate) port: u16,
    _dir: tempfile::TempDir,
}

impl Sentinel {
    /// A Sentinel that watches these primaries, each by its name and port.
    pub(crate) fn of(primaries: &[(&str, u16)]) -> Self {
        let watched = primaries
            .iter()
            .map(|(name, port)| format!("sentinel monitor {name} 127.0.0.1 {port} 1\n"));
        Self::with(&watched.collect::<String>())
    }

    /// One with these settings.
    fn with(settings: &str) -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let file = dir.path().join("sentinel.conf");
        let text = format!("port {port}\nbind 127.0.0.1\ndir {}\n{settings}", dir.path().display());
        std::fs::write(&file, text).unwrap();
        let child = Command::new("redis-server")
            .arg(file)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port, _dir: dir }
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The password of the Sentinels.
pub(crate) const PASSWORD: &str = "open sesame";

/// A primary with a replica, and three Sentinels of which two have to agree.
pub(crate) struct Guarded {
    pub(crate) servers: [Redis; 2],
    pub(crate) sentinels: Vec<Sentinel>,
}

impl Guarded {
    pub(crate) async fn start() -> Self {
        let primary = Redis::start();
        let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
        let settings = format!(
            "requirepass \"{PASSWORD}\"\nsentinel sentinel-pass \"{PASSWORD}\"\n\
             sentinel monitor shop 127.0.0.1 {} 2\nsentinel down-after-milliseconds shop 1000\n\
             sentinel failover-timeout shop 10000\n",
            primary.port
        );
        let guarded = Self {
            servers: [primary, replica],
            sentinels: (0..3).map(|_| Sentinel::with(&settings)).collect(),
        };
        eventually("each Sentinel knows the others and the replica", SOON, || async {
            let ready = |sentinel: &Sentinel| {
                let told = told(sentinel)?;
                let is = |name: &str, wanted: &str| told.get(name).is_some_and(|value| value == wanted);
                (is("num-slaves", "1") && is("num-other-sentinels", "2")).then_some(())
            };
            guarded
                .sentinels
                .iter()
                .all(|sentinel| ready(sentinel).is_some())
                .then_some(())
        })
        .await;
        guarded
    }

    /// The URL with which Drover finds the primary.
    pub(crate) fn url(&self) -> String {
        let places: Vec<String> = (self.sentinels.iter())
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port))
            .collect();
        format!("redis+sentinel://{}/shop", places.join(","))
    }

    /// Waits until a Sentinel names another server than this one as the primary.
    pub(crate) async fn fails_over(&self, from: u16) {
        eventually("a failover", SOON, || async {
            let port = told(&self.sentinels[0])?.remove("port")?;
            (port != from.to_string()).then_some(())
        })
        .await;
    }
}

/// What a Sentinel tells of the primary.
fn told(sentinel: &Sentinel) -> Option<HashMap<String, String>> {
    let client = redis::Client::open(format!(
        "redis://:{}@127.0.0.1:{}",
        PASSWORD.replace(' ', "%20"),
        sentinel.port
    ))
    .unwrap();
    let mut connection = client.get_connection().ok()?;
    redis::cmd("SENTINEL")
        .arg("MASTER")
        .arg("shop")
        .query(&mut connection)
        .ok()
}
