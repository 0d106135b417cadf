//! Where the board lives on its host, and the only place that joins URLs.
//!
//! A reverse proxy may forward requests with the prefix (`/admin/queues/…`) or without it (`/…`). Both arrive at the
//! same routes, because [`BasePath::strip`] removes the prefix if there is one; [`BasePath::href`] builds every address
//! that goes *out*, always with the prefix.

use crate::model::address::encode_segment;
use crate::model::queue::QueueRef;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::str::FromStr;

/// The default, as in the examples of `docs/proxy.md`.
pub const DEFAULT: &str = "/admin/queues";

/// The path that takes as a parameter a path which would not survive as one.
const AT: &str = "/at";

/// Where the API is.
pub const API: &str = "/api/v1";

/// The parameter's name.
pub const TO: &str = "to";

/// Escapes that some proxy or browser interprets as structure: slash, dot, backslash, zero, percent.
const FRAGILE: [&str; 5] = ["%2F", "%2E", "%5C", "%00", "%25"];

/// A checked base path: empty, or `/one/or/more` without a slash at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BasePath(String);

/// Why a text is not a base path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadBasePath(String);

impl fmt::Display for BadBasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a base path: write / or segments of letters, digits, '.', '_', '~' and '-', such as {DEFAULT}",
            self.0
        )
    }
}

impl std::error::Error for BadBasePath {}

impl FromStr for BasePath {
    type Err = BadBasePath;

    /// Accepts `""`, `/`, `/a/b` and `/a/b/`. The alphabet is narrow on purpose: the value ends up
    /// in HTML and in cookies.
    fn from_str(text: &str) -> Result<Self, BadBasePath> {
        let bad = || BadBasePath(text.to_owned());
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        if trimmed.is_empty() {
            return Ok(Self::default());
        }
        let segments = trimmed.strip_prefix('/').ok_or_else(bad)?;
        let fine = |s: &str| {
            !s.is_empty()
                && s != "."
                && s != ".."
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
        };
        if segments.split('/').all(fine) {
            Ok(Self(trimmed.to_owned()))
        } else {
            Err(bad())
        }
    }
}

impl BasePath {
    /// The prefix itself, `""` at the root of a host.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The `Path` of a cookie.
    #[must_use]
    pub fn cookie_path(&self) -> &str {
        if self.0.is_empty() { "/" } else { &self.0 }
    }

    /// The public address of a path inside the board, with or without a query.
    ///
    /// A path with an escaped slash, dot or backslash does not survive every proxy and browser: one that strips a
    /// prefix decodes it, and `%2E%2E` means "up" to a browser. Such a path travels as a parameter, which no proxy or
    /// browser changes: `{base}/at?to=…`.
    #[must_use]
    pub fn href(&self, inner: &str) -> String {
        debug_assert!(inner.starts_with('/'), "{inner:?} is not a path");
        let (path, query) = inner.split_once('?').unwrap_or((inner, ""));
        if FRAGILE.iter().any(|escape| path.contains(escape)) {
            let joint = if query.is_empty() { "" } else { "&" };
            return format!("{}{AT}?{TO}={}{joint}{query}", self.0, encode_segment(path));
        }
        match (self.0.as_str(), inner) {
            ("", inner) => inner.to_owned(),
            (base, "/") => base.to_owned(),
            (base, inner) => format!("{base}{inner}"),
        }
    }

    /// The public address of a path inside the board that came with a request, such as a form's `next`; the first page if
    /// it is not a plain path. A browser drops tabs and reads backslashes as slashes, so `/\t/host` would leave the board.
    #[must_use]
    pub fn lead(&self, inner: &str) -> String {
        let plain = inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let path = inner.split(['?', '#']).next().unwrap_or_default();
        if plain && path.starts_with('/') && !path.contains("//") {
            self.href(inner)
        } else {
            self.href("/")
        }
    }

    /// The path and query in an `/at?to=…` address, or, with a path of the API, in `/api/v1/at?to=…`; `None` for any
    /// other address.
    #[must_use]
    pub fn unwrap_at(path_and_query: &str) -> Option<String> {
        let (below, at) = match path_and_query.strip_prefix(API) {
            Some(rest) => (API, rest),
            None => ("", path_and_query),
        };
        let parameters = at.strip_prefix(AT)?.strip_prefix('?')?;
        let mut parameters: Vec<&str> = parameters.split('&').collect();
        let to = parameters
            .iter()
            .position(|p| p.strip_prefix(TO).is_some_and(|rest| rest.starts_with('=')))?;
        let path = percent_decode_str(&parameters.remove(to)[TO.len() + 1..])
            .decode_utf8()
            .ok()?;
        let query = if parameters.is_empty() {
            String::new()
        } else {
            format!("?{}", parameters.join("&"))
        };
        path.starts_with('/').then(|| format!("{below}{path}{query}"))
    }

    /// The path inside the board of a request for `path`, whether or not a proxy removed the prefix.
    #[must_use]
    pub fn strip<'a>(&self, path: &'a str) -> &'a str {
        match path.strip_prefix(self.0.as_str()) {
            Some("") => "/",
            Some(inner) if inner.starts_with('/') => inner,
            _ => path,
        }
    }

    /// The page of a store.
    #[must_use]
    pub fn store(&self, store: &str) -> String {
        self.href(&store_path(store))
    }

    /// The page of a queue.
    #[must_use]
    pub fn queue(&self, queue: &QueueRef) -> String {
        self.href(&queue_path(queue))
    }

    /// The page of a job.
    #[must_use]
    pub fn job(&self, queue: &QueueRef, job: &str) -> String {
        self.href(&job_path(queue, job))
    }
}

/// The path of a store's page inside the board.
#[must_use]
pub fn store_path(store: &str) -> String {
    format!("/stores/{}", encode_segment(store))
}

/// The path of a queue's page inside the board.
#[must_use]
pub fn queue_path(queue: &QueueRef) -> String {
    format!(
        "/queues/{}/{}",
        encode_segment(&queue.store),
        encode_segment(&queue.queue)
    )
}

/// The path of a job's page inside the board.
#[must_use]
pub fn job_path(queue: &QueueRef, job: &str) -> String {
    format!("{}/jobs/{}", queue_path(queue), encode_segment(job))
}

/// The path of the form for an action on a schedule.
#[must_use]
pub fn schedule_act_path(queue: &QueueRef, key: &str) -> String {
    let (store, queue) = (encode_segment(&queue.store), encode_segment(&queue.queue));
    format!("/schedules/{store}/{queue}/{}/act", encode_segment(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_base_paths() {
        for (text, base) in [("", ""), ("/", ""), ("/q", "/q"), ("/admin/queues/", "/admin/queues")] {
            assert_eq!(text.parse::<BasePath>().unwrap().as_str(), base);
        }
        for bad in [
            "q", "//", "/a//b", "/..", "/a/../b", "/a%2e", "/<b>", "/a b", "/a?b", "/é", "///",
        ] {
            assert!(bad.parse::<BasePath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_kept_and_a_stripped_prefix_reach_the_same_path() {
        let base: BasePath = "/admin/queues".parse().unwrap();
        for (path, inner) in [
            ("/admin/queues", "/"),
            ("/admin/queues/", "/"),
            ("/admin/queues/queues/a/b", "/queues/a/b"),
            ("/queues/a/b", "/queues/a/b"),
            ("/", "/"),
            ("/admin/queuesX", "/admin/queuesX"),
        ] {
            assert_eq!(base.strip(path), inner, "{path}");
        }
        let root = BasePath::default();
        assert_eq!(root.strip("/queues/a"), "/queues/a");
        assert_eq!(root.strip("/"), "/");
    }

    #[test]
    fn every_address_that_goes_out_has_the_prefix_once() {
        let base: BasePath = "/admin/queues".parse().unwrap();
        assert_eq!(base.href("/"), "/admin/queues");
        assert_eq!(base.href("/events"), "/admin/queues/events");
        assert_eq!(BasePath::default().href("/"), "/");
        let odd = QueueRef {
            store: "s".into(),
            queue: "bull:a/b ?".into(),
        };
        let job = base.job(&odd, "..");
        assert_eq!(
            job,
            "/admin/queues/at?to=%2Fqueues%2Fs%2Fbull:a%252Fb%2520%253F%2Fjobs%2F%252E%252E"
        );
        let inner = BasePath::unwrap_at(base.strip(&job));
        assert_eq!(inner.as_deref(), Some("/queues/s/bull:a%2Fb%20%3F/jobs/%2E%2E"));
        let list = base.href(&format!("{}?state=failed&limit=5", queue_path(&odd)));
        assert_eq!(
            BasePath::unwrap_at(base.strip(&list)).as_deref(),
            Some("/queues/s/bull:a%2Fb%20%3F?state=failed&limit=5")
        );
        for plain in ["/at", "/at?x=1", "/at?to=", "/at?to=nowhere", "/queues/a"] {
            assert_eq!(BasePath::unwrap_at(plain), None, "{plain}");
            assert_eq!(BasePath::unwrap_at(&format!("/api/v1{plain}")), None, "{plain}");
        }
        assert_eq!(
            BasePath::unwrap_at("/api/v1/at?state=failed&to=%2Fqueues%2Fs%2Fa%252Fb").as_deref(),
            Some("/api/v1/queues/s/a%2Fb?state=failed")
        );
    }

    #[test]
    fn a_path_from_a_request_never_leads_off_the_board() {
        for base in ["", "/admin/queues"] {
            let base: BasePath = base.parse().unwrap();
            for fine in [
                "/",
                "/workers",
                "/queues/r/bull:a%2Fb?state=failed&q=a//b",
                "/at?to=%2Fqueues",
                "/workers#x",
            ] {
                assert_eq!(base.lead(fine), base.href(fine), "{fine}");
            }
            for evil in [
                "",
                "//host",
                "///host",
                "/\t/host",
                "/\\host",
                "\\/host",
                "/\r\n/host",
                "/\u{b}/host",
                "/\0/host",
                "/ /host",
                "/./\t/host",
                "/x//host",
                "https://host",
                "host",
                "/é",
                "\u{a0}//host",
                "javascript:alert(1)",
            ] {
                assert_eq!(base.lead(evil), base.href("/"), "{evil:?}");
            }
        }
    }
}
