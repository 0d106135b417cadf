//! Takes the base path off before anything is routed, so that a proxy may keep or strip it.

use crate::base_path::BasePath;
use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use std::task::{Context, Poll};
use tower::Service;

/// A service behind a base path.
#[derive(Clone, Debug)]
pub struct Strip<S> {
    base: BasePath,
    inner: S,
}

impl<S> Strip<S> {
    /// Puts `inner` behind `base`.
    pub const fn new(base: BasePath, inner: S) -> Self {
        Self { base, inner }
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
        if let Some(uri) = inner_uri(&self.base, request.uri()) {
            *request.uri_mut() = uri;
        }
        self.inner.call(request)
    }
}

/// The address inside the board; `None` if it needs no change. The path is taken as it was sent:
/// what is percent-encoded stays so, and a slash at the end is dropped.
fn inner_uri(base: &BasePath, uri: &Uri) -> Option<Uri> {
    let inner = base.strip(uri.path());
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

    #[test]
    fn prefix_and_last_slash_go_and_everything_else_stays() {
        let base: BasePath = "/admin/queues".parse().unwrap();
        let inner = |uri: &str| {
            let uri: Uri = uri.parse().unwrap();
            inner_uri(&base, &uri).unwrap_or(uri).to_string()
        };
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
        }
    }
}
