//! Cookies: how all are read and set, and the one of a session.
//!
//! Over TLS the name of the latter begins with `__Host-`: a browser then takes it from this host alone, and sends it over TLS alone. The
//! path is `/`, as that prefix demands; a path is no boundary anyway. Two boards on one host tell theirs apart by a digest
//! of the base path in the name (S-8). Without TLS there are sessions on this machine only.

use crate::base_path::BasePath;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use cookie::time::Duration;
use cookie::{Cookie, SameSite};

/// The values of a cookie in a request: more than one where several paths or domains set it.
pub fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let all = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(Cookie::split_parse);
    all.filter_map(Result::ok)
        .filter(move |cookie| cookie.name() == name)
        .filter_map(|cookie| cookie.value_raw())
}

/// The header that sets a cookie, which no script may read; an age of 0 removes it.
#[must_use]
pub fn set(name: &str, value: &str, path: &str, age_s: u64, secure: bool) -> String {
    let cookie = Cookie::build((name, value))
        .path(path)
        .max_age(Duration::seconds(age_s.try_into().unwrap_or(i64::MAX)))
        .http_only(true)
        .same_site(SameSite::Lax);
    // `Secure` is left out rather than denied, so that the cookie is set on this machine without TLS.
    if secure { cookie.secure(true) } else { cookie }.to_string()
}

/// Adds a header that sets a cookie to an answer.
#[must_use]
pub fn with(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// How the cookie of a session is called and sent.
#[derive(Clone, Debug)]
pub struct SessionCookie {
    name: String,
    secure: bool,
}

impl SessionCookie {
    /// For a board at a base path.
    #[must_use]
    pub fn new(base: &BasePath, secure: bool) -> Self {
        let digest = &super::tokens::hash(base.as_str())[..8];
        let prefix = if secure { "__Host-" } else { "" };
        Self {
            name: format!("{prefix}drover_{digest}"),
            secure,
        }
    }

    /// The session cookie of a request; `None` if it is there twice, because it is not known which one is ours.
    #[must_use]
    pub fn read<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let mut ours = values(headers, &self.name);
        let value = ours.next().filter(|value| !value.is_empty())?;
        ours.next().is_none().then_some(value)
    }

    /// The cookie that an answer sets; an age of 0 removes it.
    #[must_use]
    pub fn set(&self, value: &str, age_s: u64) -> String {
        set(&self.name, value, "/", age_s, self.secure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(base: &str, secure: bool) -> SessionCookie {
        SessionCookie::new(&base.parse().unwrap(), secure)
    }

    // S-8
    #[test]
    fn a_cookie_is_for_this_host_and_this_board() {
        let (a, b) = (cookie("/admin/queues", true), cookie("/other", true));
        let set = a.set("s", 60);
        assert!(set.starts_with("__Host-drover_"), "{set}");
        for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Max-Age=60"] {
            assert!(set.contains(part), "{set}");
        }
        assert!(!set.contains("Domain"));
        let name = |set: &str| set.split('=').next().unwrap().to_owned();
        assert_ne!(name(&set), name(&b.set("s", 60)));
        let mut headers = HeaderMap::new();
        let both = format!("x=1; {}=one; {}=two", name(&set), name(&b.set("", 1)));
        headers.insert(header::COOKIE, both.parse().unwrap());
        assert_eq!((a.read(&headers), b.read(&headers)), (Some("one"), Some("two")));
        headers.append(header::COOKIE, format!("{}=three", name(&set)).parse().unwrap());
        assert_eq!(a.read(&headers), None, "twice is never");
        let plain = cookie("/admin/queues", false).set("s", 60);
        assert!(!plain.contains("__Host-") && !plain.contains("Secure"), "{plain}");
    }
}
