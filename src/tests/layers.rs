//! Dependencies point one way. The rules are those of the crate's own documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
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
const RULES: [(&str, &[&str], &str); 23] = [
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
        "adapters know stores, not who asks",
    ),
    (
        "server/adapter/redis",
        &["bullmq", "celery", "arq"],
        "the connection knows no queue library",
    ),
    (
        "server/adapter/postgres",
        &["pgboss"],
        "the connection knows no queue library",
    ),
    (
        "server/adapter/bullmq",
        &["pgboss", "celery", "arq", "sqlx"],
        "adapters never name each other",
    ),
    (
        "server/adapter/celery",
        &["bullmq", "pgboss", "arq", "sqlx"],
        "adapters never name each other",
    ),
    (
        "server/adapter/arq",
        &["bullmq", "pgboss", "celery", "sqlx"],
        "adapters never name each other",
    ),
    (
        "server/adapter/lists",
        &["bullmq", "pgboss", "celery", "arq", "sqlx"],
        "adapters never name each other",
    ),
    (
        "server/adapter/recognised",
        &["bullmq", "pgboss", "celery", "arq", "sqlx"],
        "adapters never name each other",
    ),
    (
        "server/adapter/decode",
        &["bullmq", "pgboss", "celery", "arq", "redis::", "tokio"],
        "bytes go in and what is shown comes out",
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
            "celery",
            "arq",
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
        "server/database",
        &[
            "leptos",
            "axum",
            "crate::ui",
            "server::http",
            "server::service",
            "server::archive",
            "bullmq",
            "pgboss",
            "redis::",
        ],
        "Drover's own data knows its two databases",
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
        &[
            "leptos",
            "axum",
            "crate::ui",
            "server::http",
            "bullmq",
            "pgboss",
            "celery",
            "arq",
        ],
        "use cases serve any front",
    ),
    (
        "server/http",
        &["bullmq", "redis::", "pgboss", "celery", "arq", "sqlx"],
        "HTTP knows use cases, not stores",
    ),
    (
        "server/http/router",
        &["Router::new", "axum::routing", ".merge(", ".nest("],
        "a route is added with what it needs and what it answers",
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

/// Where code may name a system.
const SYSTEMS: [&str; 3] = ["server/adapter", "server/boot", "model/system"];

#[test]
fn systems_are_named_by_their_adapters_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let named: Vec<String> = files
        .iter()
        .filter_map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            let elsewhere = SYSTEMS.iter().all(|place| !name.starts_with(place));
            let test = name.starts_with("tests/") || name.ends_with("_tests.rs") || name.ends_with("/tests.rs");
            let text = fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let line = code.lines().find(|line| line.contains("System::"))?;
            (elsewhere && !test).then(|| format!("{name}: {}", line.trim()))
        })
        .collect();
    assert!(
        named.is_empty(),
        "what a system can do is in its capabilities: {named:#?}"
    );
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

/// The modules that code names by its paths through `crate` and `super`, as seen from a module.
fn named<'a>(code: &'a str, module: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut named = Vec::new();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let starts = code.match_indices("crate::").chain(code.match_indices("super::"));
    for (at, _) in starts {
        if code[..at].ends_with(|c: char| word(c) || c == ':') {
            continue;
        }
        let (mut base, mut rest) = (module, &code[at..]);
        if let Some(of_crate) = rest.strip_prefix("crate::") {
            (base, rest) = (&[], of_crate);
        }
        while let Some(above) = rest.strip_prefix("super::") {
            (base, rest) = (&base[..base.len().saturating_sub(1)], above);
        }
        // `use super::{a, b::c}` names several.
        let list = rest.strip_prefix('{').map(|list| list.split('}').next().unwrap());
        for path in list.map_or_else(|| vec![rest], |list| list.split(',').map(str::trim).collect()) {
            let path = path.split(|c: char| !word(c) && c != ':').next().unwrap();
            named.push(base.iter().copied().chain(path.split("::")).collect());
        }
    }
    named
}

/// The folder, or file without one, that a module is in: of the crate, of `model`, `server` or `ui`.
fn room(module: &[&str]) -> String {
    let deep = matches!(module.first(), Some(&("model" | "server" | "ui")));
    module
        .iter()
        .take(1 + usize::from(deep))
        .copied()
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn no_two_folders_need_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in &files {
        let name = path.strip_prefix(&root).unwrap().with_extension("");
        let module: Vec<&str> = name.to_str().unwrap().split('/').collect();
        let text = fs::read_to_string(path).unwrap();
        let code: String = text
            .split("#[cfg(test)]")
            .next()
            .unwrap()
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        if module[0] == "tests" || module.last().unwrap().ends_with("tests") {
            continue;
        }
        let others = named(&code, &module).into_iter().map(|named| room(&named));
        let others = others.filter(|other| root.join(format!("{other}.rs")).exists() && *other != room(&module));
        needs.entry(room(&module)).or_default().extend(others);
    }
    let rooms: Vec<String> = needs.keys().cloned().collect();
    for others in needs.values_mut() {
        others.retain(|other| rooms.contains(other));
    }
    // A module can be read once all its dependencies are; modules in a cycle, and those that need them, stay.
    loop {
        let read: Vec<String> = needs
            .iter()
            .filter(|(_, needs)| needs.is_empty())
            .map(|(room, _)| room.clone())
            .collect();
        if read.is_empty() {
            break;
        }
        needs.retain(|room, _| !read.contains(room));
        for others in needs.values_mut() {
            others.retain(|other| !read.contains(other));
        }
    }
    assert!(
        needs.is_empty(),
        "folders that need each other, and those that need them: {needs:#?}"
    );
}
