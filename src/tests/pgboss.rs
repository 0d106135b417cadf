//! pg-boss: the adapter reads what the library of each generation wrote, and the library and its worker agree with what
//! it changes.
//!
//! Each subject is one function over a generation, and one test for each generation that has it.

/// One test in each of these modules, for the generation of that name.
macro_rules! on {
    ($test:ident: $($major:ident)+) => {
        mod $test {
            $(#[tokio::test]
            async fn $major() {
                super::$test(crate::pgboss::bench::$major).await;
            })+
        }
    };
    ($test:ident) => {
        on!($test: pgboss_9 pgboss_10 pgboss_11 pgboss_12);
    };
}

mod actions;
mod archived;
mod bench;
mod detail;
mod operations;
mod pause;
mod put_away;
mod reading;
mod redrive;
mod refusals;
mod retention;
mod roles;
