//! The README and `docs/`: short, in plain words, with working links and names, and complete where they list what the
//! code has.

use super::read;
use drover::model::action::catalogue::{ActionKind, Harm};
use drover::model::permission::{Role, Verb};
use drover::server::http::route::Declared;
use drover::server::http::router::declared;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The largest README in bytes.
const README_MAX: usize = 8 * 1024;

/// Words and phrases that hide who does what.
const UNCLEAR: [&str; 8] = [
    "whoever",
    "somebody",
    "nobody",
    "heeds",
    "stands",
    "what became of",
    "is told",
    "for ever",
];

/// Folders with files that documents name.
const FOLDERS: [&str; 7] = ["src", "end2end", "deploy", "style", "scripts", "benches", "migrations"];

/// The names of all documents in `docs`.
fn pages() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = entries.map(|name| name.into_string().unwrap());
    let mut pages: Vec<_> = names
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    pages.sort();
    pages
}

/// `pages` and the documents beside them with the same rules.
fn documents() -> Vec<String> {
    let mut all = pages();
    all.extend(["README.md", "CONTRIBUTING.md"].map(str::to_owned));
    all
}

/// A document without its blocks of code.
fn prose(document: &str) -> String {
    document.split("```").step_by(2).collect()
}

/// The targets of a document's links within the repository: the document each leads to, and the heading in it.
fn links(path: &str) -> Vec<(String, String)> {
    let text = prose(&read(path));
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://"));
    let folder = Path::new(path).parent().unwrap();
    local
        .map(|target| {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() {
                path.to_owned()
            } else {
                folder.join(file).to_str().unwrap().to_owned()
            };
            (file, heading.to_owned())
        })
        .collect()
}

/// The name of a heading in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn has_heading(document: &str, wanted: &str) -> bool {
    let text = prose(document);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .any(|name| name == wanted)
}

/// The paths of all files and folders below a folder, with a slash in front of each and behind a folder.
fn everything(folder: &Path, found: &mut BTreeSet<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.insert(format!("/{name}/"));
            everything(&path, found);
        } else {
            found.insert(format!("/{name}"));
        }
    }
}

/// What is between backticks.
fn quoted(document: &str) -> Vec<String> {
    let text = prose(document);
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_readme_is_short_and_leads_to_every_document() {
    let readme = read("README.md");
    assert!(readme.len() <= README_MAX, "{} bytes", readme.len());
    let linked: BTreeSet<String> = links("README.md").into_iter().map(|(file, _)| file).collect();
    let missing: Vec<_> = pages().into_iter().filter(|page| !linked.contains(page)).collect();
    assert!(missing.is_empty(), "the README has no link to {missing:?}");
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut broken = vec![];
    for path in documents().iter().map(String::as_str).chain(["SECURITY.md"]) {
        for (file, heading) in links(path) {
            let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
            let found = there.exists() && (heading.is_empty() || has_heading(&read(&file), &heading));
            if !found {
                broken.push(format!("{path}: {file}#{heading}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_file_that_the_documents_name_exists() {
    let mut there = BTreeSet::new();
    for folder in FOLDERS {
        there.insert(format!("/{folder}/"));
        everything(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut there);
    }
    let is_name = |text: &&String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./…".contains(c);
        let kind = text.rsplit_once('.').map_or("", |(_, kind)| kind);
        let file = ["rs", "lua", "css", "acl", "mjs", "sql", "conf", "service"].contains(&kind);
        text.chars().all(plain) && !text.starts_with(['/', '.']) && (file || (text.len() > 1 && text.ends_with('/')))
    };
    let mut missing = vec![];
    for path in documents() {
        for name in quoted(&read(&path)).iter().filter(is_name) {
            // A name may leave out the folders that its table is about.
            let end = format!("/{}", name.trim_start_matches('…').trim_start_matches('/'));
            if !there.iter().any(|file| file.ends_with(&end)) {
                missing.push(format!("{path}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_documents_are_in_plain_words() {
    let mut unclear = vec![];
    for path in documents() {
        let text = prose(&read(&path)).to_lowercase();
        let words: Vec<&str> = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| !w.is_empty())
            .collect();
        let text = format!(" {} ", words.join(" "));
        let found = UNCLEAR.iter().filter(|word| text.contains(&format!(" {word} ")));
        unclear.extend(found.map(|word| format!("{path}: {word}")));
    }
    assert!(unclear.is_empty(), "say who does what: {unclear:#?}");
}

/// The sentences in a source file: its strings of several words, without those of its tests.
fn sentences(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines: Vec<&str> = code.lines().filter(|line| !line.trim().starts_with("//")).collect();
    let plain = lines.join("\n").replace("\\\\", "").replace("\\\"", "'");
    let strings = plain.replace("'\"'", "");
    let strings = strings.split('"').skip(1).step_by(2);
    strings
        .filter(|text| text.trim().contains(' '))
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_people_read_on_screen_is_in_plain_words() {
    let mut files = BTreeSet::new();
    for folder in ["src/ui", "src/model", "src/server"] {
        everything(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let shown = |file: &&String| file.ends_with(".rs") && !file.contains("tests") && !file.contains("/redact/");
    let mut unclear = vec![];
    for file in files.iter().filter(shown) {
        for text in sentences(&read(file.trim_start_matches('/'))) {
            let words: Vec<String> = text
                .split(|c: char| !c.is_alphanumeric())
                .filter(|word| !word.is_empty())
                .map(str::to_lowercase)
                .collect();
            let words = format!(" {} ", words.join(" "));
            let found = UNCLEAR.iter().filter(|word| words.contains(&format!(" {word} ")));
            unclear.extend(found.map(|word| format!("{file}: {word}: {text}")));
        }
    }
    assert!(unclear.is_empty(), "say who does what: {unclear:#?}");
}

/// The names of environment variables in a text.
fn variables(text: &str) -> BTreeSet<String> {
    let names = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
    let ours = names.filter(|name| name.starts_with("DROVER_") && !name.ends_with('_'));
    ours.map(str::to_owned).collect()
}

#[test]
fn the_table_of_settings_is_made_from_the_file_and_every_variable_of_it_is_read() {
    generated("docs/configuration.md", "configuration", &settings());
    let document = read("docs/configuration.md");
    let mut source: String = ["src/server/config.rs", "src/server/args.rs"].map(read).concat();
    for file in ["archive", "auth", "status", "stores"] {
        source += &read(&format!("src/server/config/{file}.rs"));
    }
    let mut in_code = variables(&source);
    // A variable of an earlier version, which is refused by name.
    in_code.remove("DROVER_BEHIND_PROXY");
    assert_eq!(variables(&document), in_code);
}

/// The table of settings, from the comments on the fields of the file: what a field means, followed by a list with its
/// default and its variables.
fn settings() -> String {
    let mut table = "| environment | in the file | default | meaning |\n|---|---|---|---|\n".to_owned();
    let files = ["src/server/config/file.rs", "src/server/config/status.rs"].map(read);
    let (mut said, mut name) = (vec![], None);
    for line in files.iter().flat_map(|file| file.lines()).map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            said.push(comment.trim());
            continue;
        }
        if let Some(attribute) = line.strip_prefix("#[") {
            let renamed = attribute.strip_prefix("serde(rename = \"");
            name = renamed.and_then(|rest| rest.split('"').next()).or(name);
            continue;
        }
        let (parts, meaning): (Vec<&str>, Vec<&str>) = said.drain(..).partition(|line| line.starts_with("- "));
        let (meaning, name) = (meaning.join(" ").trim().to_owned(), name.take());
        let part = |word: &str| {
            parts
                .iter()
                .find_map(|part| part.strip_prefix(word))
                .unwrap_or_default()
        };
        let key = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": Option<"));
        if line.starts_with("pub struct ") && meaning.starts_with("`[") {
            let (heading, more) = meaning.split_once(": ").unwrap_or((&meaning, ""));
            table += &format!("| | **{heading}** | | {more} |\n");
        } else if let Some((key, _)) = key
            && key != "package"
            && !meaning.starts_with("`[")
        {
            assert!(!meaning.is_empty(), "{key}");
            let (default, environment) = (part("- default: "), part("- environment: "));
            table += &format!(
                "| {environment} | `{}` | {default} | {meaning} |\n",
                name.unwrap_or(key)
            );
        }
    }
    table.replace("|  |", "| |")
}

#[test]
fn every_route_and_every_action_of_the_api_is_documented() {
    let (api, actions) = (read("docs/api.md"), read("docs/actions.md"));
    let mut missing = vec![];
    for Declared { path, .. } in declared() {
        let below = path.strip_prefix("/api/v1").filter(|path| !path.contains('*'));
        if let Some(path) = below
            && !api.contains(&format!("{path}`"))
            && !api.contains(&format!("{path}?"))
        {
            missing.push(path.to_owned());
        }
    }
    for kind in ActionKind::ALL {
        let word = format!("`{}`", kind.row().word);
        if !api.contains(&word) || !actions.contains(&word) {
            missing.push(word);
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Compares the table between the marks of this name in a document with its source. With `DOCS=renew` in the
/// environment it updates the document.
fn generated(path: &str, name: &str, table: &str) {
    let text = read(path);
    let (head, rest) = text.split_once(&format!("<!-- generated: {name} -->\n")).unwrap();
    let (written, tail) = rest.split_once("<!-- /generated -->").unwrap();
    if std::env::var("DOCS").is_ok_and(|word| word == "renew") {
        let whole = format!("{head}<!-- generated: {name} -->\n{table}<!-- /generated -->{tail}");
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), whole).unwrap();
        return;
    }
    assert_eq!(written, table, "{path} is out of date: run this test with DOCS=renew");
}

#[test]
fn the_table_of_actions_is_made_from_their_catalogue() {
    let mut table = "| word | on | permission | page | effect |\n|---|---|---|---|---|\n".to_owned();
    for kind in ActionKind::ALL {
        let row = kind.row();
        let needs: Vec<String> = row.needs.iter().map(|verb| format!("`{}`", verb.as_str())).collect();
        let more = row.fields.iter().filter_map(|field| {
            let verb = field.needs?.as_str();
            Some(format!("; with `{}` also `{verb}`", field.name))
        });
        let page = match (row.at_once, row.harm) {
            (_, Harm::Final) => "asks, final",
            (None, _) => "asks",
            (Some(_), _) => "",
        };
        table += &format!(
            "| `{}` | {} | {}{} | {page} | {} |\n",
            row.word,
            row.target.noun().trim_start_matches("a "),
            needs.join(", "),
            more.collect::<String>(),
            row.summary
        );
    }
    generated("docs/actions.md", "actions", &table);
}

#[test]
fn every_role_permission_and_metric_is_documented() {
    let (access, metrics) = (read("docs/access.md"), read("docs/metrics.md"));
    let roles = Role::ALL.map(Role::as_str);
    for name in Verb::ALL.map(Verb::as_str).iter().chain(&roles) {
        assert!(access.contains(&format!("`{name}`")), "{name}");
    }
    let telemetry = read("src/server/http/metrics.rs");
    let names: BTreeSet<&str> = telemetry
        .split('"')
        .filter(|text| text.starts_with("drover_"))
        .collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        assert!(metrics.contains(&format!("`{name}`")), "{name}");
    }
}
