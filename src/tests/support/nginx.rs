//! An nginx for a test.

use super::{SOON, eventually};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running nginx, ended when dropped.
pub(crate) struct Nginx {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Nginx {
    /// Starts it with these servers, one of which listens at this port.
    pub(crate) async fn start(servers: &str, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let places: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .collect();
        let file = folder.path().join("nginx.conf");
        let text = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{}}\nhttp {{\naccess_log \
             off;\n{places}{servers}}}\n"
        );
        std::fs::write(&file, text).unwrap();
        let command = |more: &[&str]| {
            let mut command = Command::new("nginx");
            command.arg("-c").arg(&file).arg("-p").arg(folder.path());
            command.arg("-e").arg(folder.path().join("error.log")).args(more);
            command
        };
        let checked = command(&["-t"]).output().expect("nginx is installed");
        let says = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success() && !says.contains("[warn]"), "{says}");
        let child = command(&[]).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { child, _folder: folder };
        eventually("nginx answers", SOON, || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        nginx
    }
}

/// A file of `deploy/`.
pub(crate) fn shipped(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
