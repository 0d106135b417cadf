//! `[[store]]`, and the stores that the environment names.

use super::{Reader, Store, StoreKind, file, label, url};
use crate::server::adapter::postgres::address::Address;
use crate::server::adapter::redis::link::Link;
use std::collections::HashSet;

pub(super) fn read(r: &mut Reader<'_>, raw: Vec<file::Store>, warnings: &mut Vec<String>) -> Vec<Store> {
    let place = r
        .file
        .as_ref()
        .map_or_else(String::new, |path| path.display().to_string());
    let mut stores = Vec::new();
    for (i, store) in raw.into_iter().enumerate() {
        let at = format!(
            "{place}: [[store]] {} ({})",
            i + 1,
            // A URL that was written in place of the id is not shown.
            store.id.as_deref().filter(|id| !id.contains("://")).unwrap_or("no id")
        );
        let url = match (store.url, store.url_file) {
            (Some(url), None) => Some(url),
            (None, Some(path)) => r.read_secret(&at, &path),
            (Some(_), Some(_)) => {
                r.problems
                    .push(format!("{at}: url and url_file are both set: keep one"));
                None
            }
            (None, None) => {
                r.problems.push(format!(
                    "{at}: has no url: write url = \"redis://host:6379\" or url_file"
                ));
                None
            }
        };
        let Some(id) = store.id else {
            r.problems.push(format!("{at}: has no id: write id = \"a-short-name\""));
            continue;
        };
        let environment = label(r, &at, store.environment.unwrap_or_default());
        let lists = super::lists::read(r, &at, store.list.unwrap_or_default());
        if let Some(url) = url {
            let authorities = store.ca_file.and_then(|path| authorities(r, &at, &url, &path));
            let sentinel_password = match (store.sentinel_password, store.sentinel_password_file) {
                (None, Some(path)) => r.read_secret(&at, &path),
                (Some(_), Some(_)) => {
                    r.problems.push(format!(
                        "{at}: sentinel_password and sentinel_password_file are both set: keep one"
                    ));
                    None
                }
                (given, None) => given,
            };
            stores.push((
                at,
                Store {
                    id,
                    kind: StoreKind::of(&url).unwrap_or(StoreKind::Redis),
                    authorities,
                    url,
                    sentinel_username: store.sentinel_username,
                    sentinel_password,
                    prefixes: store.prefixes.unwrap_or_default(),
                    schemas: store.schemas.unwrap_or_default(),
                    queues: store.queues.unwrap_or_default(),
                    lists,
                    environment,
                },
            ));
        }
    }
    let ca_file = r.env("DROVER_REDIS_CA_FILE");
    let sentinel_username = r.env("DROVER_REDIS_SENTINEL_USERNAME");
    let sentinel_password = r.given("DROVER_REDIS_SENTINEL_PASSWORD", "DROVER_REDIS_SENTINEL_PASSWORD_FILE");
    let sentinel_password = r.secret(sentinel_password);
    let redis = r.given("DROVER_REDIS_URL", "DROVER_REDIS_URL_FILE");
    let redis = r.secret(redis);
    let postgres = r.given("DROVER_POSTGRES_URL", "DROVER_POSTGRES_URL_FILE");
    let postgres = r.secret(postgres);
    for (id, kind, name, url) in [
        ("redis", StoreKind::Redis, "DROVER_REDIS_URL", redis),
        ("postgres", StoreKind::Postgres, "DROVER_POSTGRES_URL", postgres),
    ] {
        let Some(url) = url else {
            continue;
        };
        if StoreKind::of(&url).is_some_and(|of| of != kind) {
            let other = match kind {
                StoreKind::Redis => "a Postgres: set DROVER_POSTGRES_URL instead",
                StoreKind::Postgres => "a Redis: set DROVER_REDIS_URL instead",
            };
            r.problems.push(format!("{name}: it is the URL of {other}"));
            continue;
        }
        // The environment wins over a store of the same id in the file.
        stores.retain(|(_, store)| store.id != id);
        let store = Store {
            id: id.into(),
            kind,
            authorities: ca_file
                .as_ref()
                .filter(|_| kind == StoreKind::Redis)
                .and_then(|path| authorities(r, name, &url, path)),
            url,
            sentinel_username: sentinel_username.clone().filter(|_| kind == StoreKind::Redis),
            sentinel_password: sentinel_password.clone().filter(|_| kind == StoreKind::Redis),
            prefixes: vec![],
            schemas: vec![],
            queues: vec![],
            lists: vec![],
            environment: None,
        };
        stores.push((name.into(), store));
    }
    if stores.is_empty() && r.problems.is_empty() {
        r.problems.push(
            "no store is configured: set DROVER_REDIS_URL=redis://127.0.0.1:6379 or DROVER_POSTGRES_URL, or write a [[store]] \
             table with id and url into Leptos.toml"
                .into(),
        );
    }
    let mut seen = HashSet::new();
    for (at, store) in &stores {
        check_store(r, at, store, warnings);
        if !seen.insert(store.id.clone()) {
            r.problems.push(format!("{at}: a second store has this id"));
        }
    }
    stores.into_iter().map(|(_, store)| store).collect()
}

/// The certificates in a file.
fn authorities(r: &mut Reader<'_>, at: &str, url: &str, path: &str) -> Option<Vec<u8>> {
    if !url.starts_with("rediss") {
        r.problems.push(format!(
            "{at}: ca_file is for rediss://; a Postgres takes ?sslmode=verify-full&sslrootcert={path}"
        ));
    }
    let read = std::fs::read(path);
    read.map_err(|error| {
        r.problems
            .push(format!("{at}: ca_file: {path} cannot be read: {error}"))
    })
    .ok()
}

fn check_store(r: &mut Reader<'_>, at: &str, store: &Store, warnings: &mut Vec<String>) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if store.id.is_empty() || store.id.len() > 64 || !store.id.bytes().all(plain) || store.id.starts_with('.') {
        r.problems.push(format!(
            "{at}: id: 1 to 64 letters, digits, '-', '_' and '.', not beginning with '.'"
        ));
    }
    let checked = match (StoreKind::of(&store.url), url::ambiguous(&store.url)) {
        (None, _) => Err(url::SCHEMES.to_owned()),
        (_, Some(why)) => Err(why.to_owned()),
        (Some(StoreKind::Redis), None) => check_redis(r, at, store),
        (Some(StoreKind::Postgres), None) => check_postgres(r, at, store, warnings),
    };
    match checked {
        // What is wrong is not shown: it may be a password in the wrong place.
        Err(why) => r.problems.push(format!("{at}: url: {why}")),
        Ok(Some(remedy)) => warnings.push(format!(
            "{at}: the password of {} travels in the clear; {remedy} encrypts it.",
            store.id
        )),
        Ok(None) => {}
    }
}

/// What would encrypt a connection that carries a password in the clear to another machine.
fn check_redis(r: &mut Reader<'_>, at: &str, store: &Store) -> Result<Option<&'static str>, String> {
    if !store.schemas.is_empty() {
        r.problems
            .push(format!("{at}: schemas are for a Postgres; a Redis takes prefixes"));
    }
    for queue in &store.queues {
        if !queue.contains(':') {
            r.problems.push(format!(
                "{at}: queues: {queue:?} has no prefix: write prefix:name, such as bull:{queue}"
            ));
        }
    }
    let (scheme, _) = store.url.split_once("://").unwrap_or_default();
    let sentinel = scheme.ends_with("+sentinel");
    if !sentinel && (store.sentinel_username.is_some() || store.sentinel_password.is_some()) {
        r.problems.push(format!(
            "{at}: sentinel_username and sentinel_password are for the URL of a primary behind Sentinels: redis+sentinel://"
        ));
    }
    let link = Link::open(store.target()).map_err(|error| {
        let said = error.to_string();
        let said = said.split(" - ").next().unwrap_or_default();
        let form = match sentinel {
            true => "redis+sentinel://user:password@host:26379,host2:26379/name-of-the-primary/0",
            false => "redis://user:password@host:6379/0",
        };
        format!("it is not the URL of a Redis ({said}): write it as {form}")
    })?;
    let address = link.address();
    let host = address.rsplit_once(':').map_or("", |(host, _)| host);
    let open = matches!(scheme, "redis" | "redis+sentinel") && !is_local(host) && store.url.contains('@');
    let encrypted = if sentinel { "rediss+sentinel://" } else { "rediss://" };
    Ok(open.then_some(encrypted))
}

/// The same for a Postgres.
fn check_postgres(
    r: &mut Reader<'_>,
    at: &str,
    store: &Store,
    warnings: &mut Vec<String>,
) -> Result<Option<&'static str>, String> {
    if !store.prefixes.is_empty() || !store.queues.is_empty() {
        r.problems.push(format!(
            "{at}: prefixes and queues are for a Redis; a Postgres takes schemas = [\"pgboss\"], or none for all of them"
        ));
    }
    if !store.lists.is_empty() {
        r.problems
            .push(format!("{at}: [[store.list]] is for a Redis: a Postgres has no lists"));
    }
    let address = Address::of(&store.url).map_err(|why| {
        format!("it is not the URL of a Postgres ({why}): write it as postgres://user:password@host:5432/database")
    })?;
    if address.ignored > 0 {
        let (n, verb) = match address.ignored {
            1 => ("a parameter".to_owned(), "is"),
            n => (format!("{n} parameters"), "are"),
        };
        warnings.push(format!(
            "{at}: url: {n} that Drover does not know {verb} ignored; it knows {}.",
            Address::PARAMETERS.join(", ")
        ));
    }
    let open = !address.encrypted && !is_local(&address.host) && url::has_password(&store.url);
    Ok(open.then_some("sslmode=require"))
}

fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1" | "")
}
