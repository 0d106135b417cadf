//! Takes the base path off before anything is routed, so that a proxy may keep or strip it.
//!
//! Below a base path such as `/queues` a path says in two ways where it leads: `/queues/redis/x` is `/redis/x` with the prefix
//! kept, or the page of a queue whose prefix a proxy took off. The board has a page at one of the two, and that one is meant.

use crate::base_path::{API, BasePath};
use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// The paths that the board has pages at, as routes write them.
#[derive(Clone, Debug)]
pub struct Known(Arc<[&'static str]>);

impl Known {
    /// The paths of these routes, without those that match anything.
    pub fn of(routes: impl IntoIterator<Item = &'static str>) -> Self {
        let tells = |route: &&str| !matches!(*route, "/{file}" | "/api/{*rest}");
        Self(routes.into_iter().filter(tells).chain(["/at"]).collect())
    }

    fn has(&self, path: &str) -> bool {
        let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
        let fits = |route: &&str| {
            let mut parts = path.split('/');
            let fits = route.split('/').all(|part| {
                parts
                    .next()
                    .is_some_and(|own| own == part || (part.starts_with('{') && !own.is_empty()))
            });
            fits && parts.next().is_none()
        };
        self.0.iter().any(fits)
    }

    /// A page whose own path is also the base path followed by the path of another page.
    fn twice(&self, base: &BasePath) -> Option<&'static str> {
        let twice = |route: &&&str| {
            let inner = base.strip(route);
            inner != **route && self.has(inner)
        };
        self.0.iter().find(twice).copied()
    }

    /// What is risky about a base path, as a sentence.
    #[must_use]
    pub fn warning(&self, base: &BasePath) -> Option<String> {
        let page = self.twice(base)?;
        Some(format!(
            "base_path {} leads to one page where a proxy keeps it, and to another ({page}) where a proxy takes it off. Let the \
             proxy in front keep the prefix, or choose another base path.",
            base.as_str()
        ))
    }
}

/// A proxy took the base path off a request: it may have decoded the rest of the path too.
#[derive(Clone, Copy, Debug)]
pub struct Stripped;

/// A service behind a base path.
#[derive(Clone, Debug)]
pub struct Strip<S> {
    base: BasePath,
    known: Known,
    inner: S,
}

impl<S> Strip<S> {
    /// Puts `inner` behind `base`.
    pub const fn new(base: BasePath, known: Known, inner: S) -> Self {
        Self { base, known, inner }
    }
}

impl<S: Service<Request>> Service<Request> for Strip<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> S::Future {
        let came = request.uri().path();
        let inner = inner_path(&self.base, &self.known, came);
        let is_at = matches!(inner, "/at") || inner.strip_prefix(API) == Some("/at");
        let stripped = !self.base.as_str().is_empty() && inner == came && !is_at;
        if let Some(uri) = inner_uri(inner, request.uri()) {
            *request.uri_mut() = uri;
        }
        if stripped {
            request.extensions_mut().insert(Stripped);
        }
        self.inner.call(request)
    }
}

/// The path inside the board of a request for `path`, whether or not a proxy took the prefix off.
fn inner_path<'a>(base: &BasePath, known: &Known, path: &'a str) -> &'a str {
    let kept = base.strip(path);
    if kept != path && !known.has(kept) && known.has(path) {
        path
    } else {
        kept
    }
}

/// The address inside the board; `None` if it needs no change. The path is taken as it was sent:
/// what is percent-encoded stays so, and a slash at the end is dropped.
fn inner_uri(inner: &str, uri: &Uri) -> Option<Uri> {
    let at = uri
        .query()
        .and_then(|query| BasePath::unwrap_at(&format!("{inner}?{query}")));
    if let Some(at) = at {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(at.parse::<PathAndQuery>().ok()?);
        return Uri::from_parts(parts).ok();
    }
    let trimmed = match inner.strip_suffix('/') {
        Some(path) if !path.is_empty() => path,
        _ => inner,
    };
    if trimmed == uri.path() {
        return None;
    }
    let path_and_query = match uri.query() {
        Some(query) => format!("{trimmed}?{query}"),
        None => trimmed.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: [&str; 9] = [
        "/",
        "/queues/{store}/{queue}",
        "/queues/{store}/{queue}/jobs/{job}",
        "/workers",
        "/archive/policies",
        "/{file}",
        "/api/v1/queues/{store}/{queue}",
        "/api/v1/queues",
        "/api/{*rest}",
    ];

    fn inner(base: &str, uri: &str) -> String {
        let uri: Uri = uri.parse().unwrap();
        let path = inner_path(&base.parse().unwrap(), &Known::of(ROUTES), uri.path());
        inner_uri(path, &uri).unwrap_or_else(|| uri.clone()).to_string()
    }

    #[test]
    fn prefix_and_last_slash_go_and_everything_else_stays() {
        let inner = |uri: &str| inner("/admin/queues", uri);
        assert_eq!(inner("/admin/queues"), "/");
        assert_eq!(inner("/admin/queues/?a=b"), "/?a=b");
        assert_eq!(inner("/admin/queues/queues/r/bull:a%2Fb/"), "/queues/r/bull:a%2Fb");
        assert_eq!(inner("/queues/r/x?y"), "/queues/r/x?y");
        assert_eq!(inner("/admin/queuesX"), "/admin/queuesX");
        assert_eq!(inner("/"), "/");
        // As our own links write it, with the prefix kept and stripped.
        for prefix in ["/admin/queues", ""] {
            let at = format!("{prefix}/at?to=%2Fqueues%2Fr%2Fx%2Fjobs%2Fa%252F%252Fb&state=failed");
            assert_eq!(inner(&at), "/queues/r/x/jobs/a%2F%2Fb?state=failed");
            let at = format!("{prefix}/api/v1/at?to=%2Fqueues%2Fr%2Fa%252Fb");
            assert_eq!(inner(&at), "/api/v1/queues/r/a%2Fb");
        }
    }

    #[test]
    fn a_base_path_that_is_also_the_beginning_of_an_address_is_taken_off_once() {
        for (base, path, is) in [
            ("/queues", "/queues", "/"),
            ("/queues", "/queues/", "/"),
            ("/queues", "/queues/redis/bull:a", "/queues/redis/bull:a"),
            ("/queues", "/queues/redis/bull:a/", "/queues/redis/bull:a"),
            (
                "/queues",
                "/queues/redis/bull:a/jobs/7?x",
                "/queues/redis/bull:a/jobs/7?x",
            ),
            ("/queues", "/queues/queues/redis/bull:a", "/queues/redis/bull:a"),
            (
                "/queues",
                "/queues/queues/redis/bull:a/jobs/7",
                "/queues/redis/bull:a/jobs/7",
            ),
            ("/queues", "/queues/workers", "/workers"),
            ("/queues", "/workers", "/workers"),
            ("/queues", "/queues/favicon.svg", "/favicon.svg"),
            ("/queues", "/queues/api/v1/queues", "/api/v1/queues"),
            ("/queues", "/api/v1/queues/redis/bull:a", "/api/v1/queues/redis/bull:a"),
            ("/queues", "/queues/at?to=%2Fqueues%2Fr%2Fx", "/queues/r/x"),
            ("/api", "/api/v1/queues", "/api/v1/queues"),
            ("/api", "/api/api/v1/queues", "/api/v1/queues"),
            ("/api", "/api/workers", "/workers"),
        ] {
            assert_eq!(inner(base, path), is, "{path} below {base}");
        }
    }

    #[test]
    fn a_base_path_with_two_meanings_is_warned_of() {
        let known = Known::of(ROUTES);
        let twice = |base: &str| known.twice(&base.parse().unwrap());
        for fine in ["/", "/queues", "/admin/queues", "/archive", "/api"] {
            assert_eq!(twice(fine), None, "{fine}");
        }
        assert_eq!(twice("/workers"), Some("/workers"));
        assert_eq!(twice("/api/v1"), Some("/api/v1/queues/{store}/{queue}"));
    }
}
