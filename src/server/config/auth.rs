//! `[auth]`: sign-in and permissions.
//!
//! The operator configures how users are recognised. Without that, only this machine gets in, and the start says
//! so; an address that others can reach is refused.

use super::{Given, Listen, Reader, file};
use crate::model::permission::{Role, Verb, Verbs};
use crate::server::auth::proxy::Proxy;
use crate::server::auth::sessions::Lifetime;
use crate::server::auth::settings::{Auth, Mode, Rule};
use crate::server::auth::trusted::Trusted;
use crate::server::auth::who::{Grant, QueueGlob};
use axum::http::{HeaderName, Uri};
use ipnet::IpNet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A secret that can be guessed is none.
const SECRET_MIN: usize = 16;

pub(super) fn read(
    r: &mut Reader<'_>,
    raw: file::Auth,
    server: (Option<String>, Option<Vec<String>>),
    (listen, listen_at): (&Listen, &str),
    audit_file: &Path,
    warnings: &mut Vec<String>,
) -> Auth {
    let (word, source) = r.pick("DROVER_AUTH_MODE", raw.mode, "");
    let (folder, _) = r.pick("DROVER_AUTH_FOLDER", raw.folder, "");
    let folder = match folder.as_str() {
        "" => audit_file.parent().map_or_else(PathBuf::new, Path::to_path_buf),
        folder => PathBuf::from(folder),
    };
    let trusted_proxies = proxies(r, server.1);
    let origin = origin(r, server.0);
    let rules = rules(r, raw.grant.unwrap_or_default());
    let secret = r.given("DROVER_PROXY_SECRET", "DROVER_PROXY_SECRET_FILE");
    let mode = match word.as_str() {
        "none" => Mode::None,
        "password" => Mode::Password,
        "" if listen.is_local() => {
            warnings.push(
                "auth.mode is not set: only this machine has access, and everyone on it may do everything. Set \
                 DROVER_AUTH_MODE to none if that is intended, or to password or proxy."
                    .into(),
            );
            Mode::None
        }
        "proxy" => Mode::Proxy(proxy(
            r,
            raw.proxy.unwrap_or_default(),
            secret,
            listen,
            &trusted_proxies,
        )),
        other => {
            let what = match other {
                "" => format!("{listen_at}: {listen} can be reached from other machines, and auth.mode is not set"),
                other => format!("{source}: auth mode {other:?} is not known"),
            };
            r.problems.push(format!(
                "{what}: set DROVER_AUTH_MODE to none (this machine only), password (people sign in here) or proxy (a proxy in \
                 front signs them in); see docs/access.md"
            ));
            Mode::None
        }
    };
    if r.env("DROVER_BEHIND_PROXY").is_some() {
        r.problems.push(
            "DROVER_BEHIND_PROXY no longer exists: DROVER_AUTH_MODE=proxy takes identity from the proxy, and \
             DROVER_TRUSTED_PROXIES names it"
                .into(),
        );
    }
    match (&mode, word.as_str()) {
        (Mode::None, "none" | "") => {
            if !listen.is_local() && word == "none" {
                r.problems.push(format!(
                    "{listen_at}: {listen} can be reached from other machines, and auth.mode is none: listen on 127.0.0.1, or set \
                     DROVER_AUTH_MODE to password or proxy"
                ));
            }
            if !rules.is_empty() {
                r.problems.push(
                    "[[auth.grant]] has no effect in mode none, where everyone on this machine may do everything"
                        .into(),
                );
            }
        }
        (Mode::Password, _) => {
            let secure = origin.as_ref().is_some_and(|origin| origin.starts_with("https://"));
            if !secure && !listen.is_local() {
                r.problems.push(format!(
                    "{listen_at}: {listen} can be reached from other machines, and passwords must not travel in the clear: set \
                     DROVER_PUBLIC_URL to the https:// address of the proxy that encrypts, or listen on 127.0.0.1"
                ));
            }
            if secure && trusted_proxies.is_empty() && !listen.is_socket() {
                warnings.push(
                    "trusted_proxies is empty: all users who sign in through the proxy appear to come from its \
                     address. Set DROVER_TRUSTED_PROXIES to that address."
                        .into(),
                );
            }
        }
        (Mode::Proxy(_), _) if rules.is_empty() => r.problems.push(
            "auth.mode is proxy and no [[auth.grant]] says who may do what, so no user could do anything: write one, \
             such as groups = [\"ops\"], role = \"operator\""
                .into(),
        ),
        _ => {}
    }
    let session = raw.session.unwrap_or_default();
    let usual = Lifetime::default();
    let lifetime = Lifetime {
        idle: span(r, "idle", session.idle, usual.idle),
        whole: span(r, "lasts", session.lasts, usual.whole),
    };
    Auth {
        mode,
        rules,
        lifetime,
        folder,
        origin,
        trusted: Trusted(trusted_proxies),
    }
}

fn span(r: &mut Reader<'_>, name: &str, text: Option<String>, usual: Duration) -> Duration {
    match text.map(|text| crate::model::span::parse(&text)) {
        None => usual,
        Some(Ok(ms)) if ms >= 60_000 => Duration::from_millis(ms),
        Some(_) => {
            r.problems.push(format!(
                "[auth.session] {name}: at least a minute, such as {name} = \"8h\""
            ));
            usual
        }
    }
}

fn proxies(r: &mut Reader<'_>, in_file: Option<Vec<String>>) -> Vec<IpNet> {
    let given = match r.env("DROVER_TRUSTED_PROXIES") {
        Some(text) => text.split(',').map(|one| one.trim().to_owned()).collect(),
        None => in_file.unwrap_or_default(),
    };
    let mut nets = vec![];
    for text in given {
        let net = text.parse::<IpNet>().ok();
        let net = net.or_else(|| Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?)));
        match net {
            // Every client would count as a proxy.
            Some(net) if net.prefix_len() == 0 => {
                r.problems
                    .push(format!("trusted_proxies: {text} is every address there is"));
            }
            Some(net) => nets.push(net),
            None => r.problems.push(format!(
                "trusted_proxies: {text:?} is neither an address nor a network such as 10.0.0.0/8"
            )),
        }
    }
    nets
}

fn origin(r: &mut Reader<'_>, in_file: Option<String>) -> Option<String> {
    let (text, source) = r.pick("DROVER_PUBLIC_URL", in_file, "");
    if text.is_empty() {
        return None;
    }
    let uri: Option<Uri> = text.parse().ok();
    let parts = uri
        .as_ref()
        .and_then(|uri| Some((uri.scheme_str()?, uri.authority()?, uri.path())));
    match parts {
        Some((scheme @ ("http" | "https"), host, "" | "/")) if !host.as_str().contains('@') => {
            let host = host.as_str().to_ascii_lowercase();
            // As browsers write an origin: without the port that the scheme implies.
            let usual = if scheme == "https" { ":443" } else { ":80" };
            let host = host.strip_suffix(usual).unwrap_or(&host);
            Some(format!("{scheme}://{host}"))
        }
        _ => {
            // It may hold a name and a password.
            let text = if text.contains('@') { "***" } else { text.as_str() };
            r.problems.push(format!(
                "{source}: public_url: {text:?} is not the scheme and host of the board, such as https://ops.example.com; the path \
                 is base_path"
            ));
            None
        }
    }
}

fn proxy(r: &mut Reader<'_>, raw: file::Proxy, secret: Given, listen: &Listen, trusted: &[IpNet]) -> Proxy {
    let from_env = r.secret(secret);
    let secret = from_env.or_else(|| r.read_secret("[auth.proxy] secret_file", &raw.secret_file?));
    match &secret {
        Some(secret) if secret.len() < SECRET_MIN => r.problems.push(format!(
            "the secret of the proxy has less than {SECRET_MIN} characters: `openssl rand -hex 32` makes a good one"
        )),
        None if !listen.is_socket() => r.problems.push(
            "auth.mode is proxy and the proxy has no secret: anything on its machine could name any user. Set \
             DROVER_PROXY_SECRET_FILE and let the proxy send it in X-Drover-Proxy-Secret, or listen on a Unix socket \
             (DROVER_LISTEN=unix:/run/drover/drover.sock)"
                .into(),
        ),
        _ => {}
    }
    if trusted.is_empty() && !listen.is_socket() {
        r.problems.push(
            "auth.mode is proxy and trusted_proxies is empty: set DROVER_TRUSTED_PROXIES to the address of the proxy, such as \
             127.0.0.1"
                .into(),
        );
    }
    let mut header = |name: &str, given: Option<String>, usual: &str| {
        let text = given.unwrap_or_else(|| usual.to_owned()).to_ascii_lowercase();
        if text.contains('_') || HeaderName::from_bytes(text.as_bytes()).is_err() {
            r.problems.push(format!(
                "[auth.proxy] {name}: {text:?} is not a header name without underscores, such as {usual}"
            ));
        }
        text
    };
    let user = header("user_header", raw.user_header, "x-forwarded-user");
    let groups = header("groups_header", raw.groups_header, "x-forwarded-groups");
    let url = raw.sign_out_url.filter(|url| {
        let fine =
            url.starts_with("https://") || url.starts_with("http://") || url.starts_with('/') && !url.starts_with("//");
        if !fine {
            r.problems
                .push("[auth.proxy] sign_out_url: an http(s) address, or a path that begins with one slash".into());
        }
        fine
    });
    Proxy {
        secret,
        user,
        groups,
        sign_out_url: url,
    }
}

fn rules(r: &mut Reader<'_>, raw: Vec<file::Grant>) -> Vec<Rule> {
    let mut rules = vec![];
    for (i, grant) in raw.into_iter().enumerate() {
        let at = format!("[[auth.grant]] {}", i + 1);
        let mut verbs = Verbs::default();
        let mut wrong = vec![];
        if let Some(role) = grant.role {
            match role.parse::<Role>() {
                Ok(role) => verbs = role.verbs(),
                Err(why) => wrong.push(format!("role: {why}")),
            }
        }
        let mut set = |what: &str, names: Option<Vec<String>>| {
            let verbs = names.unwrap_or_default().into_iter().filter_map(|name| {
                name.parse::<Verb>()
                    .map_err(|why| wrong.push(format!("{what}: {why}")))
                    .ok()
            });
            Verbs::of(&verbs.collect::<Vec<_>>())
        };
        let (allow, deny) = (set("allow", grant.allow), set("deny", grant.deny));
        let verbs = verbs.with(allow).without(deny);
        let globs = grant.queues.unwrap_or_else(|| vec!["*".into()]);
        let globs = globs.iter().filter_map(|glob| {
            let glob = glob.parse::<QueueGlob>();
            glob.map_err(|why| wrong.push(format!("queues: {why}"))).ok()
        });
        let queues: Vec<QueueGlob> = globs.collect();
        let (users, groups) = (grant.users.unwrap_or_default(), grant.groups.unwrap_or_default());
        if users.is_empty() && groups.is_empty() {
            wrong.push("it names no one: write users or groups".into());
        }
        if wrong.is_empty() && verbs == Verbs::default() {
            wrong.push("it permits nothing: write role or allow".into());
        }
        if wrong.is_empty() && queues.is_empty() {
            wrong.push("queues is empty: leave it out for all".into());
        }
        r.problems.extend(wrong.into_iter().map(|why| format!("{at}: {why}")));
        rules.push(Rule {
            users,
            groups,
            grant: Grant { verbs, queues },
        });
    }
    rules
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
