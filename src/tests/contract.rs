//! The contract: the board shows of a queue what the queue's own library says about it, whichever library and
//! generation that is.
//!
//! Every subject is one function over a [`Family`], and one test for each family, so that the name of a failing test
//! says what is wrong and where: `contract::bullmq_4::rows_are_the_librarys`. What a family does not have is in its
//! [`Family`] and nowhere else.

mod changes;
mod counts;
mod details;
mod discovery;
mod fill;
mod rows;

use crate::support::app::Drover;
use crate::support::oracle::Oracle;
use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use serde_json::{Value, json};

/// One library of one generation, and what it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    /// The oracle's name for it.
    word: &'static str,
    /// The beginning of its version.
    version: &'static str,
    /// The board's name for the library.
    system: &'static str,
    /// The board's name for the generation of its keys.
    layout: &'static str,
    /// Whether prioritized jobs are a state of their own; otherwise they are in the waiting list.
    prioritized: bool,
    /// Whether it has parents and children.
    flows: bool,
    /// Whether a job's record names the worker that took it.
    names_workers: bool,
    /// Whether a worker that has never had a job leaves something in the store that names its owner.
    workers_leave_traces: bool,
    /// Whether it reports by name which jobs were added, delayed and removed; otherwise only that something was.
    tells_all: bool,
    /// Whether it reports every step of a job; otherwise the board sees only the end of a job that began and ended
    /// between two looks.
    tells_steps: bool,
    /// Whether its jobs have progress, a log, a trace for each attempt, and a lock of the worker that holds them.
    keeps_notes: bool,
    /// Whether it can pause a queue.
    pauses: bool,
    /// Whether its jobs store when they were created, and its finished jobs are counted and listed.
    keeps_history: bool,
    /// Whether a delayed job waits in the memory of a worker, and not without one.
    delays_in_workers: bool,
    /// Whether jobs can be delayed.
    delays: bool,
    /// Whether a failed job stores where in the code it failed.
    keeps_traces: bool,
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
    tells_steps: true,
    keeps_notes: true,
    pauses: true,
    keeps_history: true,
    delays_in_workers: false,
    delays: true,
    keeps_traces: true,
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
    ..BULL
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

const PGBOSS_12: Family = Family {
    word: "12",
    version: "12.",
    system: PGBOSS,
    layout: "pgboss12",
    tells_steps: false,
    keeps_notes: false,
    pauses: false,
    ..BULL
};

const PGBOSS_11: Family = Family {
    word: "11",
    version: "11.",
    layout: "pgboss11",
    ..PGBOSS_12
};

const PGBOSS_10: Family = Family {
    word: "10",
    version: "10.",
    layout: "pgboss10",
    ..PGBOSS_12
};

const PGBOSS_9: Family = Family {
    word: "9",
    version: "9.",
    layout: "pgboss9",
    ..PGBOSS_12
};

const PGBOSS: &str = "pgboss";

const CELERY: Family = Family {
    word: "celery",
    version: "5.",
    system: "celery",
    layout: "celery",
    tells_steps: false,
    keeps_notes: false,
    pauses: false,
    keeps_history: false,
    delays_in_workers: true,
    ..BULL
};

const ARQ: Family = Family {
    word: "arq",
    version: "0.28.",
    system: "arq",
    layout: "arq",
    tells_steps: false,
    keeps_notes: false,
    pauses: false,
    keeps_history: false,
    ..BULL
};

const LISTS: Family = Family {
    word: "lists",
    version: "5.",
    system: "lists",
    layout: "lists",
    tells_steps: false,
    keeps_notes: false,
    pauses: false,
    delays: false,
    keeps_traces: false,
    ..BULL
};

/// The store of a family.
pub(crate) enum Store {
    Redis(Redis),
    Postgres(Postgres),
}

impl Store {
    /// Cuts the board's connections.
    async fn cut(&self) {
        match self {
            Self::Redis(redis) => {
                for kind in ["pubsub", "normal"] {
                    redis.run::<()>(&["CLIENT", "KILL", "TYPE", kind]);
                }
            }
            Self::Postgres(postgres) => {
                let sql = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'drover'";
                postgres.run(sql).await;
            }
        }
    }
}

impl Family {
    /// The library on a store of its own.
    async fn alone(&self) -> (Store, Oracle) {
        if self.system != PGBOSS {
            let (redis, oracle) = self.on_redis().await;
            return (Store::Redis(redis), oracle);
        }
        let postgres = Postgres::start().await;
        let oracle = Oracle::pgboss(&postgres.url(), self.word, "pgboss", json!({})).await;
        assert!(oracle.version.starts_with(self.version), "{}", oracle.version);
        (Store::Postgres(postgres), oracle)
    }

    /// A library that keeps its jobs in Redis, on a Redis of its own.
    async fn on_redis(&self) -> (Redis, Oracle) {
        let redis = Redis::start();
        let oracle = match self.word {
            "celery" => Oracle::celery(&redis.url(), json!({})).await,
            "arq" => Oracle::arq(&redis.url(), json!({})).await,
            "lists" => Oracle::lists(&redis.url(), json!({})).await,
            word => Oracle::of(&redis.url(), word).await,
        };
        assert!(oracle.version.starts_with(self.version), "{}", oracle.version);
        (redis, oracle)
    }

    /// A board over its store.
    async fn board(&self, store: &Store) -> Drover {
        match store {
            Store::Redis(redis) if self.system == "lists" => {
                let profiles = ["busy", "shop", "q"].map(|queue| crate::lists::profile(queue, ""));
                crate::lists::board(&redis.url(), &profiles.concat()).await
            }
            Store::Redis(redis) => Drover::over(&redis.url()).await,
            Store::Postgres(postgres) => Drover::over_postgres(&postgres.url()).await,
        }
    }

    /// The board's id of a queue.
    fn id(&self, queue: &str) -> String {
        match self.system {
            PGBOSS | "celery" | "arq" => queue.to_owned(),
            "lists" => format!("{queue}:waiting"),
            _ => format!("bull:{queue}"),
        }
    }

    /// One job as the library knows it, in the terms of BullMQ.
    async fn job(&self, oracle: &mut Oracle, queue: &str, id: &str) -> Value {
        let command = if self.system == PGBOSS { "seen" } else { "job" };
        oracle.ask(command, queue, json!({"jobId": id})).await
    }

    /// A queue with jobs in every state, held by a running worker, and a board that knows it.
    async fn filled(&self, queue: &str) -> (Store, Oracle, Drover) {
        let (store, mut oracle) = self.alone().await;
        fill::every_state(self, &mut oracle, queue).await;
        let drover = self.board(&store).await;
        drover.knows(&self.id(queue)).await;
        (store, oracle, drover)
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
        let (prioritized, flows, history) = (self.prioritized, self.flows, self.keeps_history);
        let delays = self.delays;
        all.into_iter().filter(move |(state, _)| match *state {
            "prioritized" => prioritized,
            "waiting_children" => flows,
            "completed" | "failed" => history,
            "delayed" => delays,
            _ => true,
        })
    }
}

/// One test for each subject and family.
macro_rules! contract {
    ($module:ident: $family:ident, $($test:ident: $file:ident::$subject:ident),+ $(,)?) => {
        mod $module {
            $(#[tokio::test]
            async fn $test() {
                super::$file::$subject(&super::$family).await;
            })+
        }
    };
}

/// The subjects of every library.
macro_rules! of_every_library {
    ($module:ident: $family:ident $(, $more:ident: $file:ident::$subject:ident)* $(,)?) => {
        contract! { $module: $family,
            counts_follow_while_workers_run: counts::follow_while_workers_run,
            counts_are_the_librarys_with_and_without_workers: counts::are_the_librarys,
            rows_are_the_librarys_in_its_order: rows::are_the_librarys,
            jobs_are_shown_as_the_library_knows_them: details::are_the_librarys,
            a_retry_that_waits_for_its_time_shows_what_went_wrong: details::of_a_retry_to_come,
            what_happens_to_jobs_is_pushed: changes::of_jobs_are_pushed,
            what_happens_to_one_job_is_pushed_to_its_page: changes::of_one_job_are_pushed,
            what_nobody_tells_is_found_by_counting: changes::nobody_tells_are_counted,
            changes_are_pushed_again_after_a_broken_connection: changes::go_on_after_a_break,
            a_queue_is_found_by_whatever_is_left_of_it: discovery::finds_whatever_is_left,
            $($more: $file::$subject),*
        }
    };
}

/// More subjects of libraries that keep their jobs in Redis.
macro_rules! on_redis {
    ($($module:ident: $family:ident),+ $(,)?) => {$(
        of_every_library! { $module: $family,
            waiting_jobs_of_a_paused_queue_are_listed_and_counted: rows::of_a_paused_queue,
            a_job_whose_worker_was_lost_is_known_by_its_lock: details::of_a_lost_worker,
            a_pause_and_a_resume_are_pushed: changes::of_the_queue_are_pushed,
            workers_are_counted_as_they_come_and_go: discovery::counts_workers,
            a_queue_is_found_by_its_first_worker: discovery::finds_a_worker,
            a_queue_is_found_under_any_prefix_and_hash_tag: discovery::finds_any_prefix,
            reading_never_writes: discovery::never_writes,
        }
    )+};
}

on_redis! {
    bull: BULL,
    bullmq_3: BULLMQ_3,
    bullmq_4: BULLMQ_4,
    bullmq_5: BULLMQ_5,
    bullmq_6: BULLMQ_6,
}

of_every_library! { pgboss_9: PGBOSS_9 }
of_every_library! { pgboss_10: PGBOSS_10 }
of_every_library! { pgboss_11: PGBOSS_11 }
of_every_library! { pgboss_12: PGBOSS_12 }

// Celery pushes no events, and its finished jobs are not known: `crate::celery` has the rest.
contract! { celery: CELERY,
    counts_follow_while_workers_run: counts::follow_while_workers_run,
    counts_are_the_librarys_with_and_without_workers: counts::are_the_librarys,
    rows_are_the_librarys_in_its_order: rows::are_the_librarys,
    jobs_are_shown_as_the_library_knows_them: details::are_the_librarys,
    what_nobody_tells_is_found_by_counting: changes::nobody_tells_are_counted,
}

// The same goes for arq: the rest is in `crate::arq`.
contract! { arq: ARQ,
    counts_follow_while_workers_run: counts::follow_while_workers_run,
    counts_are_the_librarys_with_and_without_workers: counts::are_the_librarys,
    rows_are_the_librarys_in_its_order: rows::are_the_librarys,
    jobs_are_shown_as_the_library_knows_them: details::are_the_librarys,
    what_nobody_tells_is_found_by_counting: changes::nobody_tells_are_counted,
}

// And for lists that no library knows: the rest is in `crate::lists`.
contract! { lists: LISTS,
    counts_follow_while_workers_run: counts::follow_while_workers_run,
    counts_are_the_librarys_with_and_without_workers: counts::are_the_librarys,
    rows_are_the_librarys_in_its_order: rows::are_the_librarys,
    jobs_are_shown_as_the_library_knows_them: details::are_the_librarys,
    what_nobody_tells_is_found_by_counting: changes::nobody_tells_are_counted,
}

/// BullMQ forbids `:` in names since 5.12.12; older libraries accept it.
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
