//! S-27: an encrypted connection is made with the server that is meant, or not at all.

use crate::support::app::Drover;
use crate::support::free_port;
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

/// An authority, `ca.pem`, and a certificate that it signs for a name, for some days from now on: `name.pem`, `name.key`.
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
            &["req", "-new", "-subj", "/CN=x"],
            &key[..],
            &["-keyout", &own_key, "-out", &request],
        ]
        .concat(),
    );
    std::fs::write(
        dir.join("names"),
        format!("subjectAltName={subject}\nbasicConstraints=CA:FALSE\n"),
    )
    .unwrap();
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

/// A Redis that speaks TLS alone.
struct Encrypted(Child, u16);

impl Encrypted {
    fn start(dir: &Path, name: &str) -> Self {
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
            .args(["--tls-ca-cert-file", "ca.pem", "--tls-auth-clients", "no"])
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
    let ca = dir.path().join("ca.pem").display().to_string();
    for (name, ca, reach, says) in [
        ("right", Some(&ca), "live", ""),
        ("right", None, "tls_failed", "certificate"),
        ("other-name", Some(&ca), "tls_failed", "certificate"),
        ("ended", Some(&ca), "tls_failed", "certificate"),
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
        assert!(cause.to_lowercase().contains(says), "{name}: {store}");
    }
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
