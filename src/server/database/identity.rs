//! Repository: the users who sign in with a password, and the tokens of programs.
//!
//! What the rows mean is described where the tables are made (`migrations/0009_identity.sql`,
//! `migrations/sqlite/0003_identity.sql`). What a user or a token may be and do, and what goes on while the database is away, is
//! decided in [`crate::server::auth`].

use super::OwnData;
use super::portable::Value::{self, Number, Text};
use crate::model::Millis;
use crate::server::adapter::Trouble;
use serde::{Deserialize, Serialize};

/// A user who can sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name to sign in with.
    pub name: String,
    /// The hash of the password, with everything that is needed to check it.
    pub hash: String,
    /// What they may do, beside what `[[auth.grant]]` gives them.
    pub role: Option<String>,
    /// Where.
    pub queues: Vec<String>,
    /// Groups, for `[[auth.grant]]`.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Short, for people and for the audit log.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// The SHA-256 of the token, in hex.
    pub sha256: String,
    /// The names of its permissions.
    pub allow: Vec<String>,
    /// Where.
    pub queues: Vec<String>,
    /// When it was made.
    pub created: Millis,
    /// When it ends.
    pub expires: Millis,
}

/// Which users and tokens there are: another one after each change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision(Vec<i64>);

impl Revision {
    /// Whether no user and no token was ever added.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.0.iter().all(|revision| *revision == 0)
    }
}

type UserRow = (String, String, String, String, String);
type TokenRow = (String, String, String, String, String, Millis, Millis);

fn json(list: &[String]) -> String {
    serde_json::to_string(list).unwrap_or_default()
}

/// A list that cannot be read permits nothing.
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_default()
}

fn user((name, hash, role, queues, groups): UserRow) -> User {
    User {
        name,
        hash,
        role: (!role.is_empty()).then_some(role),
        queues: list(&queues),
        groups: list(&groups),
    }
}

fn token((id, name, sha256, allow, queues, created, expires): TokenRow) -> Token {
    Token {
        id,
        name,
        sha256,
        allow: list(&allow),
        queues: list(&queues),
        created,
        expires,
    }
}

const ADD_USER: &str = "INSERT INTO drover.user (name, hash, role, queues, groups) VALUES ($1, $2, $3, $4, $5) \
                        ON CONFLICT DO NOTHING";
const ADD_TOKEN: &str = "INSERT INTO drover.token (id, name, sha256, allow, queues, created, expires) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";

/// A user or a token as rows have it.
trait Row {
    /// What it is called in `drover.identity`.
    const WHAT: &str;
    /// The statement that adds one.
    const ADD: &str;

    /// Its lists as JSON.
    fn lists(&self) -> [String; 2];

    /// The parameters of the statement.
    fn values<'a>(&'a self, lists: &'a [String; 2]) -> Vec<Value<'a>>;
}

impl Row for User {
    const WHAT: &str = "user";
    const ADD: &str = ADD_USER;

    fn lists(&self) -> [String; 2] {
        [json(&self.queues), json(&self.groups)]
    }

    fn values<'a>(&'a self, [queues, groups]: &'a [String; 2]) -> Vec<Value<'a>> {
        let role = self.role.as_deref().unwrap_or_default();
        [self.name.as_str(), self.hash.as_str(), role, queues, groups]
            .map(Text)
            .to_vec()
    }
}

impl Row for Token {
    const WHAT: &str = "token";
    const ADD: &str = ADD_TOKEN;

    fn lists(&self) -> [String; 2] {
        [json(&self.allow), json(&self.queues)]
    }

    fn values<'a>(&'a self, [allow, queues]: &'a [String; 2]) -> Vec<Value<'a>> {
        let mut values = [&self.id, &self.name, &self.sha256, allow, queues]
            .map(|text| Text(text))
            .to_vec();
        values.extend([self.created, self.expires].map(Number));
        values
    }
}

impl OwnData {
    /// Which users and tokens there are now: one read of two rows.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn identity_revision(&self) -> Result<Revision, Trouble> {
        let query = "SELECT revision FROM drover.identity ORDER BY what";
        let rows: Vec<(i64,)> = self.rows(query, &[]).await?;
        Ok(Revision(rows.into_iter().map(|(revision,)| revision).collect()))
    }

    /// All users, by name.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn users(&self) -> Result<Vec<User>, Trouble> {
        let query = "SELECT name, hash, role, queues, groups FROM drover.user ORDER BY name";
        let rows: Vec<UserRow> = self.rows(query, &[]).await?;
        Ok(rows.into_iter().map(user).collect())
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn tokens(&self) -> Result<Vec<Token>, Trouble> {
        let query = "SELECT id, name, sha256, allow, queues, created, expires FROM drover.token ORDER BY created, name";
        let rows: Vec<TokenRow> = self.rows(query, &[]).await?;
        Ok(rows.into_iter().map(token).collect())
    }

    /// Adds a user, if there is none of this name; whether it did.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn add_user(&self, user: &User) -> Result<bool, Trouble> {
        self.identity(User::WHAT, User::ADD, user.values(&user.lists())).await
    }

    /// Sets the hash of a user's password; whether there is such a user.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn set_password(&self, name: &str, hash: &str) -> Result<bool, Trouble> {
        let statement = "UPDATE drover.user SET hash = $2 WHERE name = $1";
        self.identity(User::WHAT, statement, vec![Text(name), Text(hash)]).await
    }

    /// Removes a user; whether there was one.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn remove_user(&self, name: &str) -> Result<bool, Trouble> {
        let statement = "DELETE FROM drover.user WHERE name = $1";
        self.identity(User::WHAT, statement, vec![Text(name)]).await
    }

    /// Adds a token, if there is none of this name; whether it did.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn add_token(&self, token: &Token) -> Result<bool, Trouble> {
        self.identity(Token::WHAT, Token::ADD, token.values(&token.lists()))
            .await
    }

    /// Removes a token by its id or its name; whether there was one.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn remove_token(&self, which: &str) -> Result<bool, Trouble> {
        let statement = "DELETE FROM drover.token WHERE id = $1 OR name = $1";
        self.identity(Token::WHAT, statement, vec![Text(which)]).await
    }

    /// Takes over the users of a file, unless a file of users was before; whether it did.
    ///
    /// # Errors
    ///
    /// When the database does not answer: it can be done again.
    pub async fn take_over_users(&self, users: &[User], at: Millis) -> Result<bool, Trouble> {
        self.take_over(users, at).await
    }

    /// Takes over the tokens of a file, unless a file of tokens was before; whether it did.
    ///
    /// # Errors
    ///
    /// When the database does not answer: it can be done again.
    pub async fn take_over_tokens(&self, tokens: &[Token], at: Millis) -> Result<bool, Trouble> {
        self.take_over(tokens, at).await
    }

    async fn take_over<R: Row>(&self, rows: &[R], at: Millis) -> Result<bool, Trouble> {
        let lists: Vec<[String; 2]> = rows.iter().map(R::lists).collect();
        // Of two processes at once the second waits for the first, and then finds it done.
        let first = "UPDATE drover.identity SET taken_over = $2, revision = $3 WHERE what = $1 AND taken_over IS NULL";
        let mut statements = vec![(first, vec![Text(R::WHAT), Number(at), Number(rand::random())])];
        let added = rows.iter().zip(&lists).map(|(row, lists)| (R::ADD, row.values(lists)));
        statements.extend(added);
        self.change(&statements).await
    }

    /// Runs a statement that changes users or tokens, and notes that they have changed.
    async fn identity(&self, what: &str, statement: &str, values: Vec<Value<'_>>) -> Result<bool, Trouble> {
        let note = "UPDATE drover.identity SET revision = $2 WHERE what = $1";
        let noted = vec![Text(what), Number(rand::random())];
        self.change(&[(statement, values), (note, noted)]).await
    }
}
