//! S-27: Drover opens an encrypted connection to the intended server, or none at all.

use crate::support::app::Drover;
use crate::support::process::Process;
use crate::support::{SOON, eventually, free_port};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Runs openssl in a folder.
fn openssl(dir: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// An authority, `ca.pem`, and a certificate that it signs for a name, for some days from now on: `name.pem`,
/// `name.key`. Without a name the certificate has one in its CN alone.
fn certificate(dir: &Path, name: &str, subject: &str, days: &str) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    if !dir.join("ca.pem").exists() {
        let made = [
            "-subj",
            "/CN=an authority",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-days",
            "2",
        ];
        openssl(dir, &[&["req", "-x509"], &key[..], &made].concat());
    }
    let (own_key, request, own) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
    openssl(
        dir,
        &[
            &["req", "-new", "-subj", "/CN=127.0.0.1"],
            &key[..],
            &["-keyout", &own_key, "-out", &request],
        ]
        .concat(),
    );
    let names = match subject {
        "" => String::new(),
        subject => format!("subjectAltName={subject}\n"),
    };
    std::fs::write(dir.join("names"), format!("{names}basicConstraints=CA:FALSE\n")).unwrap();
    let sign = [
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
    ];
    openssl(
        dir,
        &[&sign[..], &["-days", days, "-extfile", "names", "-out", &own]].concat(),
    );
}

/// A Redis that accepts TLS alone.
struct Encrypted(Child, u16);

impl Encrypted {
    fn start(dir: &Path, name: &str) -> Self {
        Self::asking(dir, name, "no")
    }

    /// A Redis that asks clients for a certificate, or does not.
    fn asking(dir: &Path, name: &str, clients: &str) -> Self {
        let port = free_port();
        let child = Command::new("redis-server")
            .current_dir(dir)
            .args([
                "--port",
                "0",
                "--tls-port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .args([
                "--tls-cert-file",
                &format!("{name}.pem"),
                "--tls-key-file",
                &format!("{name}.key"),
            ])
            .args(["--tls-ca-cert-file", "ca.pem", "--tls-auth-clients", clients])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child, port)
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_redis_with_another_certificate_than_it_should_have_is_not_talked_to() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "right", "IP:127.0.0.1", "2");
    certificate(dir.path(), "other-name", "DNS:redis.example.com", "2");
    certificate(dir.path(), "ended", "IP:127.0.0.1", "-1");
    certificate(dir.path(), "cn-only", "", "2");
    // As `openssl req -x509` makes it: self-signed, and an authority's.
    std::fs::copy(dir.path().join("ca.pem"), dir.path().join("itself.pem")).unwrap();
    std::fs::copy(dir.path().join("ca.key"), dir.path().join("itself.key")).unwrap();
    let ca = dir.path().join("ca.pem").display().to_string();
    for (name, ca, reach, says) in [
        ("right", Some(&ca), "live", &[][..]),
        (
            "right",
            None,
            "tls_failed",
            &["an authority that Drover does not know", "DROVER_REDIS_CA_FILE"],
        ),
        (
            "itself",
            None,
            "tls_failed",
            &["signed by itself", "CA:TRUE", "subjectAltName=IP:127.0.0.1"],
        ),
        ("itself", Some(&ca), "tls_failed", &["CA:TRUE"]),
        (
            "other-name",
            Some(&ca),
            "tls_failed",
            &["is for redis.example.com and not for 127.0.0.1"],
        ),
        (
            "cn-only",
            Some(&ca),
            "tls_failed",
            &["in CN alone is ignored", "subjectAltName=IP:127.0.0.1"],
        ),
        (
            "ended",
            Some(&ca),
            "tls_failed",
            &["its certificate has expired", "Renew it."],
        ),
    ] {
        let redis = Encrypted::start(dir.path(), name);
        let url = format!("rediss://:a-password@127.0.0.1:{}", redis.1);
        let url = if reach == "live" {
            url.replace(":a-password@", "")
        } else {
            url
        };
        let mut env = vec![("DROVER_REDIS_URL", url.as_str())];
        env.extend(ca.map(|ca| ("DROVER_REDIS_CA_FILE", ca.as_str())));
        let drover = Drover::with(&env, "").await;
        let store = drover.store_becomes("redis", reach).await;
        let cause = store["cause"].as_str().unwrap_or_default();
        let page = drover.get("").await.body;
        for says in says {
            assert!(cause.contains(says), "{name}: {cause}");
            assert!(page.contains(says), "{name}: {says} is not on the page");
        }
        assert!(!cause.contains("[redacted]"), "{name}: {cause}");
        // The log contains it unchanged.
        assert_eq!(drover::server::redact::Mask::default().text(cause), cause, "{name}");
    }
}

#[tokio::test]
async fn a_redis_that_wants_a_certificate_of_its_clients_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "right", "IP:127.0.0.1", "2");
    let ca = dir.path().join("ca.pem").display().to_string();
    let redis = Encrypted::asking(dir.path(), "right", "yes");
    let url = format!("rediss://127.0.0.1:{}", redis.1);
    let drover = Drover::with(&[("DROVER_REDIS_URL", &url), ("DROVER_REDIS_CA_FILE", &ca)], "").await;
    let store = drover.store_becomes("redis", "tls_failed").await;
    let cause = store["cause"].as_str().unwrap();
    assert!(cause.contains("asks for a certificate of the client"), "{cause}");
}

#[tokio::test]
async fn the_log_says_why_a_certificate_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "right", "IP:127.0.0.1", "2");
    let redis = Encrypted::start(dir.path(), "right");
    let process = Process::with(&format!("rediss://127.0.0.1:{}", redis.1), vec![]).await;
    let line = eventually("the line", SOON, || async {
        let log = process.log();
        log.lines()
            .find(|line| line.contains("store does not answer"))
            .map(str::to_owned)
    })
    .await;
    assert!(line.contains("an authority that Drover does not know"), "{line}");
    assert!(!line.contains("[redacted]"), "{line}");
}

#[test]
fn a_password_in_the_clear_to_another_machine_is_warned_of() {
    let env = |name: &str| match name {
        "DROVER_REDIS_URL" => Some("redis://:hunter2@redis.example.com".to_owned()),
        "DROVER_POSTGRES_URL" => Some("postgres://me:hunter2@db.example.com/app".to_owned()),
        "DROVER_AUTH_MODE" => Some("none".into()),
        _ => None,
    };
    let config = drover::server::config::load(Some(Path::new("/dev/null")), &env).unwrap();
    let all = config.warnings.join("\n");
    assert!(
        all.contains("redis travels in the clear") && all.contains("postgres travels in the clear"),
        "{all}"
    );
    assert!(!all.contains("hunter2"));
}
