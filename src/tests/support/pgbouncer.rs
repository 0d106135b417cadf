//! A pooler between Drover and a Postgres.

use super::postgres::{Postgres, as_server, server_user};
use super::{LATER, eventually, free_port};
use std::process::{Child, Stdio};

/// A running `pgbouncer`, killed when dropped.
pub(crate) struct PgBouncer {
    child: Child,
    _dir: tempfile::TempDir,
    port: u16,
}

impl PgBouncer {
    /// Starts one in front of a Postgres: `mode` is `session`, `transaction` or `statement`, and it accepts and drops
    /// these settings of a connection.
    pub(crate) async fn start(postgres: &Postgres, mode: &str, ignored: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("users.txt"), "\"owner\" \"\"\n\"viewer\" \"\"\n").unwrap();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {users}\npool_mode = {mode}\ndefault_pool_size = 12\n\
             ignore_startup_parameters = {ignored}\n",
            server = postgres.port,
            users = path("users.txt").display(),
        );
        std::fs::write(path("pgbouncer.ini"), settings).unwrap();
        if let Some((user, group)) = server_user() {
            for place in [dir.path().to_path_buf(), path("users.txt"), path("pgbouncer.ini")] {
                std::os::unix::fs::chown(place, Some(user), Some(group)).unwrap();
            }
        }
        // It refuses to run as root, as the server does.
        let child = as_server("pgbouncer")
            .arg(path("pgbouncer.ini"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer is installed");
        let pooler = Self { child, _dir: dir, port };
        eventually("pgbouncer to listen", LATER, || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        pooler
    }

    /// The address of the database behind it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://owner@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
