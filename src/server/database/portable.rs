//! Statements that both backends understand are written once: in the SQL of Postgres, with numbered parameters, naming tables
//! by their schema, which SQLite does without. Texts are `text` and moments are milliseconds as `bigint`.

use super::OwnData;
use crate::server::adapter::Trouble;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Postgres, Sqlite};

/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// Text.
    Text(&'a str),
    /// A number, or a moment.
    Number(i64),
}

/// A query of either kind with its parameters.
macro_rules! bound {
    ($query:expr, $values:expr) => {
        $values.iter().fold($query, |query, value| match *value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
        })
    };
}

/// The same statement for SQLite, which has no schema of that name.
fn of_file(statement: &str) -> String {
    statement.replace("drover.", "")
}

impl OwnData {
    /// Runs a statement that writes.
    pub(super) async fn write(&self, statement: &str, values: &[Value<'_>]) -> Result<(), Trouble> {
        match self {
            Self::File(file) => {
                let (open, statement) = (file.open()?, of_file(statement));
                let query = bound!(sqlx::query::<Sqlite>(&statement), values);
                file.write(&open, query.execute(&open.writes)).await.map(|_| ())
            }
            Self::Postgres(postgres) => {
                postgres.ready()?;
                let pool = postgres.database().writes();
                let query = bound!(sqlx::query::<Postgres>(statement), values);
                postgres.database().run(query.execute(&pool)).await.map(|_| ())
            }
        }
    }

    /// Runs statements in one transaction, if the first of them touches a row; whether it does.
    pub(super) async fn change(&self, statements: &[(&str, Vec<Value<'_>>)]) -> Result<bool, Trouble> {
        match self {
            Self::File(file) => {
                let open = file.open()?;
                let work = async {
                    let mut transaction = open.writes.begin_with("BEGIN IMMEDIATE").await?;
                    for (nth, (statement, values)) in statements.iter().enumerate() {
                        let statement = of_file(statement);
                        let query = bound!(sqlx::query::<Sqlite>(&statement), values);
                        let done = query.execute(&mut *transaction).await?;
                        if nth == 0 && done.rows_affected() == 0 {
                            return Ok(false);
                        }
                    }
                    transaction.commit().await.map(|()| true)
                };
                file.write(&open, work).await
            }
            Self::Postgres(postgres) => {
                postgres.ready()?;
                let pool = postgres.database().writes();
                let work = async {
                    let mut transaction = pool.begin().await?;
                    for (nth, (statement, values)) in statements.iter().enumerate() {
                        let query = bound!(sqlx::query::<Postgres>(statement), values);
                        let done = query.execute(&mut *transaction).await?;
                        if nth == 0 && done.rows_affected() == 0 {
                            return Ok(false);
                        }
                    }
                    transaction.commit().await.map(|()| true)
                };
                postgres.database().run(work).await
            }
        }
    }

    /// The rows that a query returns.
    pub(super) async fn rows<R>(&self, query: &str, values: &[Value<'_>]) -> Result<Vec<R>, Trouble>
    where
        R: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        match self {
            Self::File(file) => {
                let (open, query) = (file.open()?, of_file(query));
                let query = bound!(sqlx::query_as::<Sqlite, R>(&query), values);
                file.read(&open, query.fetch_all(&open.reads)).await
            }
            Self::Postgres(postgres) => {
                postgres.ready()?;
                // From the sessions that write: a pool of reads may be led to a standby, which does not know yet what has ended.
                let pool = postgres.database().writes();
                let query = bound!(sqlx::query_as::<Postgres, R>(query), values);
                postgres.database().run(query.fetch_all(&pool)).await
            }
        }
    }
}
