//! Users who sign in with a password: their names, the argon2id hashes of their passwords, and what they may do.

use super::who::{Grant, QueueGlob};
use crate::model::permission::Role;
use crate::server::database::OwnData;
pub use crate::server::database::identity::User;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{self, Output, ParamsString, PasswordHash, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::sync::OnceLock;

/// Characters of a password at least.
pub const PASSWORD_MIN: usize = 12;

/// Bytes of a password at most: more would be work for nothing.
pub const PASSWORD_MAX: usize = 1_024;

impl User {
    /// The grant that is kept with the user, beside those of the configuration.
    #[must_use]
    pub fn grant(&self) -> Option<Grant> {
        let role: Role = self.role.as_ref()?.parse().ok()?;
        Some(Grant {
            verbs: role.verbs(),
            queues: self.queues.iter().filter_map(|glob| glob.parse().ok()).collect(),
        })
    }

    /// Changes when anything about the user does: sessions from before then end.
    #[must_use]
    pub fn stamp(&self) -> String {
        super::tokens::hash(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// All users who can sign in.
#[derive(Debug)]
pub struct Users(OwnData);

impl Users {
    /// Those in Drover's own data.
    #[must_use]
    pub const fn new(data: OwnData) -> Self {
        Self(data)
    }

    /// All users.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub async fn list(&self) -> Result<Vec<User>, String> {
        self.0.users().await.map_err(|trouble| trouble.to_string())
    }

    /// Checks that there is a user of this name.
    ///
    /// # Errors
    ///
    /// If there is not, or they cannot be read: a sentence.
    pub async fn known(&self, name: &str) -> Result<(), String> {
        let there = self.list().await?.iter().any(|user| user.name == name);
        there.then_some(()).ok_or_else(|| unknown(name))
    }

    /// Adds a user.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence.
    pub async fn add(
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
        match self.0.add_user(&user).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!(
                "User {name:?} already exists. `drover user password {name}` changes the password."
            )),
            Err(trouble) => Err(unwritten(&trouble)),
        }
    }

    /// Sets a user's password, which ends their sessions.
    ///
    /// # Errors
    ///
    /// When there is no such user, or it cannot be written.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<(), String> {
        let done = self.0.set_password(name, &hash(password)?).await;
        done.map_err(|trouble| unwritten(&trouble))?
            .then_some(())
            .ok_or_else(|| unknown(name))
    }

    /// Removes a user, which ends their sessions.
    ///
    /// # Errors
    ///
    /// When there is no such user, or it cannot be written.
    pub async fn remove(&self, name: &str) -> Result<(), String> {
        let done = self.0.remove_user(name).await;
        done.map_err(|trouble| unwritten(&trouble))?
            .then_some(())
            .ok_or_else(|| unknown(name))
    }
}

/// The user, if this is their password. Takes as long for a name that no user has: tens of milliseconds, so it is not for a
/// thread that serves others.
#[must_use]
pub fn check(user: Option<User>, password: &str) -> Option<User> {
    static NO_USER: OnceLock<String> = OnceLock::new();
    let kept = match &user {
        Some(user) => user.hash.as_str(),
        None => NO_USER.get_or_init(|| hash("no user has this password").unwrap_or_default()),
    };
    let right = password.len() <= PASSWORD_MAX && is_right(password, kept).unwrap_or(false);
    user.filter(|_| right)
}

/// What was cut off may have been done.
fn unwritten(trouble: &impl std::fmt::Display) -> String {
    format!("{trouble} `drover user list` shows whether it was done.")
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

/// Whether a password is the one that a hash was made of.
fn is_right(password: &str, kept: &str) -> password_hash::Result<bool> {
    let kept = PasswordHash::new(kept)?;
    let (Some(salt), Some(output)) = (kept.salt, kept.hash) else {
        return Ok(false);
    };
    let algorithm = Algorithm::try_from(kept.algorithm)?;
    let version = kept.version.map_or(Ok(Version::V0x13), Version::try_from)?;
    let argon = Argon2::new(algorithm, version, Params::try_from(&kept)?);
    // Outputs are compared in constant time.
    Ok(digest(&argon, password, salt, output.len())? == output)
}

fn hash(password: &str) -> Result<String, String> {
    if password.chars().count() < PASSWORD_MIN || password.len() > PASSWORD_MAX {
        return Err(format!(
            "A password has at least {PASSWORD_MIN} characters and at most {PASSWORD_MAX} bytes."
        ));
    }
    let salt = SaltString::generate(&mut OsRng);
    new_hash(password, &salt).map_err(|error| format!("The password cannot be hashed: {error}."))
}

/// argon2id with 19 MiB and two passes, as OWASP advises.
fn new_hash(password: &str, salt: &SaltString) -> password_hash::Result<String> {
    let (algorithm, version, params) = (Algorithm::Argon2id, Version::V0x13, Params::default());
    let argon = Argon2::new(algorithm, version, params.clone());
    let hash = PasswordHash {
        algorithm: algorithm.ident(),
        version: Some(version.into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(salt.as_salt()),
        hash: Some(digest(&argon, password, salt.as_salt(), Params::DEFAULT_OUTPUT_LEN)?),
    };
    Ok(hash.to_string())
}

/// Blocks of 1 KiB to allocate; argon2 uses 19 MiB of them. glibc returns an allocation above 32 MiB to the system when it is
/// freed, and keeps smaller ones in an arena of each thread: 803 MB after 300 checks. Blocks that are not written take no
/// memory.
const BLOCKS: usize = 33 * 1024;

fn digest(argon: &Argon2<'_>, password: &str, salt: Salt<'_>, length: usize) -> password_hash::Result<Output> {
    #[cfg(test)]
    tests::DIGESTS.set(tests::DIGESTS.get() + 1);
    let mut bytes = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut bytes)?;
    let wanted = argon.params().block_count();
    let mut memory = Vec::with_capacity(wanted.max(BLOCKS));
    memory.resize(wanted, Block::default());
    Output::init_with(length, |out| {
        Ok(argon.hash_password_into_with_memory(password.as_bytes(), salt, out, &mut memory)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Option<User> {
        Some(User {
            name: "ada".into(),
            hash: hash("correct horse battery").unwrap(),
            role: Some("operator".into()),
            queues: vec!["*".into()],
            groups: vec![],
        })
    }

    #[test]
    fn a_password_is_kept_as_a_hash_and_checked() {
        let password = "correct horse battery";
        assert!(hash("short").unwrap_err().contains("12"));
        assert!(check_name("a b").is_err());
        let ada = ada().unwrap();
        assert!(ada.hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !ada.hash.contains(password));
        assert_eq!(check(Some(ada.clone()), password).as_ref(), Some(&ada));
        assert_eq!(ada.grant().unwrap().verbs, Role::Operator.verbs());
        assert!(check(Some(ada.clone()), "correct horse batterY").is_none() && check(None, password).is_none());
        let other = User {
            hash: hash("another password").unwrap(),
            ..ada.clone()
        };
        assert_ne!(other.stamp(), ada.stamp());
        assert!(check(Some(other), password).is_none());
    }

    thread_local! {
        pub(super) static DIGESTS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }

    // S-11: the time of an answer must not tell which names there are.
    #[test]
    fn a_name_that_nobody_has_is_as_much_work_as_a_wrong_password() {
        let work = |user: Option<User>, password: &str| {
            DIGESTS.set(0);
            assert!(check(user, password).is_none());
            DIGESTS.get()
        };
        // The first one makes the hash for users who do not exist.
        work(None, "a wrong password");
        for user in [ada(), None] {
            assert_eq!(work(user.clone(), "a wrong password"), 1, "{user:?}");
            let long = "x".repeat(PASSWORD_MAX + 1);
            assert_eq!(work(user.clone(), &long), 0, "{user:?}: not worth the work");
        }
    }

    /// Bytes of this process that are in memory.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    // S-11: guesses must not reach the MemoryMax of the unit.
    #[test]
    fn checked_passwords_leave_no_memory_behind() {
        let ada = ada();
        let check = || assert!(check(ada.clone(), "a wrong password").is_none());
        std::thread::scope(|scope| scope.spawn(check).join()).unwrap();
        let before = resident();
        // A thread of its own for each pair, as the pool for blocking work has many.
        for _ in 0..15 {
            std::thread::scope(|scope| {
                scope.spawn(check);
                scope.spawn(check);
            });
        }
        let grown = resident().saturating_sub(before);
        assert!(grown < 5_000_000, "30 wrong passwords left {grown} bytes behind");
    }
}
