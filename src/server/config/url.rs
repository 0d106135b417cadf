//! The URL of a store: its kind, whether it is written so that it can be read, and the URL without its secrets.
//!
//! A URL that is wrong is never shown: what looks like a host or a database may be the rest of a password.

use super::StoreKind;
use crate::server::adapter::postgres::address::Address;

/// The schemes of a Redis and of a Postgres.
const REDIS: [&str; 9] = [
    "redis",
    "rediss",
    "redis+sentinel",
    "rediss+sentinel",
    "unix",
    "redis+unix",
    "valkey",
    "valkeys",
    "valkey+unix",
];
const POSTGRES: [&str; 2] = ["postgres", "postgresql"];

/// The problem with any other scheme.
pub(super) const SCHEMES: &str = "its scheme is not known; use redis://, rediss:// (TLS), redis+sentinel:// or unix:// (a socket) for a Redis, postgres:// for a Postgres";

/// Whether the value of a parameter is shown.
fn is_shown(key: &str) -> bool {
    let of_redis = matches!(key, "db" | "protocol");
    of_redis || (Address::PARAMETERS.contains(&key) && !NAMED.contains(&key))
}

/// Parameters of which the name alone is shown. Of any other nothing is.
const NAMED: [&str; 5] = ["password", "sslpassword", "pass", "passfile", "options"];

impl StoreKind {
    /// By the scheme of a URL; `None` for one that no store has.
    pub(super) fn of(url: &str) -> Option<Self> {
        let (scheme, _) = url.split_once("://")?;
        match scheme {
            scheme if REDIS.contains(&scheme) => Some(Self::Redis),
            scheme if POSTGRES.contains(&scheme) => Some(Self::Postgres),
            _ => None,
        }
    }
}

/// A URL as it is written: the part before the last `@`, the part behind it, and its parameters.
struct Parts<'a> {
    scheme: &'a str,
    login: Option<&'a str>,
    place: &'a str,
    parameters: Option<&'a str>,
}

fn parts(url: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    // An `@` in a known parameter's value ends no login; a `?` in front of any other `@` belongs to a password.
    let begins = |mark: &usize| {
        let mut pairs = rest[mark + 1..].split('&').filter(|pair| pair.contains('@'));
        pairs.all(|pair| {
            let key = pair.split('=').next().unwrap_or_default();
            is_shown(key) || NAMED.contains(&key)
        })
    };
    let mark = rest.match_indices('?').map(|(at, _)| at).find(begins);
    let (head, parameters) = match mark {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let (login, place) = match head.rsplit_once('@') {
        // A socket's path is all there is.
        Some((login, place)) if !scheme.ends_with("unix") => (Some(login), place),
        _ => (None, head),
    };
    Some(Parts {
        scheme,
        login,
        place,
        parameters,
    })
}

/// Why a URL cannot be read as it is meant, where a character of its password ends the part that the password is in.
pub(super) fn ambiguous(url: &str) -> Option<&'static str> {
    let login = parts(url)?.login?;
    login.contains(['/', '?', '#']).then_some(
        "its user or password holds a character that has a meaning in URLs: percent-encode it (# as %23, / as %2F, ? as %3F, \
         @ as %40)",
    )
}

/// Whether a URL carries a password.
pub(super) fn has_password(url: &str) -> bool {
    let Some(parts) = parts(url) else { return false };
    let parameters = parts.parameters.unwrap_or_default();
    parts.login.is_some_and(|login| login.contains(':'))
        || parameters.split('&').any(|pair| pair.starts_with("password="))
}

/// A URL without its secrets: no password, no parameter that may hold one, and of a Redis no user that stands alone, which
/// is where providers of Redis put a token. Nothing of what is no URL.
#[must_use]
pub(super) fn mask(url: &str) -> String {
    let Some(parts) = parts(url) else {
        return "***".into();
    };
    let postgres = POSTGRES.contains(&parts.scheme);
    let login = match parts.login {
        None => String::new(),
        Some(login) if login.contains(['/', '?', '#']) => "***@".into(),
        Some(login) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:***@"),
            None if postgres => format!("{login}@"),
            None => "***@".into(),
        },
    };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((key, _)) if is_shown(key) => pair.to_owned(),
        Some((key, _)) if NAMED.contains(&key) => format!("{key}=***"),
        _ => "***".into(),
    };
    let parameters = parts.parameters.map_or_else(String::new, |all| {
        format!("?{}", all.split('&').map(pair).collect::<Vec<_>>().join("&"))
    });
    format!("{}://{login}{}{parameters}", parts.scheme, parts.place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_anything_that_may_be_a_secret() {
        for (url, shown) in [
            ("redis://h:1/2", "redis://h:1/2"),
            ("redis://me:hunter2@h", "redis://me:***@h"),
            ("redis://:hunter2@h", "redis://:***@h"),
            ("rediss://hunter2@h:6380", "rediss://***@h:6380"),
            (
                "unix:///run/r.sock?pass=hunter2&db=1",
                "unix:///run/r.sock?pass=***&db=1",
            ),
            ("postgres://me@h/db", "postgres://me@h/db"),
            ("postgres://me:hun@ter2@h/db", "postgres://me:***@h/db"),
            (
                "postgres://h/db?sslmode=require&password=hunter2&sslpassword=hunter2",
                "postgres://h/db?sslmode=require&password=***&sslpassword=***",
            ),
            (
                "postgres://h/db?user=me@corp&hunter2",
                "postgres://h/db?user=me@corp&***",
            ),
            ("postgres://h/db?p%61ssword=hunter2", "postgres://h/db?***"),
            ("postgres://me:hun/ter2@h/db", "postgres://***@h/db"),
            ("postgres://me:1?hunter2@h/db", "postgres://***@h/db"),
            (
                "postgres://me:1?x=hunter2@h/db?sslmode=require",
                "postgres://***@h/db?sslmode=require",
            ),
            ("me:hunter2@h", "***"),
        ] {
            assert_eq!(mask(url), shown, "{url}");
            assert!(!mask(url).contains("ter2"), "{url}");
        }
    }

    #[test]
    fn a_password_that_ends_the_authority_is_noticed_and_others_are_not() {
        for url in [
            "postgres://me:a#b@h/db",
            "postgres://me:a/b@h/db",
            "postgres://me:1?b@h/db",
            "postgres://me:1#b@h/db?sslmode=require",
            "rediss://:a/b@h",
        ] {
            assert!(
                ambiguous(url).is_some_and(|why| why.contains("percent-encode")),
                "{url}"
            );
        }
        for url in [
            "postgres://me:a%23b@h/db",
            "postgres://me:a@b@h/db",
            "postgres://h/db?connect_timeout=5&user=me@corp&sslrootcert=/etc/ca.pem",
            "redis://h:1/2",
            "unix:///run/redis@1/r.sock",
        ] {
            assert_eq!(ambiguous(url), None, "{url}");
        }
    }

    #[test]
    fn only_a_scheme_of_a_store_is_one() {
        assert_eq!(StoreKind::of("rediss://h"), Some(StoreKind::Redis));
        assert_eq!(StoreKind::of("postgresql://h"), Some(StoreKind::Postgres));
        for other in ["mysql://h", "redis:h", "h:6379", ""] {
            assert_eq!(StoreKind::of(other), None, "{other}");
        }
    }
}
