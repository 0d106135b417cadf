//! Scripts, styles and icons, embedded in the binary.
//!
//! A release build gives them names with a hash of their content, so a browser may cache them
//! indefinitely, and brings a brotli copy of each.

use super::encoding::accepts;
use crate::server::http::extract::Path;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;

// A debug build reads the files as they are now; a release build embeds what `scripts/cargo-server` has put there.
#[derive(rust_embed::RustEmbed)]
#[cfg_attr(debug_assertions, folder = "target/site")]
#[cfg_attr(not(debug_assertions), folder = "target/embedded")]
#[allow_missing = true]
struct Site;

/// The name of the output, as in `Cargo.toml` and `Leptos.toml`.
const NAME: &str = "drover";

/// The names of the files a page needs; each `None` when the binary was built without the browser's
/// part, in which case pages still read and only do not move.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    /// The script that starts the WebAssembly.
    pub script: Option<String>,
    /// The WebAssembly.
    pub wasm: Option<String>,
    /// The style sheet.
    pub style: Option<String>,
}

impl Assets {
    /// Looks up what was embedded.
    #[must_use]
    pub fn find() -> Self {
        let named = |suffix: &str| {
            Site::iter()
                .filter_map(|path| path.strip_prefix("pkg/").map(str::to_owned))
                .find(|file| file.starts_with(NAME) && file.ends_with(suffix))
        };
        Self {
            script: named(".js"),
            wasm: named(".wasm"),
            style: named(".css"),
        }
    }
}

/// A file of the build.
pub async fn pkg(Path(file): Path<String>, headers: HeaderMap) -> Response {
    // drover.<hash>.js has a name of three parts; drover.js, of a development build, has two.
    let hashed = file.split('.').count() > 2;
    let keep = if hashed {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    serve(&format!("pkg/{file}"), &headers, keep)
}

/// A file that has to be at the root: icon, robots.txt.
pub async fn root(Path(file): Path<String>, headers: HeaderMap) -> Response {
    serve(&file, &headers, "public, max-age=3600")
}

fn serve(path: &str, headers: &HeaderMap, keep: &'static str) -> Response {
    let compressed = accepts(headers, "br")
        .then(|| Site::get(&format!("{path}.br")))
        .flatten();
    let encoded = compressed.is_some();
    let Some(file) = compressed.or_else(|| Site::get(path)) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let body = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let kind = match path.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("ico") => "image/x-icon",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    let mut response = body.into_response();
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if encoded {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    response
}
