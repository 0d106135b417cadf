//! The configuration in force, as a file that would give it again, without secrets.

use super::{Config, LogFormat, StoreKind, url};
use crate::server::auth::settings::{Auth, Mode};
use crate::server::redact::Settings;
use std::fmt::Write as _;

/// Writes the configuration as TOML with passwords replaced by `***`.
#[must_use]
pub fn print(config: &Config) -> String {
    let mut out = String::new();
    let list = |items: &[String]| toml::Value::from(items.to_vec()).to_string();
    let text = |s: &str| toml::Value::from(s).to_string();
    // Writing into a String cannot fail.
    let _ = match &config.file {
        Some(path) => writeln!(out, "# in force: {} and the environment", path.display()),
        None => writeln!(out, "# in force: defaults and the environment"),
    };
    let _ = writeln!(out, "[server]");
    let _ = writeln!(out, "listen = {}", text(&config.listen.to_string()));
    let base = if config.base_path.as_str().is_empty() {
        "/"
    } else {
        config.base_path.as_str()
    };
    let _ = writeln!(out, "base_path = {}", text(base));
    if let Some(origin) = &config.auth.origin {
        let _ = writeln!(out, "public_url = {}", text(origin));
    }
    let proxies: Vec<String> = config.auth.trusted.0.iter().map(ToString::to_string).collect();
    let _ = writeln!(out, "trusted_proxies = {}", list(&proxies));
    let _ = writeln!(out, "max_streams = {}", config.max_streams);
    let _ = writeln!(out, "read_only = {}", config.read_only);
    if let Some(environment) = &config.environment {
        let _ = writeln!(out, "environment = {}", text(environment));
    }
    let _ = writeln!(out, "log = {}", text(&config.log));
    let format = match config.log_format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let _ = writeln!(out, "log_format = {}", text(format));
    print_auth(&mut out, &config.auth);
    let _ = writeln!(out, "\n[audit]");
    let _ = writeln!(out, "file = {}", text(&config.audit_file.to_string_lossy()));
    let _ = writeln!(out, "\n[archive]");
    let _ = writeln!(out, "enabled = {}", config.archive.is_some());
    if let Some(archive) = &config.archive {
        let _ = writeln!(out, "migrate = {}", archive.migrate);
        let _ = writeln!(out, "allow_unsafe = {}", archive.allow_unsafe);
        for policy in &archive.policies {
            let states: Vec<String> = policy.states.iter().map(|state| state.as_str().to_owned()).collect();
            let _ = writeln!(out, "\n[[archive.policy]]\n# {}", policy.sentence());
            let _ = writeln!(out, "id = {}", text(&policy.id));
            let _ = writeln!(out, "queues = {}", text(&policy.queues));
            let _ = writeln!(out, "states = {}", list(&states));
            let _ = writeln!(out, "older_than = {}", text(&policy.older_than));
            let _ = writeln!(out, "every = {}", text(&policy.every.to_string()));
            if let Some(limit) = policy.limit {
                let _ = writeln!(out, "limit = {limit}");
            }
        }
    }
    redact(&mut out, &config.redact);
    super::status::print(config, &mut out);
    for store in &config.stores {
        let _ = writeln!(out, "\n[[store]]");
        let _ = writeln!(out, "id = {}", text(&store.id));
        let _ = writeln!(out, "url = {}", text(&url::mask(&store.url)));
        if let Some(user) = &store.sentinel_username {
            let _ = writeln!(out, "sentinel_username = {}", text(user));
        }
        if store.sentinel_password.is_some() {
            let _ = writeln!(out, "sentinel_password = \"***\"");
        }
        match store.kind {
            StoreKind::Redis => {
                let _ = writeln!(out, "prefixes = {}", list(&store.prefixes));
                let _ = writeln!(out, "queues = {}", list(&store.queues));
            }
            StoreKind::Postgres => {
                let _ = writeln!(out, "schemas = {}", list(&store.schemas));
            }
        }
        if let Some(environment) = &store.environment {
            let _ = writeln!(out, "environment = {}", text(environment));
        }
        for list in &store.lists {
            super::lists::print(list, &mut out);
        }
    }
    out
}

fn print_auth(out: &mut String, auth: &Auth) {
    let list = |items: &[String]| toml::Value::from(items.to_vec()).to_string();
    let text = |s: &str| toml::Value::from(s).to_string();
    let _ = writeln!(out, "\n[auth]\nmode = {}", text(auth.mode.as_str()));
    let _ = writeln!(out, "folder = {}", text(&auth.folder.to_string_lossy()));
    if let Mode::Proxy(proxy) = &auth.mode {
        let _ = writeln!(out, "\n[auth.proxy]");
        let _ = writeln!(out, "user_header = {}", text(&proxy.user));
        let _ = writeln!(out, "groups_header = {}", text(&proxy.groups));
        if let Some(url) = &proxy.sign_out_url {
            let _ = writeln!(out, "sign_out_url = {}", text(url));
        }
        let secret = if proxy.secret.is_some() {
            "set"
        } else {
            "not needed on this socket"
        };
        let _ = writeln!(out, "# secret: {secret}");
    }
    let _ = writeln!(out, "\n[auth.session]");
    let _ = writeln!(out, "idle = \"{}s\"", auth.lifetime.idle.as_secs());
    let _ = writeln!(out, "lasts = \"{}s\"", auth.lifetime.whole.as_secs());
    for rule in &auth.rules {
        let allow: Vec<String> = rule.grant.verbs.names().into_iter().map(str::to_owned).collect();
        let queues: Vec<String> = rule.grant.queues.iter().map(ToString::to_string).collect();
        let _ = writeln!(out, "\n[[auth.grant]]");
        let _ = writeln!(out, "users = {}", list(&rule.users));
        let _ = writeln!(out, "groups = {}", list(&rule.groups));
        let _ = writeln!(out, "allow = {}", list(&allow));
        let _ = writeln!(out, "queues = {}", list(&queues));
    }
}

/// `[redact]`, without the lists that are empty.
fn redact(out: &mut String, settings: &Settings) {
    let lists = |out: &mut String, lists: [(&str, &Vec<String>); 4]| {
        for (name, items) in lists.into_iter().filter(|(_, items)| !items.is_empty()) {
            let _ = writeln!(out, "{name} = {}", toml::Value::from(items.clone()));
        }
    };
    let none = Vec::new();
    let _ = writeln!(out, "\n[redact]\ndefaults = {}", settings.defaults);
    if settings.personal {
        let _ = writeln!(out, "personal = true");
    }
    let (keys, keep, patterns) = (&settings.keys, &settings.keep, &settings.patterns);
    lists(
        out,
        [("keys", keys), ("keep", keep), ("patterns", patterns), ("paths", &none)],
    );
    for rule in &settings.rules {
        let _ = writeln!(
            out,
            "\n[[redact.rule]]\nqueues = {}",
            toml::Value::from(rule.queues.as_str())
        );
        let (keys, keep, patterns) = (&rule.keys, &rule.keep, &rule.patterns);
        lists(
            out,
            [
                ("keys", keys),
                ("keep", keep),
                ("patterns", patterns),
                ("paths", &rule.paths),
            ],
        );
        for (name, set) in [("personal", rule.personal), ("all", rule.all)] {
            if set {
                let _ = writeln!(out, "{name} = true");
            }
        }
    }
}
