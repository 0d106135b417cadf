//! The files of `deploy/`, as far as a machine without their programs can try them: Drover as the user `nobody` without
//! write access except to its state, behind the shipped nginx (S-1, S-2, S-30).

use crate::proxies::ODD_IDS;
use crate::support::client::{self, Stream};
use crate::support::nginx::{Nginx, shipped};
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use crate::support::{LATER, SOON, eventually, free_port};
use drover::model::address::encode_segment;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The proxy's secret.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The grants behind the proxy.
const GRANTS: &str = "[[auth.grant]]\ngroups = [\"ops\"]\nrole = \"viewer\"\n";

/// The uid of `nobody` on every system.
const NOBODY: &str = "65534";

/// A process that ends with the test.
pub(crate) struct Ends(pub(crate) Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether we may switch to another user.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// A program as the user `nobody` without any capability, in a folder, where we may switch to that user; else as our
/// own user.
pub(crate) fn as_nobody(program: &Path, folder: &Path) -> Command {
    let mut command;
    if is_root() {
        command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
        command.args(["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]);
        command.arg(program);
    } else {
        command = Command::new(program);
    }
    command.current_dir(folder).env_clear();
    command
}

pub(crate) fn only_for(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(below).collect()
}

// S-30
#[tokio::test]
async fn as_nobody_with_nothing_to_write_but_its_state_it_serves_and_is_healthy() {
    let redis = Redis::with_users();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    let id = oracle.add("q", "n", json!({}), json!({})).await;
    let root = tempfile::tempdir().unwrap();
    let [bin, work, state] = ["bin", "work", "state"].map(|name| root.path().join(name));
    for folder in [&bin, &work, &state] {
        std::fs::create_dir(folder).unwrap();
    }
    let program = bin.join("drover");
    std::fs::copy(env!("CARGO_BIN_EXE_drover"), &program).unwrap();
    std::fs::write(work.join("redis-url"), redis.url_as("drover_operator")).unwrap();
    if is_root() {
        let nobody = Some(NOBODY.parse().unwrap());
        std::os::unix::fs::chown(&state, nobody, nobody).unwrap();
    }
    for (folder, mode) in [(root.path(), 0o555), (&bin, 0o555), (&work, 0o555), (&state, 0o700)] {
        only_for(folder, mode);
    }
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let command = |word: &str| {
        let mut command = as_nobody(&program, &work);
        command
            .arg(word)
            .env("DROVER_LISTEN", &listen)
            .env("DROVER_AUTH_MODE", "none")
            .env("STATE_DIRECTORY", &state)
            .env("DROVER_REDIS_URL_FILE", "redis-url")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let before = files(root.path());
    let unhealthy = command("healthcheck").status().unwrap();
    assert!(!unhealthy.success(), "nobody serves yet");
    let served = Ends(command("serve").spawn().unwrap());
    eventually("the health check is content", LATER, || async {
        command("healthcheck").status().unwrap().success().then_some(())
    })
    .await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.0.id())).unwrap();
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    if is_root() {
        assert!(line("Uid:").ends_with(NOBODY), "{}", line("Uid:"));
        assert!(line("CapEff:").ends_with("0000000000000000"), "{}", line("CapEff:"));
    }
    // It reads, acts, and records the action.
    eventually("the queue is on the board", SOON, || async {
        let page = client::get(port, "/admin/queues/queues/redis/bull:q").await;
        (page.status == 200).then_some(())
    })
    .await;
    let program_headers = [("X-Drover", "1"), ("Content-Type", "application/json")];
    let path = format!("/admin/queues/api/v1/queues/redis/bull:q/jobs/{id}/remove");
    let removed = client::request(port, "POST", &path, &program_headers, "{}").await;
    assert_eq!(removed.status, 200, "{}", removed.body);
    drop(served);
    only_for(root.path(), 0o755);
    let new: Vec<PathBuf> = files(root.path())
        .into_iter()
        .filter(|file| !before.contains(file))
        .collect();
    assert!(
        !new.is_empty() && new.iter().all(|file| file.starts_with(&state)),
        "{new:?}"
    );
}

/// The identity endpoint: the cookie `who` names the user, in the group `ops`; a group may be left out.
async fn identity(listener: TcpListener) {
    while let Ok((mut socket, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut asked = Vec::new();
            let mut piece = [0; 4096];
            while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
                match socket.read(&mut piece).await {
                    Ok(n) if n > 0 => asked.extend_from_slice(&piece[..n]),
                    _ => return,
                }
            }
            let text = String::from_utf8_lossy(&asked).to_lowercase();
            let who = text
                .split("who=")
                .nth(1)
                .and_then(|rest| rest.split_whitespace().next());
            let answer = who.map_or_else(
                || "HTTP/1.1 401 Unauthorized\r\n".to_owned(),
                |who| {
                    let groups = if who == "ada" {
                        "X-Auth-Request-Groups: ops\r\n"
                    } else {
                        ""
                    };
                    format!("HTTP/1.1 202 Accepted\r\nX-Auth-Request-User: {who}\r\n{groups}")
                },
            );
            let answer = format!("{answer}Content-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = socket.write_all(answer.as_bytes()).await;
        });
    }
}

/// The shipped nginx on a free port, before two Drovers (one gets the prefix, one does not).
async fn nginx(keeps: u16, strips: u16) -> (u16, Nginx) {
    let (port, asks) = (free_port(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let server = shipped("nginx.conf")
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
        .replace("127.0.0.1:3000/;", &format!("127.0.0.1:{strips}/;"))
        .replace("127.0.0.1:3000;", &format!("127.0.0.1:{keeps};"))
        .replace("127.0.0.1:4180", &asks.local_addr().unwrap().to_string())
        .replace("change-me-to-openssl-rand-hex-32", SECRET);
    tokio::spawn(identity(asks));
    let nginx = Nginx::start(&server, port).await;
    (port, nginx)
}

// S-1, S-2
#[tokio::test]
async fn the_nginx_of_the_deployment_says_who_it_is_and_nobody_else_can() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("q", "n", json!({}), json!({})).await;
    for id in ODD_IDS {
        oracle.add("odd", "n", json!({}), json!({"jobId": id})).await;
    }
    let odd = ODD_IDS.map(encode_segment);
    let url = redis.url();
    let env = |base: &'static str| {
        [
            ("DROVER_REDIS_URL", url.as_str()),
            ("DROVER_AUTH_MODE", "proxy"),
            ("DROVER_TRUSTED_PROXIES", "127.0.0.1"),
            ("DROVER_PROXY_SECRET", SECRET),
            ("DROVER_BASE_PATH", base),
        ]
    };
    let keeps = crate::support::app::Drover::with(&env("/admin/queues"), GRANTS).await;
    let strips = crate::support::app::Drover::with(&env("/queues"), GRANTS).await;
    let (port, _nginx) = nginx(keeps.port, strips.port).await;
    for base in ["/admin/queues", "/queues"] {
        let ask = async |headers: &[(&str, &str)]| {
            client::request(port, "GET", &format!("{base}/api/v1/queues"), headers, "").await
        };
        assert_eq!(ask(&[]).await.status, 401, "{base}: nobody");
        let ada = ask(&[("Cookie", "who=ada")]).await;
        assert_eq!(ada.status, 200, "{base}: {}", ada.body);
        // The proxy overwrites a browser's own identity headers, also where it sends none of its own.
        for forged in [
            ("X-Forwarded-User", "ada"),
            ("X-Forwarded-Groups", "ops"),
            ("X_Forwarded_User", "ada"),
            ("X-Drover-Proxy-Secret", "guess"),
        ] {
            assert_eq!(ask(&[forged]).await.status, 401, "{base}: {forged:?} alone");
            let eve = ask(&[("Cookie", "who=eve"), forged]).await;
            assert_eq!(eve.status, 403, "{base}: {forged:?}: {}", eve.body);
        }
        // Every page is where its links lead, with the prefix kept and stripped.
        for inner in [
            "",
            "/queues/redis/bull:q",
            "/workers",
            "/stores/redis",
            "/api/v1/queues/redis/bull:q",
        ] {
            let page = eventually("the search for queues to end", LATER, || async {
                let path = format!("{base}{inner}");
                let page = client::request(port, "GET", &path, &[("Cookie", "who=ada")], "").await;
                (page.status != 503).then_some(page)
            })
            .await;
            let page = match (page.status, page.header("location")) {
                (301, Some(to)) => {
                    client::request(
                        port,
                        "GET",
                        to.split_once(&port.to_string()).unwrap().1,
                        &[("Cookie", "who=ada")],
                        "",
                    )
                    .await
                }
                _ => page,
            };
            assert_eq!(page.status, 200, "{base}{inner}: {}", page.body);
        }
        // And a job whose id does not survive in a path of every proxy is found by its own address, whatever other jobs
        // exist.
        for (id, name) in ODD_IDS.iter().zip(&odd) {
            let path = format!("{base}/api/v1/queues/redis/bull:odd/jobs/{name}");
            let job = client::request(port, "GET", &path, &[("Cookie", "who=ada")], "").await;
            assert_eq!(job.status, 200, "{path}: {}", job.body);
            assert_eq!(job.json()["row"]["id"], *id, "{path}");
        }
        // Streams pass its buffers.
        let headers = [("Cookie", "who=ada")];
        let mut stream = Stream::open(port, &format!("{base}/events?topics=queue:redis/bull:q"), &headers).await;
        let id = oracle.add("q", "n", json!({}), json!({})).await;
        stream.until_job(&id).await;
    }
}

#[test]
fn every_proxy_of_the_deployment_sets_what_proves_it_and_what_names_people() {
    for file in ["nginx.conf", "Caddyfile", "traefik.yml"] {
        let text = shipped(file);
        for part in [
            "X-Drover-Proxy-Secret",
            "-User",
            "-Groups",
            "DROVER_TRUSTED_PROXIES",
            "/admin/queues",
        ] {
            assert!(text.contains(part), "{file} has no {part}");
        }
    }
}

#[test]
fn the_image_runs_as_a_number_and_asks_itself_whether_it_is_well() {
    let text = shipped("Containerfile");
    let last = text.rsplit("\nFROM ").next().unwrap();
    let user = last.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    let number: u32 = user.split(':').next().unwrap().parse().unwrap();
    assert!(number > 0);
    assert!(last.contains("\"/usr/local/bin/drover\", \"healthcheck\""));
    assert!(!last.contains("\nRUN "), "the last stage needs no shell");
    for line in text.lines().filter(|line| line.starts_with("FROM ")) {
        let image = line.split(' ').nth(1).unwrap();
        assert!(!image.contains('/'), "{image} names a registry");
    }
}

#[test]
fn the_unit_is_understood_and_keeps_the_service_in() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/drover.service");
    let text = shipped("drover.service");
    for line in [
        "DynamicUser=yes",
        "StateDirectory=drover",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
        "MemoryDenyWriteExecute=yes",
        "SystemCallFilter=@system-service",
        "CapabilityBoundingSet=",
    ] {
        assert!(text.lines().any(|own| own == line), "{line} is missing");
    }
    // Not every machine that runs the tests has systemd.
    let Ok(verified) = Command::new("systemd-analyze").arg("verify").arg(&unit).output() else {
        eprintln!("systemd-analyze is not installed: only the lines were looked at");
        return;
    };
    let says = String::from_utf8_lossy(&verified.stderr).into_owned();
    let wrong: Vec<&str> = says
        .lines()
        // The unit names the installed program, which is not installed here.
        .filter(|line| line.contains("drover.service") && !line.contains("/usr/local/bin/drover is not executable"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
