//! The steps that make Drover's own tables, embedded in the binary and run in order.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use std::borrow::Cow;

/// A step: its number, its name and its statements.
pub type Step = (i64, &'static str, &'static str);

/// What runs these steps.
#[must_use]
pub fn migrator(steps: &[Step]) -> Migrator {
    let migrations = steps.iter().map(|(version, description, sql)| {
        Migration::new(
            *version,
            Cow::Borrowed(*description),
            MigrationType::Simple,
            Cow::Borrowed(*sql),
            false,
        )
    });
    Migrator {
        migrations: migrations.collect(),
        // An older Drover beside a newer one, or after it, goes on: what was added since does not change what it knows.
        ignore_missing: true,
        ..Migrator::DEFAULT
    }
}
