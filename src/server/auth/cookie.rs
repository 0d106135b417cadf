//! The cookie of a session.
//!
//! Over TLS its name begins with `__Host-`: a browser then takes it from this host alone, and sends it over TLS alone. The
//! path is `/`, as that prefix demands; a path is no boundary anyway. Two boards on one host tell theirs apart by a digest
//! of the base path in the name (S-8). Without TLS there are sessions on this machine only.

use crate::base_path::BasePath;
use axum::http::{HeaderMap, header};

/// How the cookie is called and sent.
#[derive(Clone, Debug)]
pub struct Cookie {
    name: String,
    secure: bool,
}

impl Cookie {
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

    /// What a request carries. One that is there twice is none: it cannot be told which is ours.
    #[must_use]
    pub fn read<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let lines = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok());
        let pairs = lines
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        let mut ours = pairs.filter(|(name, _)| *name == self.name).map(|(_, value)| value);
        let value = ours.next().filter(|value| !value.is_empty())?;
        ours.next().is_none().then_some(value)
    }

    /// What an answer sets; an age of 0 takes it away.
    #[must_use]
    pub fn set(&self, value: &str, age_s: u64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!(
            "{}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Lax{secure}",
            self.name
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(base: &str, secure: bool) -> Cookie {
        Cookie::new(&base.parse().unwrap(), secure)
    }

    // S-8
    #[test]
    fn a_cookie_is_for_this_host_and_this_board() {
        let (a, b) = (cookie("/admin/queues", true), cookie("/other", true));
        let set = a.set("s", 60);
        assert!(set.starts_with("__Host-drover_"), "{set}");
        for part in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Max-Age=60"] {
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
