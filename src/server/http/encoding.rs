//! Which answers are compressed.
//!
//! What many readers get at the same moment (the overview, the list of queues, frames of a stream) is compressed once for all
//! of them ([`crate::server::wire`]); any other answer when it is sent, unless it is short, an image, or shows hidden values.

use crate::server::wire::{Gzip, Part};
use axum::body::Body;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse as _, Response};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, Predicate as _, SizeAbove};

/// What is shorter is sent as it is: a header more would cost what it saves.
const SHORT: u16 = 1024;

/// An answer with this extension is never compressed. Answers to a form may show a hidden value beside text that others have
/// written, and their length would say how much of the value that text repeats.
#[derive(Clone, Copy, Debug)]
pub struct Uncompressed;

type Worthwhile = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// Compresses whatever is not yet.
pub fn layer() -> CompressionLayer<And<SizeAbove, Worthwhile>> {
    let worthwhile: Worthwhile = |_, _, headers, extensions| {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let dense = kind.is_some_and(|kind| {
            (kind.starts_with("image/") && !kind.starts_with("image/svg")) || kind == "application/octet-stream"
        });
        !dense && extensions.get::<Uncompressed>().is_none()
    };
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(SHORT).and(worthwhile))
}

/// Whether a client accepts a coding.
pub fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    codings.any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let refused = weight
            .trim()
            .strip_prefix("q=")
            .is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        name.trim().eq_ignore_ascii_case(coding) && !refused
    })
}

/// Says how an answer is encoded, and that this depends on the client.
pub fn mark(headers: &mut HeaderMap, packed: bool) {
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// The answer to a client that has the newest version already.
pub fn unchanged() -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    mark(response.headers_mut(), false);
    response
}

/// An answer made of these parts.
pub fn answer(headers: &HeaderMap, kind: &'static str, parts: &[&Part]) -> Response {
    let packed = accepts(headers, "gzip");
    let body = match packed {
        true => Gzip::of(parts.iter().copied()),
        false => parts
            .iter()
            .map(|part| &**part.plain())
            .collect::<Vec<_>>()
            .concat()
            .into(),
    };
    let mut response = Body::from(body).into_response();
    mark(response.headers_mut(), packed);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_accepted_by_name_and_not_with_a_weight_of_nothing() {
        for (line, right) in [
            ("gzip", true),
            ("br;q=1.0, GZIP ; q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, br", false),
            ("br", false),
            ("", false),
            ("xgzip", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(line));
            assert_eq!(accepts(&headers, "gzip"), right, "{line:?}");
        }
    }
}
