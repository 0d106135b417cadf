//! Checks that the code has what the documents claim.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

mod written;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all Rust tests: functions with the attribute, and those for which a macro makes a test for each
/// generation.
fn rust_tests(dir: &Path, found: &mut BTreeSet<String>) {
    let ident = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_tests(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut marked = false;
            for line in text.lines().map(str::trim_start) {
                if let Some(rest) = line.strip_prefix("on!(") {
                    found.insert(ident(rest));
                } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    marked = true;
                } else if let Some((_, rest)) = line.split_once("fn ")
                    && marked
                {
                    found.insert(ident(rest));
                    marked = false;
                }
            }
        }
    }
}

/// The text between backticks in the last column of a document's tables.
fn named(document: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for line in document.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let shown = cells.last().unwrap().split('`').skip(1).step_by(2);
        all.extend(shown.map(|name| (cells[0].to_owned(), name.to_owned())));
    }
    all
}

#[test]
fn every_test_that_the_security_document_names_exists() {
    let mut tests = BTreeSet::new();
    rust_tests(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut tests);
    let document = read("SECURITY.md");
    let missing: Vec<_> = named(&document)
        .into_iter()
        .filter(|(_, name)| match name.split_once(".test.mjs: ") {
            Some((file, test)) => {
                !read(&format!("end2end/tests/{file}.test.mjs")).contains(&format!("test(\"{test}\""))
            }
            None => !tests.contains(name),
        })
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn every_threat_has_a_test() {
    let document = read("SECURITY.md");
    let named: BTreeSet<String> = named(&document).into_iter().map(|(threat, _)| threat).collect();
    for number in 1..=33 {
        assert!(named.contains(&format!("S-{number}")), "S-{number} has none");
    }
}

#[test]
fn every_rule_of_the_users_is_explained_and_every_explained_one_is_there() {
    let acl = read("deploy/redis/users.acl");
    let explained = read("deploy/redis/README.md");
    let mut rows: Vec<(String, bool)> = Vec::new();
    for line in explained.lines().filter(|line| line.starts_with("| `")) {
        let line = line.replace("\\|", "/");
        let cells: Vec<&str> = line.split('|').collect();
        let rules = cells[1].split('`').skip(1).step_by(2);
        let operator = cells[2].trim() == "operator";
        rows.extend(rules.map(|rule| (rule.replace('/', "|"), operator)));
    }
    for line in acl.lines() {
        let operator = line.starts_with("user drover_operator ");
        let rules: BTreeSet<&str> = line.split(' ').filter_map(|word| word.strip_prefix('+')).collect();
        let wanted: BTreeSet<&str> = rows
            .iter()
            .filter(|(rule, only)| (operator || !only) && rule.chars().all(|c| c.is_ascii_lowercase() || c == '|'))
            .map(|(rule, _)| rule.as_str())
            .collect();
        assert_eq!(rules, wanted, "{}", &line[..24]);
    }
}

/// S-22, S-23: code that does not exist cannot be called.
#[test]
fn the_server_calls_nobody_and_decodes_nothing_but_json() {
    let manifest = read("Cargo.toml");
    let dependencies = manifest
        .split("[dependencies]")
        .nth(1)
        .unwrap()
        .split("\n[")
        .next()
        .unwrap();
    let names: BTreeSet<&str> = dependencies.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("serde_json") && names.contains("redis"), "{names:?}");
    for client in [
        "reqwest",
        "ureq",
        "hyper",
        "hyper-util",
        "curl",
        "isahc",
        "lettre",
        "surf",
    ] {
        assert!(!names.contains(client), "{client} calls other servers: see S-23");
    }
    for decoder in [
        "serde_yaml",
        "serde-pickle",
        "brotli",
        "zstd",
        "bincode",
        "ciborium",
        "rmp-serde",
    ] {
        assert!(
            !names.contains(decoder),
            "{decoder} decodes what strangers wrote: see S-22"
        );
    }
    // One module compresses answers, and none decompresses.
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server");
    let mut files = vec![];
    crate::layers::sources(server.as_ref(), &mut files);
    assert!(files.len() > 100);
    for path in files {
        let (text, path) = (std::fs::read_to_string(&path).unwrap(), path.display().to_string());
        let text = text.split("#[cfg(test)]").next().unwrap();
        assert!(
            !text.contains("flate2") || path.ends_with("server/wire.rs"),
            "{path}: see S-22"
        );
        assert!(
            !text.contains("Decoder") && !text.contains("Decompress"),
            "{path}: see S-22"
        );
    }
}
