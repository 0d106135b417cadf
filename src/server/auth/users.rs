//! People who sign in with a password: their names, the argon2id hashes of their passwords, and what they may do.

use super::file::Shelf;
use super::who::{Grant, QueueGlob, Role};
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Characters of a password at least.
pub const PASSWORD_MIN: usize = 12;

/// Bytes of a password at most: more would be work for nothing.
pub const PASSWORD_MAX: usize = 1_024;

/// Somebody who can sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name to sign in with.
    pub name: String,
    /// The hash of the password, with everything that is needed to check it.
    hash: String,
    /// What they may do, beside what `[[auth.grant]]` gives them.
    pub role: Option<String>,
    /// Where.
    pub queues: Vec<String>,
    /// Groups, for `[[auth.grant]]`.
    #[serde(default)]
    pub groups: Vec<String>,
}

impl User {
    /// What is kept of them beside the configuration.
    #[must_use]
    pub fn grant(&self) -> Option<Grant> {
        let role: Role = self.role.as_ref()?.parse().ok()?;
        Some(Grant {
            verbs: role.verbs(),
            queues: self.queues.iter().filter_map(|glob| glob.parse().ok()).collect(),
        })
    }

    /// Changes when anything about them does: whoever was signed in before has to sign in again.
    #[must_use]
    pub fn stamp(&self) -> String {
        super::tokens::hash(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// Everybody who can sign in.
#[derive(Debug)]
pub struct Users(Shelf<User>);

impl Users {
    /// Those in a file.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self(Shelf::at(path))
    }

    /// Everybody.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn list(&self) -> Result<Arc<Vec<User>>, String> {
        self.0
            .read()
            .map_err(|error| format!("{}: {error}", self.0.path().display()))
    }

    /// Somebody by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<User> {
        let all = self
            .list()
            .inspect_err(|why| tracing::error!("nobody can sign in: {why}"))
            .ok()?;
        all.iter().find(|user| user.name == name).cloned()
    }

    /// Whoever has this name and this password. Takes as long for a name that nobody has: tens of milliseconds, so it is
    /// not for a thread that serves others.
    #[must_use]
    pub fn check(&self, name: &str, password: &str) -> Option<User> {
        static NOBODY: OnceLock<String> = OnceLock::new();
        let user = self.get(name);
        let kept = match &user {
            Some(user) => user.hash.as_str(),
            None => NOBODY.get_or_init(|| hash("nobody has this password").unwrap_or_default()),
        };
        let right = password.len() <= PASSWORD_MAX
            && PasswordHash::new(kept).is_ok_and(|kept| argon().verify_password(password.as_bytes(), &kept).is_ok());
        user.filter(|_| right)
    }

    /// Adds somebody.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence.
    pub fn add(
        &self,
        name: &str,
        password: &str,
        role: Option<Role>,
        queues: &[QueueGlob],
        groups: &[String],
    ) -> Result<(), String> {
        check_name(name)?;
        let user = User {
            name: name.to_owned(),
            hash: hash(password)?,
            role: role.map(|role| role.as_str().to_owned()),
            queues: match queues {
                [] => vec!["*".into()],
                globs => globs.iter().map(ToString::to_string).collect(),
            },
            groups: groups.to_vec(),
        };
        self.0.change(|all| {
            if all.iter().any(|known| known.name == name) {
                return Err(format!(
                    "There is a user {name:?} already. `drover user password {name}` changes the password."
                ));
            }
            all.push(user);
            Ok(())
        })
    }

    /// Gives somebody another password, which ends their sessions.
    ///
    /// # Errors
    ///
    /// When there is no such user, or it cannot be written.
    pub fn set_password(&self, name: &str, password: &str) -> Result<(), String> {
        let hash = hash(password)?;
        self.0.change(|all| {
            let user = all
                .iter_mut()
                .find(|user| user.name == name)
                .ok_or_else(|| unknown(name))?;
            user.hash = hash;
            Ok(())
        })
    }

    /// Takes somebody out, which ends their sessions.
    ///
    /// # Errors
    ///
    /// When there is no such user, or it cannot be written.
    pub fn remove(&self, name: &str) -> Result<(), String> {
        self.0.change(|all| {
            let before = all.len();
            all.retain(|user| user.name != name);
            match all.len() < before {
                true => Ok(()),
                false => Err(unknown(name)),
            }
        })
    }
}

fn unknown(name: &str) -> String {
    format!("There is no user {name:?}. `drover user list` shows them.")
}

fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err("A name has 1 to 64 letters, digits, '-', '_', '.' and '@'.".into());
    }
    Ok(())
}

/// argon2id with 19 MiB and two passes, as OWASP advises.
fn argon() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

fn hash(password: &str) -> Result<String, String> {
    if password.chars().count() < PASSWORD_MIN || password.len() > PASSWORD_MAX {
        return Err(format!(
            "A password has at least {PASSWORD_MIN} characters and at most {PASSWORD_MAX} bytes."
        ));
    }
    let salt = SaltString::generate(&mut OsRng);
    let hash = argon().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string())
        .map_err(|error| format!("The password cannot be hashed: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_as_a_hash_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.json");
        let users = Users::at(path.clone());
        let password = "correct horse battery";
        assert!(users.add("ada", "short", None, &[], &[]).unwrap_err().contains("12"));
        assert!(users.add("a b", password, None, &[], &[]).is_err());
        users
            .add("ada", password, Some(Role::Operator), &[], &["ops".into()])
            .unwrap();
        assert!(
            users
                .add("ada", password, None, &[], &[])
                .unwrap_err()
                .contains("already")
        );
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(kept.contains("$argon2id$v=19$m=19456,t=2,p=1$") && !kept.contains(password));
        let ada = users.check("ada", password).unwrap();
        assert_eq!(ada.grant().unwrap().verbs, Role::Operator.verbs());
        assert!(users.check("ada", "correct horse batterY").is_none());
        assert!(users.check("eve", password).is_none());
        users.set_password("ada", "another password").unwrap();
        assert!(users.check("ada", password).is_none());
        assert_ne!(users.get("ada").unwrap().stamp(), ada.stamp());
        users.remove("ada").unwrap();
        assert!(users.check("ada", "another password").is_none() && users.remove("ada").is_err());
    }
}
