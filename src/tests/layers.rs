//! Dependencies point one way. The rules are those of the crate's own documentation.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The folder or module, what it must not name, and why.
const RULES: [(&str, &[&str], &str); 16] = [
    (
        "model",
        &["crate::server", "crate::ui", "leptos", "axum", "redis::", "tokio"],
        "the words know nobody",
    ),
    (
        "base_path",
        &["crate::server", "crate::ui", "leptos", "axum"],
        "URLs are joined without knowing who asks",
    ),
    (
        "ui",
        &["crate::server", "axum", "redis::", "tokio"],
        "pages are made of the model alone",
    ),
    (
        "server/adapter",
        &[
            "crate::ui",
            "leptos",
            "axum",
            "server::http",
            "server::collect",
            "server::service",
        ],
        "adapters only read",
    ),
    (
        "server/adapter/redis",
        &["bullmq"],
        "the connection knows no queue library",
    ),
    (
        "server/adapter/postgres",
        &["pgboss"],
        "the connection knows no queue library",
    ),
    (
        "server/adapter/bullmq",
        &["pgboss", "sqlx"],
        "adapters never name each other",
    ),
    (
        "server/adapter/pgboss",
        &["bullmq", "redis::"],
        "adapters never name each other",
    ),
    (
        "server/collect",
        &[
            "leptos",
            "axum",
            "crate::ui",
            "server::http",
            "server::service",
            "bullmq",
            "pgboss",
        ],
        "collectors know the trait only",
    ),
    (
        "server/archive",
        &[
            "leptos",
            "axum",
            "crate::ui",
            "server::http",
            "server::service",
            "bullmq::",
            "redis::",
        ],
        "the archive knows the trait and its Postgres",
    ),
    (
        "server/verdict",
        &["leptos", "axum", "crate::ui", "server::adapter"],
        "rules look at facts",
    ),
    (
        "server/auth",
        &[
            "leptos",
            "crate::ui",
            "server::http",
            "server::service",
            "server::adapter",
            "redis::",
            "sqlx",
        ],
        "who somebody is does not depend on what they ask for",
    ),
    (
        "server/redact",
        &[
            "crate::ui",
            "leptos",
            "axum",
            "tokio",
            "redis::",
            "sqlx",
            "server::adapter",
            "server::archive",
            "server::audit",
            "server::collect",
            "server::config",
            "server::http",
            "server::operation",
            "server::service",
        ],
        "texts go in and masked texts come out",
    ),
    (
        "server/status",
        &[
            "leptos",
            "axum",
            "crate::ui",
            "server::http",
            "server::service",
            "collect::collector",
            "bullmq::",
            "redis::",
            "sqlx",
        ],
        "what is published is made of the board alone",
    ),
    (
        "server/service",
        &["leptos", "axum", "crate::ui", "server::http", "bullmq", "pgboss"],
        "use cases serve any front",
    ),
    (
        "server/http",
        &["bullmq", "redis::", "pgboss", "sqlx"],
        "HTTP knows use cases, not stores",
    ),
];

#[test]
fn dependencies_point_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut broken = Vec::new();
    let mut used = [false; RULES.len()];
    for path in files {
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        let text = fs::read_to_string(&path).unwrap();
        for (i, (place, forbidden, why)) in RULES.iter().enumerate() {
            if name != *place && !name.starts_with(&format!("{place}/")) {
                continue;
            }
            used[i] = true;
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for (n, line) in code.enumerate() {
                for word in *forbidden {
                    if line.contains(word) {
                        broken.push(format!(
                            "{name} (about line {n}) names {word}: {why}\n    {}",
                            line.trim()
                        ));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert_eq!(used, [true; RULES.len()], "a rule is about a place that is no more");
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let long: Vec<String> = files
        .iter()
        .map(|path| (path, fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > 520)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{long:?}");
}
