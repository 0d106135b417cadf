//! Repository: who is signed in.
//!
//! What the rows mean is described where the tables are made (`migrations/0008_session.sql`,
//! `migrations/sqlite/0002_session.sql`). How long a session lasts, and what goes on while the database is away, is decided in
//! [`crate::server::auth`].

use super::OwnData;
use super::portable::Value::{Number, Text};
use crate::model::Millis;
use crate::server::adapter::Trouble;
use serde::{Deserialize, Serialize};

/// A user who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The hash of the secret in the cookie.
    pub key: String,
    /// The user's name.
    pub name: String,
    /// A hash of the user as they were when it began.
    pub stamp: String,
    /// When it began.
    pub since: Millis,
    /// When it was last used.
    pub seen: Millis,
}

/// What happened to sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New ones.
    pub begun: Vec<Session>,
    /// Keys, and when each was last used.
    pub used: Vec<(String, Millis)>,
    /// The keys of those that have ended.
    pub ended: Vec<String>,
}

impl Changes {
    /// Whether nothing happened.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.used.is_empty() && self.ended.is_empty()
    }
}

type Row = (String, String, String, i64, i64);

fn session((key, name, stamp, since, seen): Row) -> Session {
    Session {
        key,
        name,
        stamp,
        since,
        seen,
    }
}

impl OwnData {
    /// The session with this key.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn session(&self, key: &str) -> Result<Option<Session>, Trouble> {
        let query = "SELECT key, name, stamp, since, seen FROM drover.session WHERE key = $1";
        let rows: Vec<Row> = self.rows(query, &[Text(key)]).await?;
        Ok(rows.into_iter().next().map(session))
    }

    /// The sessions that were used last, so many at most.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn sessions(&self, most: i64) -> Result<Vec<Session>, Trouble> {
        let query = "SELECT key, name, stamp, since, seen FROM drover.session ORDER BY seen DESC LIMIT $1";
        let rows: Vec<Row> = self.rows(query, &[Number(most)]).await?;
        Ok(rows.into_iter().map(session).collect())
    }

    /// Adds, uses and ends sessions, in this order. Doing it twice changes nothing.
    ///
    /// # Errors
    ///
    /// When the database does not answer: it can be done again.
    pub async fn change_sessions(&self, changes: &Changes) -> Result<(), Trouble> {
        for session in &changes.begun {
            let statement = "INSERT INTO drover.session (key, name, stamp, since, seen) VALUES ($1, $2, $3, $4, $5) \
                             ON CONFLICT (key) DO NOTHING";
            let [key, name, stamp] = [&session.key, &session.name, &session.stamp].map(|text| Text(text));
            let [since, seen] = [session.since, session.seen].map(Number);
            self.write(statement, &[key, name, stamp, since, seen]).await?;
        }
        for (key, seen) in &changes.used {
            // One that has ended is not begun again.
            let statement = "UPDATE drover.session SET seen = $2 WHERE key = $1 AND seen < $2";
            self.write(statement, &[Text(key), Number(*seen)]).await?;
        }
        for key in &changes.ended {
            self.write("DELETE FROM drover.session WHERE key = $1", &[Text(key)])
                .await?;
        }
        Ok(())
    }

    /// Ends all sessions of a user, except those that began with this stamp.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn end_sessions_of(&self, name: &str, except: &str) -> Result<(), Trouble> {
        let statement = "DELETE FROM drover.session WHERE name = $1 AND stamp <> $2";
        self.write(statement, &[Text(name), Text(except)]).await
    }

    /// Removes the sessions that began or were last used by these moments, and the longest unused beyond so many.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn forget_sessions(&self, began: Millis, used: Millis, most: i64) -> Result<(), Trouble> {
        let old = "DELETE FROM drover.session WHERE since <= $1 OR seen <= $2";
        self.write(old, &[Number(began), Number(used)]).await?;
        // SQLite takes no OFFSET without a LIMIT; what is left is removed the next time.
        let surplus = "DELETE FROM drover.session WHERE key IN \
                       (SELECT key FROM drover.session ORDER BY seen DESC, key LIMIT 10000 OFFSET $1)";
        self.write(surplus, &[Number(most)]).await
    }
}
