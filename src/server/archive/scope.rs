//! The queues that a reader may see, as a condition of the SQL statements: no cursor is that of a row that is not shown, and
//! no page is short because of rows that are not.
//!
//! The rows of a few queues among many are read queue by queue, by the index of queues; a loose scan of that index finds the
//! queues.

use super::Archive;
use crate::server::adapter::Trouble;
use sqlx::{Postgres, QueryBuilder};
use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

/// Characters of a queue's id that the index holds.
pub(super) const INDEXED: usize = 100;

/// Queues that are read one by one. With more, a scan of all rows finds enough of theirs.
const FEW: usize = 64;

/// A glob of stores and one of their queues: `*` stands for anything, `?` for one character.
pub type Globs = (String, String);

/// See the module. For each permission that is needed, the queues that it is held for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Vec<Vec<Globs>>);

impl Scope {
    /// Queues for which each permission is held.
    #[must_use]
    pub fn of(permissions: impl IntoIterator<Item = Vec<Globs>>) -> Self {
        let all = |globs: &Vec<Globs>| globs.iter().any(|(store, queue)| store == "*" && queue == "*");
        Self(permissions.into_iter().filter(|globs| !all(globs)).collect())
    }

    /// Whether nothing is left out.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a queue can be in it, by the beginning of its id.
    fn may_hold(&self, prefix: &str) -> bool {
        let cut = prefix.chars().count() >= INDEXED;
        let fits = |(_, queue): &Globs| cut || crate::model::filter::matches(queue, prefix);
        self.0.iter().all(|globs| globs.iter().any(fits))
    }

    /// Adds it to the conditions of a statement.
    pub(super) fn push(&self, query: &mut QueryBuilder<'_, Postgres>) {
        for globs in &self.0 {
            query.push(" AND (false");
            for (store, queue) in globs {
                query.push(" OR (store LIKE ").push_bind(like(store));
                query.push(" AND queue LIKE ").push_bind(like(queue)).push(")");
            }
            query.push(")");
        }
    }
}

/// A glob of `*` and `?` as a pattern for LIKE.
pub(super) fn like(glob: &str) -> String {
    let mut out = String::with_capacity(glob.len() + 4);
    for c in glob.chars() {
        match c {
            '*' => out.push('%'),
            '?' => out.push('_'),
            '%' | '_' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// The part of a queue's id that the index holds.
pub(super) fn indexed(queue: &str) -> String {
    queue.chars().take(INDEXED).collect()
}

/// Every queue that has rows, as far as the index holds its id: one step in the index for each.
const QUEUES: &str = "WITH RECURSIVE known AS ( \
     (SELECT left(queue, 100) AS key FROM drover.archive ORDER BY left(queue, 100) LIMIT 1) \
     UNION ALL SELECT (SELECT left(queue, 100) FROM drover.archive WHERE left(queue, 100) > known.key \
     ORDER BY left(queue, 100) LIMIT 1) FROM known WHERE known.key IS NOT NULL) \
     SELECT key FROM known WHERE key IS NOT NULL";

type Names = Result<Arc<HashSet<String>>, Trouble>;

impl Archive {
    /// The queues of a scope that is not everything, if they are few enough to be read one by one.
    pub(super) async fn few_queues(&self, scope: &Scope) -> Result<Option<Vec<String>>, Trouble> {
        if scope.is_everything() {
            return Ok(None);
        }
        let ask = || async {
            let pool = self.database.reads();
            let names = sqlx::query_scalar::<_, String>(QUEUES).fetch_all(&pool);
            Ok(Arc::new(self.database.run(names).await?.into_iter().collect())) as Names
        };
        let known = self.queues.get((), ask).await?;
        // New queues of another replica are found after a few seconds, those of this process at once.
        let own = self.archived.lock().unwrap_or_else(PoisonError::into_inner);
        let all: HashSet<&String> = known.iter().chain(own.iter()).collect();
        let few: Vec<String> = all.into_iter().filter(|name| scope.may_hold(name)).cloned().collect();
        Ok((few.len() <= FEW).then_some(few))
    }

    /// Notes that jobs of a queue are archived.
    pub(super) fn note_queue(&self, queue: &str) {
        let mut own = self.archived.lock().unwrap_or_else(PoisonError::into_inner);
        own.insert(indexed(queue));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(permissions: &[&[(&str, &str)]]) -> Scope {
        let globs = |globs: &&[(&str, &str)]| {
            let globs = globs
                .iter()
                .map(|(store, queue)| ((*store).to_owned(), (*queue).to_owned()));
            globs.collect()
        };
        Scope::of(permissions.iter().map(globs))
    }

    // S-5
    #[test]
    fn a_scope_is_a_condition_of_the_statement_and_every_character_is_bound() {
        let sql = |scope: &Scope| {
            let mut query = QueryBuilder::new("SELECT 1 WHERE true");
            scope.push(&mut query);
            query.sql().to_owned()
        };
        assert!(scope(&[&[("*", "*")]]).is_everything());
        assert_eq!(
            sql(&scope(&[&[("redis", "bull:a"), ("*", "*")]])),
            "SELECT 1 WHERE true"
        );
        let some = scope(&[
            &[("redis", "bull:a*"), ("x", "'; --")],
            &[("*", "*")],
            &[("redis", "*")],
        ]);
        assert_eq!(
            sql(&some),
            "SELECT 1 WHERE true AND (false OR (store LIKE $1 AND queue LIKE $2) OR (store LIKE $3 AND queue LIKE $4)) \
             AND (false OR (store LIKE $5 AND queue LIKE $6))"
        );
        let none = scope(&[&[]]);
        assert!(!none.is_everything() && !none.may_hold("bull:a"));
        assert_eq!(sql(&none), "SELECT 1 WHERE true AND (false)");
        assert!(some.may_hold("bull:ab") && !some.may_hold("bull:b"));
        assert!(
            some.may_hold(&"x".repeat(INDEXED)),
            "the rest of a long id is not known"
        );
        assert_eq!(like("bull:a?_100%\\*"), "bull:a_\\_100\\%\\\\%");
    }
}
