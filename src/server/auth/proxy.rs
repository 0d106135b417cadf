//! Identity that a proxy in front gives.
//!
//! Its headers are believed from the proxy alone: a peer whose address is listed and that knows the secret, or one on the
//! Unix socket. From any other peer they are not ignored but refused, because they claim an identity (S-2).

use axum::http::HeaderMap;
use subtle::ConstantTimeEq as _;

/// The header in which the proxy proves itself.
pub const SECRET: &str = "x-drover-proxy-secret";

/// Bytes of a name or of a list of groups at most.
const VALUE_MAX: usize = 256;
const GROUPS_MAX: usize = 4_096;

/// What a proxy says in which headers.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// What it proves itself with; not needed on a Unix socket.
    pub secret: Option<String>,
    /// The header with the name, in lower case.
    pub user: String,
    /// The header with the groups, comma-separated, in lower case.
    pub groups: String,
    /// Where a user signs out.
    pub sign_out_url: Option<String>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("user", &self.user)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

/// A user as the proxy names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Their name.
    pub user: String,
    /// Their groups.
    pub groups: Vec<String>,
}

/// Why a request with identity headers is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forged {
    /// They do not come from the proxy.
    Stranger,
    /// A header that some servers take for an identity header.
    Alias,
    /// There more than once, or not a name.
    Malformed,
}

impl Forged {
    /// For people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Stranger => {
                "The request names a user, and does not come from the proxy: its address is not in trusted_proxies, or it does not \
                 send the secret in X-Drover-Proxy-Secret."
            }
            Self::Alias => {
                "The request has a header that some servers take for the one with the user, written with an \
                 underscore. Configure the proxy to remove it."
            }
            Self::Malformed => {
                "The header with the user or the groups occurs more than once, is empty, or is not a valid name. \
                 Configure the proxy to set it, not append to it."
            }
        }
    }
}

impl Proxy {
    /// The user that the proxy names; `None` if it names none. `listed` is whether the peer's address is a proxy's.
    ///
    /// # Errors
    ///
    /// When the request has identity headers that must not be believed.
    pub fn named(&self, headers: &HeaderMap, listed: bool) -> Result<Option<Named>, Forged> {
        let ours = [self.user.as_str(), self.groups.as_str(), SECRET];
        let alias = |name: &str| !ours.contains(&name) && ours.contains(&name.replace('_', "-").as_str());
        if headers.keys().any(|name| alias(name.as_str())) {
            return Err(Forged::Alias);
        }
        let named = headers.contains_key(&self.user) || headers.contains_key(&self.groups);
        if !(listed && self.proves(headers)) {
            return if named { Err(Forged::Stranger) } else { Ok(None) };
        }
        let Some(user) = self.one(headers, &self.user, VALUE_MAX)? else {
            return if named { Err(Forged::Malformed) } else { Ok(None) };
        };
        if user.contains(',') || user.trim() != user || user.is_empty() {
            return Err(Forged::Malformed);
        }
        let groups = self.one(headers, &self.groups, GROUPS_MAX)?.unwrap_or_default();
        let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty());
        Ok(Some(Named {
            user: user.to_owned(),
            groups: groups.map(str::to_owned).collect(),
        }))
    }

    fn proves(&self, headers: &HeaderMap) -> bool {
        let Some(secret) = &self.secret else {
            return true;
        };
        let mut given = headers.get_all(SECRET).iter();
        match (given.next(), given.next()) {
            (Some(given), None) => given.as_bytes().ct_eq(secret.as_bytes()).into(),
            _ => false,
        }
    }

    fn one<'a>(&self, headers: &'a HeaderMap, name: &str, max: usize) -> Result<Option<&'a str>, Forged> {
        let mut all = headers.get_all(name).iter();
        match (all.next(), all.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => {
                let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Forged::Malformed)?;
                let fine = text.len() <= max && !text.contains(char::is_control);
                fine.then_some(Some(text)).ok_or(Forged::Malformed)
            }
            _ => Err(Forged::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    const KEY: (&str, &str) = (SECRET, "a secret that is long");

    fn proxy() -> Proxy {
        Proxy {
            secret: Some(KEY.1.into()),
            user: "x-forwarded-user".into(),
            groups: "x-forwarded-groups".into(),
            sign_out_url: None,
        }
    }

    fn named(listed: bool, headers: &[(&str, &str)]) -> Result<Option<Named>, Forged> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        proxy().named(&map, listed)
    }

    // S-2
    #[test]
    fn only_the_proxy_is_believed_and_only_when_it_is_plain() {
        use Forged::{Alias, Malformed, Stranger};
        let user = ("X-Forwarded-User", "ada");
        let ada = |groups: &[&str]| {
            Ok(Some(Named {
                user: "ada".into(),
                groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            }))
        };
        let groups = ("X-Forwarded-Groups", "ops, night shift ,");
        assert_eq!(named(true, &[KEY, user]), ada(&[]));
        assert_eq!(named(true, &[KEY, user, groups]), ada(&["ops", "night shift"]));
        assert_eq!(
            named(true, &[KEY, ("x-FORWARDED-user", "ada")]),
            ada(&[]),
            "case is no matter"
        );
        // No user is named: not an error, and never a user. This is also what `Connection: X-Forwarded-User` leaves.
        assert_eq!(named(true, &[KEY]), Ok(None));
        assert_eq!(named(false, &[]), Ok(None));
        assert_eq!(named(true, &[]), Ok(None));
        let long = "x".repeat(VALUE_MAX + 1);
        for (why, listed, headers) in [
            (Stranger, false, &[KEY, user][..]),
            (Stranger, false, &[user]),
            (Stranger, true, &[user]),
            (Stranger, true, &[(SECRET, "a secret that is lonG"), user]),
            (Stranger, true, &[KEY, KEY, user]),
            (Stranger, false, &[("x-forwarded-groups", "ops")]),
            (Alias, true, &[KEY, ("X_Forwarded_User", "eve")]),
            (Alias, true, &[KEY, user, ("X-Forwarded_User", "eve")]),
            (Alias, false, &[("x_forwarded-groups", "ops")]),
            (Alias, true, &[KEY, user, ("x_drover_proxy_secret", "?")]),
            (Malformed, true, &[KEY, user, user]),
            (Malformed, true, &[KEY, user, ("x-forwarded-user", "eve")]),
            (Malformed, true, &[KEY, ("x-forwarded-user", "")]),
            (Malformed, true, &[KEY, ("x-forwarded-user", "ada,eve")]),
            (Malformed, true, &[KEY, ("x-forwarded-user", "ada\tx")]),
            (Malformed, true, &[KEY, ("x-forwarded-user", &long)]),
            (Malformed, true, &[KEY, ("x-forwarded-groups", "ops")]),
            (Malformed, true, &[KEY, user, groups, groups]),
        ] {
            assert_eq!(named(listed, headers), Err(why), "{listed} {headers:?}");
        }
    }
}
