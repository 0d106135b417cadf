//! Repository: the minutes behind the status page's bars, for a restart and for other replicas.
//!
//! What the rows mean is described where the tables are made (`migrations/0006_status.sql`,
//! `migrations/sqlite/0001_history.sql`).

use super::OwnData;
use super::days::Day;
use super::file::StateFile;
use super::postgres::SharedPostgres;
use crate::server::adapter::Trouble;

/// A day of a component.
pub type Row = (String, i32, Day);

impl OwnData {
    /// Adds what is known of some days. Adding it twice changes nothing.
    ///
    /// # Errors
    ///
    /// When it does not answer: it can be added again.
    pub async fn note_days(&self, rows: &[Row]) -> Result<(), Trouble> {
        match self {
            Self::File(file) => file.note_days(rows).await,
            Self::Postgres(postgres) => postgres.note_days(rows).await,
        }
    }

    /// What is known of these components from a day on.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn days(&self, components: &[String], from: i32) -> Result<Vec<Row>, Trouble> {
        let rows = match self {
            Self::File(file) => file.days(components, from).await,
            Self::Postgres(postgres) => postgres.days(components, from).await,
        }?;
        let day =
            |(component, day, known, missed): (_, _, String, String)| (component, day, Day::read(&known, &missed));
        Ok(rows.into_iter().map(day).collect())
    }

    /// Removes the days before this one.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn forget_days(&self, before: i32) -> Result<(), Trouble> {
        match self {
            Self::File(file) => file.forget_days(before).await,
            Self::Postgres(postgres) => postgres.forget_days(before).await,
        }
    }
}

/// A day with its known and missed minutes as ones and zeros.
type Written = (String, i32, String, String);

impl SharedPostgres {
    async fn note_days(&self, rows: &[Row]) -> Result<(), Trouble> {
        self.ready()?;
        // Two transactions that note the same days take their rows in the same order.
        let sql = "INSERT INTO drover.status_day AS s (component, day, known, missed) \
                   SELECT c, d, k::bit(1440), m::bit(1440) FROM unnest($1::text[], $2::int[], $3::text[], $4::text[]) u (c, d, k, m) \
                   ORDER BY c, d \
                   ON CONFLICT (component, day) DO UPDATE SET known = s.known | excluded.known, missed = s.missed | excluded.missed";
        let (known, missed): (Vec<String>, Vec<String>) = rows.iter().map(|(.., day)| day.written()).unzip();
        let pool = self.database().writes();
        let work = sqlx::query(sql)
            .bind(
                rows.iter()
                    .map(|(component, ..)| component.as_str())
                    .collect::<Vec<_>>(),
            )
            .bind(rows.iter().map(|(_, day, _)| *day).collect::<Vec<_>>())
            .bind(known)
            .bind(missed)
            .execute(&pool);
        self.database().run(work).await.map(|_| ())
    }

    async fn days(&self, components: &[String], from: i32) -> Result<Vec<Written>, Trouble> {
        self.ready()?;
        let sql = "SELECT component, day, known::text, missed::text FROM drover.status_day WHERE component = ANY ($1) AND day >= $2";
        let pool = self.database().reads();
        let work = sqlx::query_as(sql).bind(components).bind(from).fetch_all(&pool);
        self.database().run(work).await
    }

    async fn forget_days(&self, before: i32) -> Result<(), Trouble> {
        self.ready()?;
        let pool = self.database().writes();
        let work = sqlx::query("DELETE FROM drover.status_day WHERE day < $1")
            .bind(before)
            .execute(&pool);
        self.database().run(work).await.map(|_| ())
    }
}

impl StateFile {
    async fn note_days(&self, rows: &[Row]) -> Result<(), Trouble> {
        let open = self.open()?;
        let work = async {
            let mut transaction = open.writes.begin_with("BEGIN IMMEDIATE").await?;
            for (component, number, day) in rows {
                let sql = "SELECT known, missed FROM status_day WHERE component = ?1 AND day = ?2";
                let noted = sqlx::query_as::<_, (String, String)>(sql).bind(component).bind(number);
                let mut day = *day;
                if let Some((known, missed)) = noted.fetch_optional(&mut *transaction).await? {
                    day.add(&Day::read(&known, &missed));
                }
                let (known, missed) = day.written();
                sqlx::query(
                    "INSERT OR REPLACE INTO status_day (component, day, known, missed) VALUES (?1, ?2, ?3, ?4)",
                )
                .bind(component)
                .bind(number)
                .bind(known)
                .bind(missed)
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await
        };
        self.write(&open, work).await
    }

    async fn days(&self, components: &[String], from: i32) -> Result<Vec<Written>, Trouble> {
        let open = self.open()?;
        let sql = "SELECT component, day, known, missed FROM status_day \
                   WHERE component IN (SELECT value FROM json_each(?1)) AND day >= ?2";
        let rows = sqlx::query_as(sql).bind(sqlx::types::Json(components)).bind(from);
        self.read(&open, rows.fetch_all(&open.reads)).await
    }

    async fn forget_days(&self, before: i32) -> Result<(), Trouble> {
        let open = self.open()?;
        let old = sqlx::query("DELETE FROM status_day WHERE day < ?1").bind(before);
        self.write(&open, old.execute(&open.writes)).await.map(|_| ())
    }
}
