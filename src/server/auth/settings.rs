//! The configuration of sign-in and permissions.

use super::proxy::Proxy;
use super::sessions::Lifetime;
use super::trusted::Trusted;
use super::who::Grant;
use std::path::PathBuf;

/// How users are recognised.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Not at all: only this machine gets in.
    None,
    /// By the proxy in front.
    Proxy(Proxy),
    /// By name and password.
    Password,
}

impl Mode {
    /// Its name in the configuration.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Proxy(_) => "proxy",
            Self::Password => "password",
        }
    }
}

/// What some users or groups may do.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Names; `*` for every user who is recognised.
    pub users: Vec<String>,
    /// Groups, exactly as they are called.
    pub groups: Vec<String>,
    /// What they get.
    pub grant: Grant,
}

/// Everything about who gets in.
#[derive(Clone, Debug)]
pub struct Auth {
    /// How.
    pub mode: Mode,
    /// Who may do what.
    pub rules: Vec<Rule>,
    /// How long a user stays signed in.
    pub lifetime: Lifetime,
    /// Where files of this machine alone are kept, and those of an earlier Drover.
    pub folder: PathBuf,
    /// The scheme, host and port by which browsers reach the board, such as `https://ops.example.com`.
    pub origin: Option<String>,
    /// Peers whose forwarding headers are believed.
    pub trusted: Trusted,
}

impl Auth {
    /// Whether browsers reach the board over TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.origin
            .as_ref()
            .is_some_and(|origin| origin.starts_with("https://"))
    }
}
