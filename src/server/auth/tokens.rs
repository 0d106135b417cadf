//! Tokens of programs that call the API.
//!
//! A token is `dr_`, 32 random bytes and a checksum, which tells a mistyped token and one of another program from
//! one that was revoked. Only its SHA-256 is kept, with its permissions, its queues and when it ends.

use super::file::StateFile;
use super::who::{Grant, QueueGlob, Via, Who};
use crate::model::permission::{Role, Verb, Verbs};
use crate::model::{Millis, now};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What every token begins with.
pub(super) const PREFIX: &str = "dr_";

/// Days that a token may live.
pub const DAYS_MAX: u32 = 90;

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Short, for people and for the audit log.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// The SHA-256 of the token, in hex.
    sha256: String,
    /// The names of its permissions.
    pub allow: Vec<String>,
    /// Where.
    pub queues: Vec<String>,
    /// When it was made.
    pub created: Millis,
    /// When it ends.
    pub expires: Millis,
}

/// What a new token is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it is for.
    pub name: String,
    /// Everything that a role may.
    pub role: Option<Role>,
    /// These.
    pub allow: Vec<Verb>,
    /// Where; everywhere if empty.
    pub queues: Vec<QueueGlob>,
    /// For how long.
    pub days: u32,
}

/// All tokens.
#[derive(Debug)]
pub struct Tokens(StateFile<Token>);

impl Tokens {
    /// Those in a file.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self(StateFile::at(path))
    }

    /// Where they are kept.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.0.path()
    }

    /// The caller with a token; `None` if it is not valid, or not any more.
    #[must_use]
    pub fn who(&self, secret: &str, address: &str) -> Option<Who> {
        if !is_whole(secret) {
            return None;
        }
        let sha256 = hash(secret);
        let all = self.0.read().inspect_err(|error| {
            tracing::error!(
                "{} cannot be read, so no token is valid: {error}",
                self.0.path().display()
            );
        });
        let all = all.ok()?;
        let token = all.iter().find(|token| token.sha256 == sha256)?;
        (token.expires > now()).then(|| Who {
            name: format!("token:{}", token.name),
            address: address.to_owned(),
            via: Via::Token(token.id.clone()),
            grants: token.grants(),
        })
    }

    /// Makes a token; returns the token itself, which is not kept, and the entry that is.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence.
    pub fn add(&self, wanted: &Wanted) -> Result<(String, Token), String> {
        if wanted.name.is_empty() || wanted.name.len() > 64 || wanted.name.contains(char::is_control) {
            return Err("Give the token a name of up to 64 characters that says what it is for.".into());
        }
        if !(1..=DAYS_MAX).contains(&wanted.days) {
            return Err(format!("A token is valid for 1 to {DAYS_MAX} days."));
        }
        let verbs = wanted
            .role
            .map_or_else(Verbs::default, Role::verbs)
            .with(Verbs::of(&wanted.allow));
        if verbs == Verbs::default() {
            return Err("Say what it may do: --role or --allow.".into());
        }
        let secret = mint();
        let token = Token {
            id: hash(&secret)[..8].to_owned(),
            name: wanted.name.clone(),
            sha256: hash(&secret),
            allow: verbs.names().into_iter().map(str::to_owned).collect(),
            queues: match wanted.queues.as_slice() {
                [] => vec!["*".into()],
                globs => globs.iter().map(ToString::to_string).collect(),
            },
            created: now(),
            expires: now() + Millis::from(wanted.days) * 86_400_000,
        };
        self.0.change(|all| {
            if all.iter().any(|known| known.name == token.name) {
                return Err(format!(
                    "Token {:?} already exists. Revoke it first, or choose another name.",
                    token.name
                ));
            }
            all.push(token.clone());
            Ok(())
        })?;
        Ok((secret, token))
    }

    /// All that are kept.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn list(&self) -> Result<Arc<Vec<Token>>, String> {
        self.0
            .read()
            .map_err(|error| format!("{}: {error}", self.0.path().display()))
    }

    /// Takes one away, by its id or its name.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be written.
    pub fn revoke(&self, which: &str) -> Result<(), String> {
        self.0.change(|all| {
            let before = all.len();
            all.retain(|token| token.id != which && token.name != which);
            match all.len() < before {
                true => Ok(()),
                false => Err(format!("There is no token {which:?}. `drover token list` shows them.")),
            }
        })
    }
}

impl Token {
    fn grants(&self) -> Arc<[Grant]> {
        // A verb that a later Drover wrote and this one does not know is not permitted.
        let verbs: Vec<Verb> = self.allow.iter().filter_map(|name| name.parse().ok()).collect();
        Arc::new([Grant {
            verbs: Verbs::of(&verbs),
            queues: self.queues.iter().filter_map(|glob| glob.parse().ok()).collect(),
        }])
    }
}

fn mint() -> String {
    let body = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let sum = &hash(&body)[..6];
    format!("{PREFIX}{body}{sum}")
}

/// Whether it was made here and not cut or mistyped.
fn is_whole(secret: &str) -> bool {
    let body = secret
        .strip_prefix(PREFIX)
        .filter(|rest| rest.is_ascii() && rest.len() == 49);
    body.is_some_and(|rest| hash(&rest[..43])[..6] == rest[43..])
}

/// The SHA-256 of a text, in hex.
pub(super) fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::queue::QueueRef;

    fn wanted() -> Wanted {
        Wanted {
            name: "deploy".into(),
            role: None,
            allow: vec![Verb::View, Verb::Retry],
            queues: vec!["redis/bull:mail*".parse().unwrap()],
            days: 30,
        }
    }

    // S-10
    #[test]
    fn a_token_is_valid_until_it_ends_or_is_revoked_and_is_kept_as_a_hash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.json");
        let tokens = Tokens::at(path.clone());
        let (secret, token) = tokens.add(&wanted()).unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains(&secret[3..20]));
        let who = tokens.who(&secret, "127.0.0.1").unwrap();
        let queue = |queue: &str| QueueRef {
            store: "redis".into(),
            queue: queue.into(),
        };
        assert!(who.holds(Verb::Retry, Some(&queue("bull:mail"))) && !who.holds(Verb::Remove, None));
        assert!(!who.sees(&queue("bull:pay")));
        let mut wrong = secret.clone();
        wrong.replace_range(5..6, if &secret[5..6] == "x" { "y" } else { "x" });
        for wrong in ["", "dr_", &secret[..40], &wrong, &format!("{secret}x"), &mint()] {
            assert!(tokens.who(wrong, "").is_none(), "{wrong}");
        }
        let ended = Token {
            expires: now() - 1,
            ..token.clone()
        };
        StateFile::at(path).write(&[ended]).unwrap();
        assert!(tokens.who(&secret, "").is_none(), "it has ended");
        let (other, _) = tokens
            .add(&Wanted {
                name: "other".into(),
                ..wanted()
            })
            .unwrap();
        assert!(tokens.who(&other, "").is_some());
        tokens.revoke("other").unwrap();
        assert!(tokens.who(&other, "").is_none(), "it was revoked");
        assert!(tokens.revoke("other").is_err());
    }

    #[test]
    fn a_token_says_what_it_is_for_what_it_may_and_when_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::at(dir.path().join("tokens.json"));
        let none = Wanted {
            allow: vec![],
            ..wanted()
        };
        let long = Wanted {
            days: DAYS_MAX + 1,
            ..wanted()
        };
        let bare = Wanted {
            name: String::new(),
            ..wanted()
        };
        for wrong in [none, long, bare] {
            assert!(tokens.add(&wrong).is_err(), "{wrong:?}");
        }
        tokens.add(&wanted()).unwrap();
        assert!(tokens.add(&wanted()).unwrap_err().contains("already"));
    }
}
