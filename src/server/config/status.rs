//! `[status_page]` and `[[status_page.component]]`: what is published, where, and to whom. Nothing is without a component.

use super::{Config, Listen, Reader};
use crate::model::span;
use crate::server::status::judge::Patience;
use crate::server::status::{Component, Settings, Visibility};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// `[status_page]`: [status page](status-page.md)
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// heading
    ///
    /// - default: `Status`
    pub name: Option<String>,
    /// address for readers, told to programs
    pub url: Option<String>,
    /// address and port that serve the status page alone
    ///
    /// - environment: `DROVER_STATUS_LISTEN`
    pub listen: Option<String>,
    /// requests a minute for each client on that listener; `0` for no limit
    ///
    /// - default: `60`
    /// - environment: `DROVER_STATUS_RATE_LIMIT`
    pub rate_limit: Option<u32>,
    /// `public`, or `signed_in` for the role `status` and higher
    ///
    /// - default: `public`
    pub visibility: Option<String>,
    /// sites that may show the page in a frame
    ///
    /// - default: none
    pub frame_ancestors: Option<Vec<String>>,
    /// how long a change for the worse lasts before the page shows it; at most `1d`
    ///
    /// - default: `3m`
    pub worse_after: Option<String>,
    /// the same for a change for the better
    ///
    /// - default: `5m`
    pub better_after: Option<String>,
    /// `[[status_page.component]]`
    pub component: Option<Vec<RawComponent>>,
}

/// `[[status_page.component]]`: published names; at most 20
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawComponent {
    /// part of URLs
    pub id: Option<String>,
    /// the published name; at most 60 characters
    pub name: Option<String>,
    /// which queues
    pub queues: Option<String>,
    /// how long the next job may wait, from `1s` to `31d`
    pub promise: Option<String>,
    /// heading above it
    pub group: Option<String>,
    /// a line below it; at most 100 characters
    pub description: Option<String>,
}

/// What fits on a page that loads at once.
const COMPONENTS: usize = 20;
const NAME: usize = 60;
const TEXT: usize = 100;

/// The shortest promise: a second.
const PROMISE_MIN: i64 = 1_000;

/// The longest: a month.
const PROMISE_MAX: i64 = 31 * 86_400_000;

/// Nothing is held back for longer than a day.
const LONGEST: i64 = 86_400_000;

/// Reads the settings; `None` where nothing is published.
pub(super) fn read(
    r: &mut Reader<'_>,
    raw: Option<Raw>,
    board: &Listen,
    signs_in: bool,
    warnings: &mut Vec<String>,
) -> Option<Settings> {
    let raw = raw.unwrap_or_default();
    let file = super::archive::place(r);
    let (listen, listen_source) = r.pick("DROVER_STATUS_LISTEN", raw.listen, "");
    let listen = match listen.as_str() {
        "" => None,
        text => match text.parse::<SocketAddr>() {
            Ok(address) => Some(address),
            Err(_) => {
                r.problems.push(format!(
                    "{listen_source}: status_page.listen: an address and port such as 0.0.0.0:8080"
                ));
                None
            }
        },
    };
    if listen.is_some_and(|listen| listen.port() != 0 && *board == Listen::Tcp(listen)) {
        r.problems.push(format!(
            "{listen_source}: status_page.listen: the board already listens there; the page needs its own listener so \
             that readers do not reach the board. Leave it out, or choose another port."
        ));
    }
    let limit = r.pick("DROVER_STATUS_RATE_LIMIT", raw.rate_limit.map(|n| n.to_string()), "60");
    let rate_limit = r.read(
        "status_page.rate_limit: requests a minute for each client, or 0 for no limit",
        limit,
        60,
    );
    let visibility = match raw.visibility.as_deref() {
        None | Some("public") => Visibility::Public,
        Some("signed_in") => Visibility::SignedIn,
        Some(other) => {
            r.problems.push(format!(
                "{file}: status_page.visibility: {other:?} is neither public nor signed_in"
            ));
            Visibility::Public
        }
    };
    if visibility == Visibility::SignedIn && listen.is_some() {
        r.problems.push(format!(
            "{listen_source}: status_page.listen: there is no sign-in there, and visibility is signed_in: leave one \
             of them out"
        ));
    }
    let patience = Patience {
        worse: wait(r, &file, "worse_after", raw.worse_after, 180_000),
        better: wait(r, &file, "better_after", raw.better_after, 300_000),
    };
    let name = words(r, &format!("{file}: status_page.name"), raw.name, NAME);
    let url = raw.url.unwrap_or_default();
    if !url.is_empty() && !is_site(&url, true) {
        r.problems.push(format!(
            "{file}: status_page.url: the address for readers, such as https://status.example.com"
        ));
    }
    let frame_ancestors = raw.frame_ancestors.unwrap_or_default();
    for site in frame_ancestors.iter().filter(|site| !is_site(site, false)) {
        r.problems.push(format!(
            "{file}: status_page.frame_ancestors: {site:?} is not a site: write it as https://wiki.example.com"
        ));
    }
    let raw_components = raw.component.unwrap_or_default();
    if raw_components.len() > COMPONENTS {
        r.problems.push(format!(
            "{file}: [[status_page.component]]: {} are too many for a page; at most {COMPONENTS}, each for as many queues as you like",
            raw_components.len()
        ));
    }
    if raw_components.is_empty() && listen.is_some() {
        r.problems.push(format!(
            "{listen_source}: status_page.listen: nothing is published: write a [[status_page.component]] with id, name, queues \
             and promise"
        ));
    }
    let components = components(r, &file, raw_components);
    if components.is_empty() {
        return None;
    }
    if visibility == Visibility::SignedIn && !signs_in {
        warnings.push(
            "status_page.visibility is signed_in, and auth.mode is none: anyone who can reach the board sees the page."
                .into(),
        );
    }
    if rate_limit == 0 && listen.is_some() {
        warnings.push("status_page.rate_limit is off: a client may ask for the status page as often as it can.".into());
    }
    Some(Settings {
        name: name.unwrap_or_else(|| "Status".into()),
        url,
        listen,
        rate_limit,
        visibility,
        frame_ancestors,
        patience,
        components,
    })
}

/// A length of time in milliseconds.
fn span(text: &str) -> Result<i64, String> {
    i64::try_from(span::parse(text)?).map_err(|_| format!("{text:?} is too long"))
}

fn wait(r: &mut Reader<'_>, file: &str, name: &str, text: Option<String>, usual: i64) -> i64 {
    let Some(text) = text else { return usual };
    match span(&text) {
        Ok(span) if span <= LONGEST => span,
        Ok(_) => {
            r.problems.push(format!("{file}: status_page.{name}: at most 1d"));
            usual
        }
        Err(why) => {
            r.problems.push(format!("{file}: status_page.{name}: {why}"));
            usual
        }
    }
}

/// Whether a text is the origin of a site, or with a path the address of a page. It goes into a header: the alphabet is narrow.
fn is_site(text: &str, path: bool) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let (host, below) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]".contains(&b);
    // Any subdomain, as policies write it.
    let named = if path {
        host
    } else {
        host.strip_prefix("*.").unwrap_or(host)
    };
    let whole = rest == host || path;
    !named.is_empty()
        && text.len() <= 200
        && named.bytes().all(plain)
        && whole
        && below.bytes().all(|b| plain(b) || b == b'/')
}

/// Words for readers, on one line.
fn words(r: &mut Reader<'_>, at: &str, text: Option<String>, most: usize) -> Option<String> {
    let text = text?.trim().to_owned();
    if text.chars().count() > most || text.chars().any(char::is_control) {
        r.problems.push(format!("{at}: at most {most} characters on one line"));
    }
    Some(text).filter(|text| !text.is_empty())
}

fn components(r: &mut Reader<'_>, file: &str, raw: Vec<RawComponent>) -> Vec<Component> {
    let mut seen = HashSet::new();
    let mut components = Vec::new();
    for (i, raw) in raw.into_iter().enumerate() {
        let id = raw.id.unwrap_or_default();
        let called = if id.is_empty() { "no id" } else { &id };
        let at = format!("{file}: [[status_page.component]] {} ({called})", i + 1);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
            r.problems
                .push(format!("{at}: id: 1 to 64 letters, digits, '-' and '_'"));
        } else if !seen.insert(id.clone()) {
            r.problems.push(format!("{at}: a second component has this id"));
        }
        let name = words(r, &format!("{at}: name"), raw.name, NAME);
        if name.is_none() {
            r.problems
                .push(format!("{at}: name: what readers call it, such as \"Outgoing email\""));
        }
        let queues = raw.queues.unwrap_or_default().trim().to_owned();
        if queues.is_empty() || queues.len() > 500 {
            r.problems.push(format!(
                "{at}: queues: the queues it is for, such as \"redis/bull:mail*\"; they are never published"
            ));
        }
        let promise = match span(&raw.promise.unwrap_or_default()) {
            Ok(promise) if (PROMISE_MIN..=PROMISE_MAX).contains(&promise) => promise,
            Ok(_) => {
                r.problems.push(format!("{at}: promise: between 1s and 31d"));
                continue;
            }
            Err(why) => {
                r.problems.push(format!(
                    "{at}: promise: how long work may wait, such as 1m or 2h: {why}"
                ));
                continue;
            }
        };
        let group = words(r, &format!("{at}: group"), raw.group, NAME);
        let description = words(r, &format!("{at}: description"), raw.description, TEXT);
        components.push(Component {
            id,
            name: name.unwrap_or_default(),
            queues,
            promise,
            group,
            description,
        });
    }
    components
}

/// The longest unit that leaves a whole number.
fn written(ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units.into_iter().find(|(unit, _)| ms >= *unit && ms % unit == 0);
    let (unit, word) = unit.unwrap_or((1, "ms"));
    format!("{}{word}", ms / unit)
}

/// Writes what is in force, as a file that would give it again.
pub(super) fn print(config: &Config, out: &mut String) {
    let Some(status) = &config.status else { return };
    let text = |s: &str| toml::Value::from(s).to_string();
    // Writing into a String cannot fail.
    let _ = writeln!(out, "\n[status_page]\nname = {}", text(&status.name));
    if !status.url.is_empty() {
        let _ = writeln!(out, "url = {}", text(&status.url));
    }
    if let Some(listen) = status.listen {
        let _ = writeln!(out, "listen = {}", text(&listen.to_string()));
    }
    let _ = writeln!(out, "rate_limit = {}", status.rate_limit);
    let _ = writeln!(out, "visibility = {}", text(status.visibility.as_str()));
    let sites = toml::Value::from(status.frame_ancestors.clone());
    let _ = writeln!(out, "frame_ancestors = {sites}");
    let _ = writeln!(out, "worse_after = {}", text(&written(status.patience.worse)));
    let _ = writeln!(out, "better_after = {}", text(&written(status.patience.better)));
    for component in &status.components {
        let _ = writeln!(out, "\n[[status_page.component]]\nid = {}", text(&component.id));
        let _ = writeln!(out, "name = {}", text(&component.name));
        let _ = writeln!(out, "queues = {}", text(&component.queues));
        let _ = writeln!(out, "promise = {}", text(&written(component.promise)));
        for (key, value) in [("group", &component.group), ("description", &component.description)] {
            if let Some(value) = value {
                let _ = writeln!(out, "{key} = {}", text(value));
            }
        }
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
