//! The contract: what the board shows of a queue is what the queue's own library says of it, whichever
//! library and generation that is.
//!
//! Every subject is one function over a [`Family`], and one test for each family, so that the name of
//! a failing test says what is wrong and where: `contract::bullmq_4::rows_are_the_librarys`. What a
//! family does not have stands in its [`Family`] and nowhere else.

mod changes;
mod counts;
mod details;
mod discovery;
mod fill;
mod rows;

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::redis::Redis;
use serde_json::{Value, json};

/// One library of one generation, and what it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    /// What the oracle calls it.
    word: &'static str,
    /// How its version begins.
    version: &'static str,
    /// What the board calls the library.
    system: &'static str,
    /// What the board calls the generation of its keys.
    layout: &'static str,
    /// Prioritized jobs are a state of their own; otherwise they stand in the waiting list.
    prioritized: bool,
    /// It has parents and children.
    flows: bool,
    /// A job's record names the worker that took it.
    names_workers: bool,
    /// A worker that has never had a job leaves something in the store that tells whose it is.
    workers_leave_traces: bool,
    /// It tells who was added, delayed and removed, by name; otherwise only that something was.
    tells_all: bool,
}

const BULL: Family = Family {
    word: "bull",
    version: "4.",
    system: "bull",
    layout: "bull4",
    prioritized: false,
    flows: false,
    names_workers: false,
    workers_leave_traces: false,
    tells_all: false,
};

const BULLMQ_6: Family = Family {
    word: "6",
    version: "6.",
    system: "bullmq",
    layout: "bullmq6",
    prioritized: true,
    flows: true,
    names_workers: true,
    workers_leave_traces: true,
    tells_all: true,
};

const BULLMQ_5: Family = Family {
    word: "5",
    version: "5.",
    layout: "bullmq5",
    ..BULLMQ_6
};

const BULLMQ_4: Family = Family {
    word: "4",
    version: "4.",
    layout: "bullmq4",
    names_workers: false,
    workers_leave_traces: false,
    ..BULLMQ_6
};

const BULLMQ_3: Family = Family {
    word: "3",
    version: "3.",
    layout: "bullmq3",
    prioritized: false,
    ..BULLMQ_4
};

impl Family {
    /// The library on a Redis of its own.
    async fn alone(&self) -> (Redis, Oracle) {
        let redis = Redis::start();
        let oracle = Oracle::of(&redis.url(), self.word).await;
        assert!(oracle.version.starts_with(self.version), "{}", oracle.version);
        (redis, oracle)
    }

    /// A queue with jobs in every state, held by a running worker, and a board that knows it.
    async fn filled(&self, queue: &str) -> (Redis, Oracle, Drover) {
        let (redis, mut oracle) = self.alone().await;
        fill::every_state(self, &mut oracle, queue).await;
        let drover = Drover::over(&redis.url()).await;
        drover.knows(&format!("bull:{queue}")).await;
        (redis, oracle, drover)
    }

    /// Options of a worker that holds a job for half a second at a time and looks for lost ones as often.
    fn impatient(&self) -> Value {
        let options = json!({"lockDuration": 500, "stalledInterval": 500});
        match self.word {
            "bull" => json!({"settings": options}),
            _ => options,
        }
    }

    /// The states its jobs can be in: our name and the library's.
    fn states(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let all = [
            ("waiting", "waiting"),
            ("active", "active"),
            ("prioritized", "prioritized"),
            ("delayed", "delayed"),
            ("waiting_children", "waiting-children"),
            ("completed", "completed"),
            ("failed", "failed"),
        ];
        let (prioritized, flows) = (self.prioritized, self.flows);
        all.into_iter().filter(move |(state, _)| match *state {
            "prioritized" => prioritized,
            "waiting_children" => flows,
            _ => true,
        })
    }
}

/// One test for each subject and family.
macro_rules! contract {
    ($($module:ident: $family:ident),+ $(,)?) => {$(
        mod $module {
            use super::$family as FAMILY;

            #[tokio::test]
            async fn counts_follow_while_workers_run() {
                super::counts::follow_while_workers_run(&FAMILY).await;
            }

            #[tokio::test]
            async fn counts_are_the_librarys_with_and_without_workers() {
                super::counts::are_the_librarys(&FAMILY).await;
            }

            #[tokio::test]
            async fn rows_are_the_librarys_in_its_order() {
                super::rows::are_the_librarys(&FAMILY).await;
            }

            #[tokio::test]
            async fn waiting_jobs_of_a_paused_queue_are_listed_and_counted() {
                super::rows::of_a_paused_queue(&FAMILY).await;
            }

            #[tokio::test]
            async fn jobs_are_shown_as_the_library_knows_them() {
                super::details::are_the_librarys(&FAMILY).await;
            }

            #[tokio::test]
            async fn a_retry_that_waits_for_its_time_shows_what_went_wrong() {
                super::details::of_a_retry_to_come(&FAMILY).await;
            }

            #[tokio::test]
            async fn a_job_whose_worker_was_lost_is_known_by_its_lock() {
                super::details::of_a_lost_worker(&FAMILY).await;
            }

            #[tokio::test]
            async fn what_happens_to_jobs_is_pushed() {
                super::changes::of_jobs_are_pushed(&FAMILY).await;
            }

            #[tokio::test]
            async fn what_happens_to_one_job_is_pushed_to_its_page() {
                super::changes::of_one_job_are_pushed(&FAMILY).await;
            }

            #[tokio::test]
            async fn what_nobody_tells_is_found_by_counting() {
                super::changes::nobody_tells_are_counted(&FAMILY).await;
            }

            #[tokio::test]
            async fn changes_are_pushed_again_after_a_broken_connection() {
                super::changes::go_on_after_a_break(&FAMILY).await;
            }

            #[tokio::test]
            async fn a_pause_and_a_resume_are_pushed() {
                super::changes::of_the_queue_are_pushed(&FAMILY).await;
            }

            #[tokio::test]
            async fn workers_are_counted_as_they_come_and_go() {
                super::discovery::counts_workers(&FAMILY).await;
            }

            #[tokio::test]
            async fn a_queue_is_found_by_its_first_worker() {
                super::discovery::finds_a_worker(&FAMILY).await;
            }

            #[tokio::test]
            async fn a_queue_is_found_by_whatever_is_left_of_it() {
                super::discovery::finds_whatever_is_left(&FAMILY).await;
            }

            #[tokio::test]
            async fn a_queue_is_found_under_any_prefix_and_hash_tag() {
                super::discovery::finds_any_prefix(&FAMILY).await;
            }

            #[tokio::test]
            async fn reading_never_writes() {
                super::discovery::never_writes(&FAMILY).await;
            }
        }
    )+};
}

contract! {
    bull: BULL,
    bullmq_3: BULLMQ_3,
    bullmq_4: BULLMQ_4,
    bullmq_5: BULLMQ_5,
    bullmq_6: BULLMQ_6,
}

/// BullMQ forbids `:` in names since 5.12.12; older libraries take it.
mod names_with_colons {
    #[tokio::test]
    async fn of_bull_are_whole() {
        super::discovery::keeps_colons(&super::BULL).await;
    }

    #[tokio::test]
    async fn of_bullmq_3_are_whole() {
        super::discovery::keeps_colons(&super::BULLMQ_3).await;
    }

    #[tokio::test]
    async fn of_bullmq_4_are_whole() {
        super::discovery::keeps_colons(&super::BULLMQ_4).await;
    }
}

/// Generations before 5 wake their workers by pseudo-jobs in the waiting list.
mod markers_in_the_waiting_list {
    #[tokio::test]
    async fn of_bullmq_3_are_no_jobs() {
        super::counts::leave_out_markers(&super::BULLMQ_3).await;
    }

    #[tokio::test]
    async fn of_bullmq_4_are_no_jobs() {
        super::counts::leave_out_markers(&super::BULLMQ_4).await;
    }
}
