//! What no event asks for: health, recounts, workers, the server's own report, and what is the matter.

use super::super::board::Update;
use super::super::conditions::{self, Own};
use super::super::pace::Pace;
use super::super::track::{Circumstances, Track};
use super::{Collector, State};
use crate::model::Millis;
use crate::model::store::Reach;
use crate::model::verdict::{Level, Verdict};
use crate::server::adapter::postgres::database::Database;
use crate::server::adapter::postgres::{health, report};
use crate::server::adapter::redis::link::Link;
use crate::server::adapter::redis::{ask, info, reply, signs};
use crate::server::adapter::{NOT_PERMITTED, QueueId, Trouble};
use crate::server::collect::source::Source;
use crate::server::verdict;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// The pace at which time alone changes what is shown. What is read keeps to [`Pace`].
const TICK: Duration = Duration::from_secs(1);

/// Time between two looks at the connected workers: a queue whose first worker connects is on the
/// board within it.
const WORKERS_EVERY: Duration = Duration::from_millis(2_900);

/// Time between two reports of the server, watched and unwatched.
const INFO_EVERY: Duration = Duration::from_millis(4_900);
const INFO_UNWATCHED: Duration = Duration::from_millis(9_900);

/// Time between two looks at what changes seldom and takes a question of its own: settings of a Redis, tables and sessions
/// of a Postgres.
const EXAMINE_EVERY: Duration = Duration::from_secs(60);

/// Queues recounted in one poll at most.
const RECOUNTS: usize = 200;

/// A silence is noticed up to this long after it began.
const UNNOTICED: Millis = 4_000;

/// When what was last read.
#[derive(Debug, Default)]
struct LastRead {
    workers: Option<Instant>,
    info: Option<Instant>,
    examined: Option<Instant>,
}

/// Waits until the store does not answer, and gives why.
async fn silence(health: &mut watch::Receiver<Result<(), Trouble>>) -> Trouble {
    let gone = Trouble::new(Reach::Gone, "Drover is shutting down.");
    match health.wait_for(Result::is_err).await {
        Ok(answer) => answer.clone().err().unwrap_or(gone),
        Err(_) => gone,
    }
}

fn is_due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|at| at.elapsed() >= every)
}

impl Collector {
    /// See the module.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut health = self.source.health();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut pace = Pace::default();
        let mut last = LastRead::default();
        let mut refused = false;
        let mut pings = self.source.rhythm().pings();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                changed = health.changed() => if changed.is_err() { return },
                // What was put off is read at once.
                () = self.board.watched(), if !self.source.rhythm().is_watched() => {}
            }
            let watched = self.board.is_watched();
            self.source.rhythm().set_watched(watched);
            self.mind_the_clock();
            let answer = health.borrow_and_update().clone();
            let came_back = self.note_health(&answer);
            if answer.is_err() {
                self.publish_ticked(&pace);
                continue;
            }
            if came_back {
                pace.begin_anew();
                last = LastRead::default();
            }
            if !*self.shown.borrow() {
                // Before any queue is on the board: one that is there can be acted on.
                if self.read_info().await.is_ok() {
                    last.info = Some(Instant::now());
                }
                self.publish_ticked(&pace);
                self.shown.send_replace(true);
            }
            if pings.has_changed().unwrap_or(false) {
                pings.mark_unchanged();
                pace.note(self.source.rhythm().latency());
            }
            if pace.is_due(Instant::now(), watched) {
                let again = self.source.wants_another_try() || self.unreadable().is_some();
                let was_refused = std::mem::replace(&mut refused, again);
                if was_refused && !refused {
                    // Streams that could not be followed were given up.
                    self.follow();
                }
                let circumstances = Circumstances {
                    watched,
                    pushed: self.source.pushes(),
                    refused: refused || was_refused,
                };
                let began = Instant::now();
                // A store that falls silent meanwhile is said to be so at once, however long the poll would wait for it.
                let outcome = tokio::select! {
                    outcome = self.poll(came_back, circumstances, &mut last) => outcome,
                    trouble = silence(&mut health) => Err(trouble),
                };
                if health.borrow().is_err() {
                    let answer = health.borrow_and_update().clone();
                    self.note_health(&answer);
                }
                if let Err(trouble) = &outcome {
                    tracing::debug!(store.id = %self.store, %trouble, "a poll ended early");
                }
                pace.polled(Instant::now(), began.elapsed(), outcome.is_ok(), rand::random());
            }
            self.publish_ticked(&pace);
        }
    }

    /// Reads what is due, one thing after the other; the first that fails ends it.
    async fn poll(&self, came_back: bool, circumstances: Circumstances, last: &mut LastRead) -> Result<(), Trouble> {
        if is_due(last.workers, WORKERS_EVERY) {
            self.read_workers().await?;
            last.workers = Some(Instant::now());
        }
        let info_every = if circumstances.watched {
            INFO_EVERY
        } else {
            INFO_UNWATCHED
        };
        if is_due(last.info, info_every) {
            self.read_info().await?;
            last.info = Some(Instant::now());
        }
        if is_due(last.examined, EXAMINE_EVERY) {
            self.examine().await?;
            last.examined = Some(Instant::now());
        }
        self.recount(came_back, circumstances).await?;
        self.look_at_next_jobs(circumstances).await?;
        self.look_at_parents().await?;
        self.look_at_expiries().await
    }

    fn unreadable(&self) -> Option<(String, usize)> {
        unreadable(&self.state().tracks)
    }

    /// Follows the wall clock when it is set.
    fn mind_the_clock(&self) {
        let (wall, instant) = (crate::model::now(), Instant::now());
        let Some(by) = self.clock().jump(wall, instant) else {
            return;
        };
        let mut state = self.state();
        self.clock().adopt(by);
        state.shift(by);
        tracing::warn!(store.id = %self.store, by_ms = by, "this machine's clock was set: ages and rates continue from there");
    }

    /// Takes in whether the store answers. True if it has just begun to.
    fn note_health(&self, health: &Result<(), Trouble>) -> bool {
        let at = self.now();
        let mut state = self.state();
        let before = state.summary.reach;
        match health {
            _ if !state.down.is_empty() => {
                state.summary.reach = Reach::Unwatched;
                state.summary.cause = Some(unwatched(&state.down));
            }
            Ok(()) => {
                // Between two answers it may have fallen silent.
                let silent = Millis::try_from(self.source.rhythm().silent_for().as_millis()).unwrap_or(0);
                state.summary.as_of = state.summary.as_of.max(Some(at - silent));
                state.summary.reach = Reach::Live;
                state.summary.cause = None;
            }
            Err(trouble) => {
                state.summary.reach = trouble.reach;
                state.summary.cause = Some(trouble.cause.clone());
            }
        }
        if state.summary.reach == before {
            return false;
        }
        state.summary.since = at;
        let came_back = state.summary.reach == Reach::Live;
        if before == Reach::Live {
            state.silent_since = Some(at - UNNOTICED);
        }
        if came_back {
            state.conditions.begin_anew();
            // What happened meanwhile was not seen.
            let from = state.silent_since.take().unwrap_or(at);
            for track in state.tracks.values_mut() {
                track.gap(from, at);
            }
            tracing::info!(store.id = %self.store, "store answers");
        } else if before == Reach::Live || before == Reach::Connecting {
            tracing::warn!(store.id = %self.store, state = state.summary.reach.word(), cause = state.summary.cause.as_deref(), "store does not answer");
        }
        came_back
    }

    /// Takes in that a task which watches the store is down and why, or that it runs again.
    pub(super) fn task_is_down(&self, task: &'static str, why: Option<&str>) {
        let down = {
            let mut state = self.state();
            match why {
                Some(why) => state.down.insert(task, why.to_owned()),
                None => state.down.remove(task),
            };
            !state.down.is_empty()
        };
        if !down {
            // The next tick finds the store answering again, and counts everything.
            return;
        }
        // The task that is down may be the one that would say so.
        let health = self.source.health().borrow().clone();
        self.note_health(&health);
        self.publish_ticked(&Pace::default());
    }

    /// Reads what the server says about itself, and its clock.
    async fn read_info(&self) -> Result<(), Trouble> {
        match &self.source {
            Source::Redis(link) => self.read_redis(link).await,
            Source::Postgres(database) => self.read_postgres(database).await,
        }
    }

    /// Asks for the rest of what the store's verdict takes.
    async fn examine(&self) -> Result<(), Trouble> {
        let _turn = self.source.rhythm().turn().await;
        match &self.source {
            Source::Redis(link) => {
                let settings = ask::settings(link, self.vitals.forbidden()).await?;
                self.vitals.note_settings(settings);
            }
            Source::Postgres(database) => self.vitals.note_health(Arc::new(health::read(database).await)),
        }
        Ok(())
    }

    async fn read_redis(&self, link: &Link) -> Result<(), Trouble> {
        let mut pipe = redis::pipe();
        pipe.cmd("INFO");
        let (replies, asked, round_trip) = {
            let _turn = link.rhythm().turn().await;
            let (asked, began) = (self.now(), Instant::now());
            (link.run(&mut pipe).await?, asked, began.elapsed())
        };
        self.vitals.hear(&replies);
        let Some(text) = replies
            .into_iter()
            .next()
            .and_then(Result::ok)
            .as_ref()
            .and_then(reply::text)
        else {
            // Not permitted: nothing is known of it, and the rest goes on.
            return Ok(());
        };
        let mut signs = signs::parse(&text);
        if signs.cluster.is_some() {
            let mut pipe = redis::pipe();
            pipe.cmd("CLUSTER").arg("NODES");
            let nodes = link.run(&mut pipe).await?;
            let nodes = nodes.into_iter().next().and_then(Result::ok);
            signs.cluster = nodes
                .as_ref()
                .and_then(reply::text)
                .map(|nodes| signs::slots(&nodes))
                .or(signs.cluster);
        }
        let mut state = self.state();
        if let Some(clock) = signs.clock {
            state.offset.note(clock, asked, round_trip);
        }
        state.conditions.report(asked, signs);
        state.summary.vitals = Some(info::parse(&text));
        Ok(())
    }

    async fn read_postgres(&self, database: &Database) -> Result<(), Trouble> {
        let (report, asked, round_trip) = {
            let _turn = database.rhythm().turn().await;
            let (asked, began) = (self.now(), Instant::now());
            (report::read(database).await?, asked, began.elapsed())
        };
        let transactions = self.vitals.note(report.as_samples(crate::model::now()));
        let mut state = self.state();
        state.offset.note(report.clock, asked, round_trip);
        state.summary.vitals = Some(report.vitals(transactions));
        state.conditions.postgres(report);
        Ok(())
    }

    /// Counts what is due, and forgets queues of which nothing is left.
    async fn recount(&self, all: bool, circumstances: Circumstances) -> Result<(), Trouble> {
        let at = self.now();
        let mut due: Vec<QueueId> = {
            let state = self.state();
            let due = state
                .tracks
                .iter()
                .filter(|(_, track)| all || track.is_due(at, circumstances));
            let due: Vec<QueueId> = due.map(|(queue, _)| queue.clone()).collect();
            // However many are open, one more at a time: watchers cost the store nothing worth counting.
            let open = self.board.open_queues(&self.store);
            let open = open
                .iter()
                .filter_map(|queue| state.tracks.get_key_value(queue.as_str()));
            let next = open
                .filter(|(queue, track)| track.wants_a_recount(at) && !due.contains(queue))
                .min_by_key(|(_, track)| track.counted_at());
            let next = next.map(|(queue, _)| queue.clone());
            next.into_iter().chain(due).collect()
        };
        if !all {
            due.truncate(RECOUNTS);
        }
        let turn = self.source.rhythm().turn().await;
        let readings = self.count(&due).await?;
        let at = self.now();
        let mut gone = Vec::new();
        {
            let mut state = self.state();
            for (queue, reading) in readings {
                if !reading.exists
                    && state
                        .tracks
                        .get(&queue)
                        .is_some_and(|track| track.line.workers.unwrap_or(0) == 0)
                {
                    gone.push(queue);
                } else if let Some(track) = state.tracks.get_mut(&queue) {
                    track.counted(at, reading);
                }
            }
            for queue in &gone {
                state.tracks.remove(queue);
            }
        }
        drop(turn);
        if !gone.is_empty() {
            self.follow();
            self.board.publish(Update {
                removed: gone.iter().map(|queue| self.key(queue)).collect(),
                ..Update::default()
            });
        }
        Ok(())
    }

    /// Publishes everything that changes with time alone. Lines that did not change cost nothing.
    fn publish_ticked(&self, pace: &Pace) {
        let at = self.now();
        let mut state = self.state();
        let live = state.summary.reach == Reach::Live;
        let clocks = state.clocks();
        state.summary.clock_ahead = clocks.ahead;
        state.summary.conditions = if live {
            let own = Own {
                slowed: pace.slowed(),
                slow: pace.is_slow(),
                ahead: clocks.ahead,
                sentinels: self.source.sentinels_doubt(),
                unreadable: unreadable(&state.tracks),
            };
            self.source.conditions(&mut state.conditions, at, &own)
        } else {
            vec![]
        };
        state.summary.actions = conditions::actions(&state.summary, at, self.source.may_not_act());
        let opinion = verdict::of_store(&state.summary, &self.vitals.concerns(crate::model::now()));
        state.summary.verdict = state.judge.consider(at, opinion);
        if live {
            let heard = self.source.pushes();
            for track in state.tracks.values_mut() {
                track.tick(at, clocks, heard);
            }
        } else {
            let shown = &state.summary;
            let verdict = Verdict {
                level: Level::Unknown,
                rule: "U1".into(),
                reason: format!("No data from {}: {}.", shown.id, shown.reach.word()),
                since: shown.since,
            };
            let from = state.silent_since.unwrap_or(at);
            for track in state.tracks.values_mut() {
                track.silent(from, at, &verdict);
            }
        }
        let queues = state.tracks.values().map(|track| track.line.clone()).collect();
        let mut store = state.summary.clone();
        // While it answers, "when" is now: published with the report, not every second.
        if live && let Some(known) = self.board.store(&self.store) {
            let mut same = known.clone();
            same.as_of = store.as_of;
            if same == store {
                store = known;
            }
        }
        self.board.publish(Update {
            queues,
            store: Some(store),
            ..Update::default()
        });
        drop(state);
        self.board.forget_unfollowed();
    }
}

/// Why a store is not watched, in a sentence.
fn unwatched(down: &BTreeMap<&'static str, String>) -> String {
    let failed = down.iter().map(|(task, why)| format!("its task {task} failed ({why})"));
    format!("Drover stopped watching it: {}.", failed.collect::<Vec<_>>().join("; "))
}

/// Queues whose keys our user may not read: the first by name, and how many.
fn unreadable(tracks: &HashMap<QueueId, Track>) -> Option<(String, usize)> {
    let refused = |track: &&Track| {
        track
            .line
            .reason
            .as_ref()
            .is_some_and(|why| why.ends_with(NOT_PERMITTED))
    };
    let ids = tracks.values().filter(refused).map(|track| &track.line.id);
    let (first, count) = ids.fold((None, 0), |(first, n): (Option<&String>, usize), id| {
        (Some(first.map_or(id, |f| f.min(id))), n + 1)
    });
    first.map(|id| (id.clone(), count))
}

impl State {
    /// Our clock was set by `by`: everything that is remembered happened as long ago as before.
    fn shift(&mut self, by: Millis) {
        self.summary.since += by;
        self.summary.as_of = self.summary.as_of.map(|at| at + by);
        self.summary.verdict.since += by;
        self.judge.shift(by);
        self.conditions.shift(by);
        self.offset.shift(by);
        self.silent_since = self.silent_since.map(|at| at + by);
        for track in self.tracks.values_mut() {
            track.shift(by);
        }
    }
}
