//! Takes the queue libraries' own Lua scripts from the pinned npm packages and embeds those that actions need.
//!
//! `src/server/adapter/bullmq/act/scripts.txt` says which ones and what each of their keys is. They are read from
//! `node_modules`, where `npm ci` puts them after checking the hashes of the lock file, with the files that they include;
//! nothing of them lies in this repository. A script that takes another number of keys than that list says fails the
//! build. The browser's half needs none of it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

const LIST: &str = "src/server/adapter/bullmq/act/scripts.txt";

/// A generation in the list, its npm package, the folder of its scripts, and the file of its licence.
const PACKAGES: [(&str, &str, &str, &str); 5] = [
    ("bull", "bull", "lib/commands", "LICENSE.md"),
    ("bullmq3", "bullmq3", "dist/cjs/commands", "LICENSE"),
    ("bullmq4", "bullmq4", "dist/cjs/commands", "LICENSE"),
    ("bullmq5", "bullmq5", "dist/cjs/commands", "LICENSE"),
    ("bullmq6", "bullmq", "dist/cjs/commands", "LICENSE"),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={LIST}");
    if env::var_os("CARGO_FEATURE_SSR").is_none() {
        return;
    }
    println!("cargo::rerun-if-changed=package-lock.json");
    // What a release build embeds of the page: a file more or less is seen by this list alone (scripts/cargo-server).
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed=target/embedded.list");
    }
    if let Err(problem) = embed() {
        println!("cargo::error={problem}");
        process::exit(1);
    }
}

fn embed() -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not say where to build")?);
    let mut code = String::new();
    let list = read(Path::new(LIST))?;
    for (generation, package, folder, licence) in PACKAGES {
        let package = Path::new("node_modules").join(package);
        println!("cargo::rerun-if-changed={}", package.join("package.json").display());
        if !package.join("package.json").exists() {
            return Err(format!(
                "the scripts of the queue libraries are not installed ({} is missing): run `npm ci` (or `make setup`) first",
                package.display()
            ));
        }
        let _ = writeln!(
            code,
            "/// The scripts of `{generation}`.\npub(super) static {}: &[Library] = &[",
            generation.to_uppercase()
        );
        let lines = list
            .lines()
            .filter_map(|line| line.strip_prefix(generation)?.strip_prefix(' '));
        for line in lines {
            let (line, header) = line
                .rsplit_once('=')
                .ok_or_else(|| format!("{LIST}: no `=` in {line}"))?;
            let mut words = line.split_whitespace();
            let name = words.next().ok_or_else(|| format!("{LIST}: a line without a script"))?;
            let roles: Vec<&str> = words.collect();
            let text = script(&package.join(folder), name, roles.len())?;
            let file = out.join(format!("{generation}-{name}.lua"));
            fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
            let roles: Vec<String> = roles.iter().map(|role| format!("Role::{role}")).collect();
            let _ = writeln!(
                code,
                "    Library {{ name: {name:?}, roles: &[{}], header: {:?}, text: include_str!({file:?}) }},",
                roles.join(", "),
                header.trim(),
            );
        }
        code.push_str("];\n");
        let licence = read(&package.join(licence))?;
        let _ = writeln!(code, "const LICENCE_{}: &str = {licence:?};", generation.to_uppercase());
    }
    let licences: Vec<String> = PACKAGES
        .iter()
        .map(|(g, p, ..)| format!("({p:?}, LICENCE_{})", g.to_uppercase()))
        .collect();
    let _ = writeln!(
        code,
        "/// The packages whose scripts are embedded, each with its licence notice.\npub static LICENCES: &[(&str, &str)] = &[{}];",
        licences.join(", ")
    );
    let file = out.join("library_scripts.rs");
    fs::write(&file, code).map_err(|error| format!("{}: {error}", file.display()))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// A script with everything that it includes, checked for the number of its keys.
fn script(folder: &Path, name: &str, keys: usize) -> Result<String, String> {
    let path = folder.join(format!("{name}-{keys}.lua"));
    if !path.exists() {
        let start = format!("{name}-");
        let others = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let found = others
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .find(|file| file.starts_with(&start));
        return Err(match found {
            Some(found) => format!("{LIST} gives {name} {keys} keys, but {} has {found}", folder.display()),
            None => format!("{} has no script {name}", folder.display()),
        });
    }
    let source = read(&path)?;
    let described = source.lines().take_while(|line| !line.trim_start().starts_with("]]"));
    let described = described.filter(|line| line.trim_start().starts_with("KEYS[")).count();
    if described != keys {
        return Err(format!("{} describes {described} keys and not {keys}", path.display()));
    }
    let mut text = String::with_capacity(4 * source.len());
    resolve(&path, &source, &mut HashSet::new(), &mut text)?;
    Ok(text)
}

/// Appends a file, each `--- @include "path"` replaced by that file the first time it is named.
fn resolve(path: &Path, source: &str, seen: &mut HashSet<PathBuf>, text: &mut String) -> Result<(), String> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    for line in source.lines() {
        let included = line
            .trim_start()
            .strip_prefix("--- @include")
            .map(|rest| rest.trim().trim_matches(['"', '\'']));
        match included {
            Some(included) => {
                let file = folder.join(format!("{}.lua", included.trim_end_matches(".lua")));
                let file = file
                    .canonicalize()
                    .map_err(|error| format!("{}: {error}", file.display()))?;
                if seen.insert(file.clone()) {
                    println!("cargo::rerun-if-changed={}", file.display());
                    resolve(&file, &read(&file)?, seen, text)?;
                }
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    Ok(())
}
