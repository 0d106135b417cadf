//! Actions: Drover's action has the effect that the library's own call would have had, and the library's worker agrees.
//!
//! Each subject is one function over a generation of the library, and one test for each generation that has it. After
//! every action the test compares state, counts and order with the library's; a worker of that version then runs the
//! jobs that should run, and no others.

/// One test in each of these modules, for the generation of that name.
macro_rules! on {
    ($test:ident: $($family:ident)+) => {
        mod $test {
            $(#[tokio::test]
            async fn $family() {
                super::$test(crate::actions::bench::$family).await;
            })+
        }
    };
    ($test:ident) => {
        on!($test: bull bullmq_3 bullmq_4 bullmq_5 bullmq_6);
    };
}

mod add;
mod api;
mod api_rest;
pub(crate) mod bench;
mod codes;
pub(crate) mod guard;
mod head;
mod lost;
mod obliterate;
mod pause;
mod plans;
mod promote;
mod race;
mod remove;
mod retry;
mod settings;
mod silence;
mod small;
