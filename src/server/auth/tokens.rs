//! Tokens of programs that call the API.
//!
//! A token is `dr_`, 32 random bytes and a checksum, which tells a mistyped token and one of another program from
//! one that was revoked. Only its SHA-256 is kept, with its permissions, its queues and when it ends.

use super::identity::People;
use super::who::{Grant, QueueGlob, Via, Who};
use crate::model::permission::{Role, Verb, Verbs};
use crate::model::{Millis, now};
use crate::server::database::OwnData;
pub use crate::server::database::identity::Token;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// What every token begins with.
pub(super) const PREFIX: &str = "dr_";

/// Days that a token may live.
pub const DAYS_MAX: u32 = 90;

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
pub struct Tokens(OwnData);

impl Tokens {
    /// Those in Drover's own data.
    #[must_use]
    pub const fn new(data: OwnData) -> Self {
        Self(data)
    }

    /// Makes a token; returns the token itself, which is not kept, and the entry that is.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence.
    pub async fn add(&self, wanted: &Wanted) -> Result<(String, Token), String> {
        let (secret, token) = wanted.make()?;
        match self.0.add_token(&token).await {
            Ok(true) => Ok((secret, token)),
            Ok(false) => Err(format!(
                "Token {:?} already exists. Revoke it first, or choose another name.",
                token.name
            )),
            Err(trouble) => Err(unwritten(&trouble)),
        }
    }

    /// All that are kept.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub async fn list(&self) -> Result<Vec<Token>, String> {
        self.0.tokens().await.map_err(|trouble| trouble.to_string())
    }

    /// Takes one away, by its id or its name.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be written.
    pub async fn revoke(&self, which: &str) -> Result<(), String> {
        match self.0.remove_token(which).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("There is no token {which:?}. `drover token list` shows them.")),
            Err(trouble) => Err(unwritten(&trouble)),
        }
    }
}

/// What was cut off may have been done.
fn unwritten(trouble: &impl std::fmt::Display) -> String {
    format!("{trouble} `drover token list` shows whether it was done.")
}

impl Wanted {
    /// The token itself, and the entry that is kept.
    fn make(&self) -> Result<(String, Token), String> {
        if self.name.is_empty() || self.name.len() > 64 || self.name.contains(char::is_control) {
            return Err("Give the token a name of up to 64 characters that says what it is for.".into());
        }
        if !(1..=DAYS_MAX).contains(&self.days) {
            return Err(format!("A token is valid for 1 to {DAYS_MAX} days."));
        }
        let verbs = self
            .role
            .map_or_else(Verbs::default, Role::verbs)
            .with(Verbs::of(&self.allow));
        if verbs == Verbs::default() {
            return Err("Say what it may do: --role or --allow.".into());
        }
        let secret = mint();
        let token = Token {
            id: hash(&secret)[..8].to_owned(),
            name: self.name.clone(),
            sha256: hash(&secret),
            allow: verbs.names().into_iter().map(str::to_owned).collect(),
            queues: match self.queues.as_slice() {
                [] => vec!["*".into()],
                globs => globs.iter().map(ToString::to_string).collect(),
            },
            created: now(),
            expires: now() + Millis::from(self.days) * 86_400_000,
        };
        Ok((secret, token))
    }
}

impl People {
    /// The caller with a token; `None` if it is not valid, or not any more.
    #[must_use]
    pub fn of_token(&self, secret: &str, address: &str) -> Option<Who> {
        let sha256 = hash(secret);
        let token = self.tokens.iter().find(|token| token.sha256 == sha256)?;
        (token.expires > now()).then(|| Who {
            name: format!("token:{}", token.name),
            address: address.to_owned(),
            via: Via::Token(token.id.clone()),
            grants: token.grants(),
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
pub(super) fn is_whole(secret: &str) -> bool {
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
        let (secret, token) = wanted().make().unwrap();
        assert!(!serde_json::to_string(&token).unwrap().contains(&secret[3..20]));
        let mut people = People::default();
        assert!(people.of_token(&secret, "").is_none(), "it was revoked, or never kept");
        people.tokens.push(token);
        let who = people.of_token(&secret, "127.0.0.1").unwrap();
        let queue = |queue: &str| QueueRef {
            store: "redis".into(),
            queue: queue.into(),
        };
        assert!(who.holds(Verb::Retry, Some(&queue("bull:mail"))) && !who.holds(Verb::Remove, None));
        assert!(!who.sees(&queue("bull:pay")));
        let mut wrong = secret.clone();
        wrong.replace_range(5..6, if &secret[5..6] == "x" { "y" } else { "x" });
        for wrong in ["", "dr_", &secret[..40], &wrong, &format!("{secret}x")] {
            assert!(!is_whole(wrong) && people.of_token(wrong, "").is_none(), "{wrong}");
        }
        assert!(is_whole(&secret) && people.of_token(&mint(), "").is_none());
        people.tokens[0].expires = now() - 1;
        assert!(people.of_token(&secret, "").is_none(), "it has ended");
    }

    #[test]
    fn a_token_says_what_it_is_for_what_it_may_and_when_it_ends() {
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
            assert!(wrong.make().is_err(), "{wrong:?}");
        }
    }
}
