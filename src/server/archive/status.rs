//! The minutes behind the status page's bars, kept for a restart and shared by replicas. What the rows mean is described
//! where the table is made (`migrations/0006_status.sql`).

use super::Archive;
use crate::server::adapter::Trouble;
use crate::server::status::days::Day;

/// A day of a component.
pub type Row = (String, i32, Day);

impl Archive {
    /// Adds what is known of some days. Adding it twice changes nothing.
    ///
    /// # Errors
    ///
    /// When it does not answer: it can be added again.
    pub async fn note_days(&self, rows: &[Row]) -> Result<(), Trouble> {
        self.shares()?;
        // Two that note the same days take their rows in the same order.
        let sql = "INSERT INTO drover.status_day AS s (component, day, known, missed) \
                   SELECT c, d, k::bit(1440), m::bit(1440) FROM unnest($1::text[], $2::int[], $3::text[], $4::text[]) u (c, d, k, m) \
                   ORDER BY c, d \
                   ON CONFLICT (component, day) DO UPDATE SET known = s.known | excluded.known, missed = s.missed | excluded.missed";
        let (known, missed): (Vec<String>, Vec<String>) = rows.iter().map(|(.., day)| day.written()).unzip();
        let pool = self.common().writes();
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
        self.common().run(work).await.map(|_| ())
    }

    /// What is known of these components from a day on.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn days(&self, components: &[String], from: i32) -> Result<Vec<Row>, Trouble> {
        self.shares()?;
        let sql = "SELECT component, day, known::text, missed::text FROM drover.status_day WHERE component = ANY ($1) AND day >= $2";
        let pool = self.common().reads();
        let work = sqlx::query_as::<_, (String, i32, String, String)>(sql)
            .bind(components)
            .bind(from)
            .fetch_all(&pool);
        let rows = self.common().run(work).await?.into_iter();
        Ok(rows
            .map(|(component, day, known, missed)| (component, day, Day::read(&known, &missed)))
            .collect())
    }

    /// Removes the days before this one.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn forget_days(&self, before: i32) -> Result<(), Trouble> {
        self.shares()?;
        let pool = self.common().writes();
        let work = sqlx::query("DELETE FROM drover.status_day WHERE day < $1")
            .bind(before)
            .execute(&pool);
        self.common().run(work).await.map(|_| ())
    }
}
