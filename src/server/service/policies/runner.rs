//! Policies of the archive at work: which replica begins a run, when, and what is saved of it.
//!
//! Each policy has a task here, on every replica. When a moment of its timetable has come, the replica that gets the
//! lease ([`crate::server::database::lease`]) runs it; moments at which no replica ran are made up by one run. A run is
//! an ordinary operation of the archive, requested by `policy:<id>`, with everything that an operation has. This module
//! does not decide how jobs are archived, and removes nothing from the archive.

use crate::model::Millis;
use crate::model::action::JobAction;
use crate::model::operation::{Operation, OperationState};
use crate::model::permission::Role;
use crate::model::policy::Policy;
use crate::server::archive::Archive;
use crate::server::auth::who::{Via, Who};
use crate::server::collect::board::Board;
use crate::server::cron;
use crate::server::database::lease::{Lease, RENEW};
use crate::server::database::policy_runs::Numbers;
use crate::server::database::postgres::SharedPostgres;
use crate::server::service::Service;
use crate::server::service::operations::{Asked, Control, Start};
use crate::server::tasks::Tasks;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// The shortest pause between two looks for what is due.
const LOOK_MIN: Duration = Duration::from_millis(100);

/// The longest.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// How often the progress of an operation is read.
const FOLLOW: Duration = Duration::from_millis(100);

/// Right after a start the stores are searched for their queues; a run waits for that, but not for a store that is away.
const SEARCHED: Duration = Duration::from_secs(60);

const BUSY: &str = "A run of this policy is in progress, here or on another replica. Runs of a policy never overlap.";

/// What a requested run began with: the id of its operation, or `None` where there was nothing to archive.
type Begun = Result<Option<String>, String>;

/// A request for a run now.
#[derive(Debug)]
struct Ask {
    reason: String,
    begun: oneshot::Sender<Begun>,
}

/// A policy, and the way to its task.
#[derive(Debug)]
pub struct Line {
    /// What was configured.
    pub policy: Policy,
    asks: mpsc::Sender<Ask>,
    taken: std::sync::Mutex<Option<mpsc::Receiver<Ask>>>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Policies {
    lines: Vec<Arc<Line>>,
}

impl Policies {
    /// Policies whose tasks have not been started.
    #[must_use]
    pub fn new(policies: &[Policy]) -> Self {
        let line = |policy: &Policy| {
            let (asks, taken) = mpsc::channel(1);
            Arc::new(Line {
                policy: policy.clone(),
                asks,
                taken: std::sync::Mutex::new(Some(taken)),
            })
        };
        Self {
            lines: policies.iter().map(line).collect(),
        }
    }

    /// All of them, in the order of the configuration.
    pub fn all(&self) -> impl Iterator<Item = &Policy> {
        self.lines.iter().map(|line| &line.policy)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Policy> {
        self.all().find(|policy| policy.id == id)
    }

    /// Has a run begin now.
    ///
    /// # Errors
    ///
    /// Why it does not, in a sentence.
    pub async fn run(&self, id: &str, reason: String) -> Begun {
        let found = self.lines.iter().find(|line| line.policy.id == id);
        let line = found.ok_or("There is no such policy.")?;
        let (begun, answer) = oneshot::channel();
        let sent = line.asks.try_send(Ask { reason, begun });
        sent.map_err(|_| BUSY.to_owned())?;
        answer.await.unwrap_or_else(|_| Err(BUSY.into()))
    }
}

/// Starts a task for each policy. A board that may change nothing has none.
pub fn start(service: &Arc<Service>, archive: &Arc<Archive>, tasks: &Tasks) {
    if service.is_read_only() {
        return;
    }
    for line in &service.policies().lines {
        let taken = line.taken.lock().map_or(None, |mut taken| taken.take());
        let Some(asks) = taken else { continue };
        let task = Task {
            service: service.clone(),
            shared: archive.shared().clone(),
            policy: line.policy.clone(),
            owner: format!("{:032x}", rand::random::<u128>()),
            asks: tokio::sync::Mutex::new(asks),
        };
        let task = Arc::new(task);
        tasks.of(&line.policy.id, |_, _| {}).keep("policy", move || {
            let task = task.clone();
            async move { task.follow().await }
        });
    }
}

/// The moment of a timetable that is due now: the last one, unless a run has begun for it.
#[must_use]
pub fn due(policy: &Policy, begun: Millis, now: Millis) -> Option<Millis> {
    let (pattern, zone) = (Some(policy.every.pattern.as_str()), Some(policy.every.zone.as_str()));
    // Timetables count whole seconds: from the next one on, this one is before.
    let last = cron::before(None, pattern, zone, now.saturating_add(1_000), 1);
    last.first().copied().filter(|last| *last > begun && *last <= now)
}

/// The moment after `now` at which a policy falls due.
#[must_use]
pub fn next(policy: &Policy, now: Millis) -> Option<Millis> {
    let (pattern, zone) = (Some(policy.every.pattern.as_str()), Some(policy.every.zone.as_str()));
    cron::after(None, pattern, zone, now)
}

/// The start of a run could not be saved.
struct Unwritten;

/// How a run ended.
struct Ended {
    outcome: &'static str,
    note: String,
    /// Whether there is more of the same to do.
    more: bool,
}

impl Ended {
    fn failed(note: impl Into<String>) -> Self {
        Self {
            outcome: "failed",
            note: note.into(),
            more: false,
        }
    }
}

struct Task {
    service: Arc<Service>,
    shared: Arc<SharedPostgres>,
    policy: Policy,
    /// This process, as far as leases are concerned.
    owner: String,
    asks: tokio::sync::Mutex<mpsc::Receiver<Ask>>,
}

impl Task {
    async fn follow(&self) {
        while self.shared.enroll(&self.policy).await.is_err() {
            sleep(LOOK_MAX).await;
        }
        searched(&self.service.board).await;
        loop {
            let pause = self.look().await;
            let ask = timeout(pause, async { self.asks.lock().await.recv().await }).await;
            if let Ok(Some(ask)) = ask {
                self.asked(ask).await;
            }
        }
    }

    /// Runs what is due; returns how long until it is worth looking again.
    async fn look(&self) -> Duration {
        let turn = match self.shared.turn(&self.policy.id).await {
            Ok(Some(turn)) => turn,
            // The table or the whole database was replaced: enroll the policy in the new one.
            Ok(None) => {
                let _ = self.shared.enroll(&self.policy).await;
                return LOOK_MAX;
            }
            Err(_) => return LOOK_MAX,
        };
        if turn.held {
            return LOOK_MAX;
        }
        let due = due(&self.policy, turn.begun, turn.now);
        // The lease of an owner that is gone has expired: it left something undone, whether or not something else is
        // due.
        if due.is_some() || turn.expired {
            match self.shared.claim(&self.policy.id, &self.owner, due).await {
                Ok(Some(lease)) => self.run(&lease, due, "Scheduled run.", None).await,
                Ok(None) => {}
                Err(trouble) => tracing::warn!(policy = self.policy.id, "a run cannot begin: {trouble}"),
            }
            return LOOK_MIN;
        }
        let until = next(&self.policy, turn.now).map_or(i64::MAX, |next| next.saturating_sub(turn.now));
        Duration::from_millis(u64::try_from(until).unwrap_or(0)).clamp(LOOK_MIN, LOOK_MAX)
    }

    async fn asked(&self, ask: Ask) {
        let claimed = self.shared.claim(&self.policy.id, &self.owner, None).await;
        let why = match claimed {
            Ok(Some(lease)) => return self.run(&lease, None, &ask.reason, Some(ask.begun)).await,
            Ok(None) => BUSY.into(),
            Err(trouble) => trouble.cause,
        };
        let _ = ask.begun.send(Err(why));
    }

    /// Runs until nothing is left, with the lease in hand.
    async fn run(&self, lease: &Lease, due: Option<Millis>, reason: &str, mut begun: Option<oneshot::Sender<Begun>>) {
        let kept = async {
            loop {
                sleep(RENEW).await;
                match self.shared.renew_policy(&self.policy.id, lease).await {
                    Ok(false) => return,
                    // Another replica may have the lease by now, so no run of ours may go on.
                    Err(_) if lease.may_be_over() => return,
                    Ok(true) | Err(_) => {}
                }
            }
        };
        let refuse = async {
            let mut asks = self.asks.lock().await;
            while let Some(ask) = asks.recv().await {
                let _ = ask.begun.send(Err(BUSY.into()));
            }
            std::future::pending::<()>().await;
        };
        let work = async {
            self.own_have_ended().await;
            loop {
                match self.one(due, reason, &mut begun).await {
                    Ok(true) => {}
                    Ok(false) => break true,
                    // The moment is taken but no run is saved for it: keep the lease until it expires; the next holder
                    // makes it up.
                    Err(Unwritten) => break due.is_none(),
                }
            }
        };
        tokio::select! {
            // Never ends by itself.
            () = refuse => {}
            release = work => {
                if !release {
                    return;
                }
                if let Err(trouble) = self.shared.release_policy(&self.policy.id, lease).await {
                    tracing::warn!(policy = self.policy.id, "the lease of a policy is not given back and expires: {trouble}");
                }
            }
            () = kept => {
                tracing::warn!(policy = self.policy.id, "the lease of a policy was lost; its run ends");
                let who = self.who();
                // An operation that another replica has taken over belongs to that replica.
                let here = |operation: &Operation| self.service.runs_here(&operation.id);
                for operation in self.own().into_iter().filter(here) {
                    let _ = self.service.control(&who, &operation.id, Control::Cancel).await;
                }
            }
        }
    }

    /// Open operations of this policy, such as one of the process before this one.
    fn own(&self) -> Vec<Operation> {
        let who = self.policy.who();
        let all = self.service.all_operations().into_iter();
        all.filter(|operation| operation.state.is_open() && operation.who == who)
            .collect()
    }

    async fn own_have_ended(&self) {
        while !self.own().is_empty() {
            sleep(FOLLOW).await;
        }
    }

    fn who(&self) -> Who {
        Who {
            name: self.policy.who(),
            address: "drover".into(),
            grants: Who::everywhere(Role::Operator),
            via: Via::NoSignIn,
        }
    }

    /// One run, from its row to its row; whether another one has to follow.
    async fn one(
        &self,
        due: Option<Millis>,
        reason: &str,
        begun: &mut Option<oneshot::Sender<Begun>>,
    ) -> Result<bool, Unwritten> {
        let mut tell = |how: Begun| {
            if let Some(begun) = begun.take() {
                let _ = begun.send(how);
            }
        };
        let run = match self.shared.begin_run(&self.policy.id, &self.owner, due).await {
            Ok(run) => run,
            Err(trouble) => {
                tracing::warn!(policy = self.policy.id, "a run cannot be saved: {trouble}");
                tell(Err(trouble.cause));
                return Err(Unwritten);
            }
        };
        let ended = match self.begin(reason).await {
            Err(why) => {
                tell(Err(why.clone()));
                Ended::failed(why)
            }
            Ok(None) => {
                tell(Ok(None));
                Ended {
                    outcome: "ok",
                    note: "Nothing to archive.".into(),
                    more: false,
                }
            }
            Ok(Some((operation, capped))) => {
                tell(Ok(Some(operation.clone())));
                self.watch(run, &operation, capped).await
            }
        };
        if ended.outcome == "failed" {
            tracing::warn!(policy = self.policy.id, "a run failed: {}", ended.note);
        }
        // If this is not saved, the next owner reports a run that ended in the middle.
        let written = self.shared.end_run(run, ended.outcome, &ended.note).await;
        if let Err(trouble) = &written {
            tracing::warn!(policy = self.policy.id, "the end of a run cannot be saved: {trouble}");
        }
        Ok(ended.more && written.is_ok())
    }

    /// Freezes a selection and starts it: its operation, and whether there is more than it takes.
    async fn begin(&self, reason: &str) -> Result<Option<(String, bool)>, String> {
        let (service, who) = (&self.service, self.who());
        let asked = Asked {
            action: JobAction::Archive,
            filter: self.policy.filter(),
            jobs: vec![],
        };
        let preview = service.preview(&who, asked).await;
        let preview = preview.map_err(|refusal| refusal.to_string())?;
        if preview.selected == 0 {
            return Ok(None);
        }
        let start = Start {
            token: preview.token,
            reason: reason.to_owned(),
            ..Start::default()
        };
        let operation = service.start(&who, start).await;
        let operation = operation.map_err(|refusal| refusal.to_string())?;
        Ok(Some((operation.id, preview.capped)))
    }

    /// Follows an operation to its end.
    async fn watch(&self, run: i64, id: &str, capped: bool) -> Ended {
        let service = &self.service;
        let mut noted: Option<Instant> = None;
        loop {
            let Ok(operation) = service.operation(id) else {
                return Ended::failed("Its operation is no longer known.");
            };
            let open = operation.state.is_open();
            if !open || noted.is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
                noted = Some(Instant::now());
                let numbers = numbers(&operation, service.removed_by(id));
                let _ = self.shared.note_run(run, Some(id), &numbers).await;
            }
            if !open {
                return ended(&operation, capped && self.policy.limit.is_none());
            }
            sleep(FOLLOW).await;
        }
    }
}

fn numbers(operation: &Operation, bytes: u64) -> Numbers {
    let totals = &operation.totals;
    Numbers {
        selected: totals.selected,
        archived: totals.done + totals.already,
        changed: totals.changed + totals.gone,
        failed: totals.failed + totals.unconfirmed,
        bytes,
    }
}

fn ended(operation: &Operation, capped: bool) -> Ended {
    let n = numbers(operation, 0);
    let reason = operation.reasons.first().map_or("", |reason| reason.of.as_str());
    match operation.state {
        OperationState::Cancelled => Ended {
            outcome: "cancelled",
            note: "It was cancelled.".into(),
            more: false,
        },
        OperationState::Stopped => Ended::failed(operation.note.clone()),
        _ if n.failed > 0 => Ended {
            // The others are in the archive, and those behind them are not to wait for these.
            more: capped && n.archived > 0,
            ..Ended::failed(format!(
                "{} of {} could not be archived: {reason}",
                n.failed,
                crate::model::format::counted(n.selected, "job", "jobs")
            ))
        },
        _ => Ended {
            outcome: "ok",
            note: String::new(),
            // One that moves nothing is not taken again.
            more: capped && n.archived > 0,
        },
    }
}

/// Waits until every store that answers was searched for its queues.
async fn searched(board: &Board) {
    let all = async {
        loop {
            let (stores, ..) = board.lines();
            if stores.iter().all(|store| store.searched) {
                return;
            }
            sleep(FOLLOW).await;
        }
    };
    let _ = timeout(SEARCHED, all).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policy::Every;
    use crate::model::state::JobState;

    #[test]
    fn what_was_missed_is_due_once() {
        let policy = Policy {
            id: "a".into(),
            queues: "*".into(),
            states: vec![JobState::Completed],
            older: 0,
            older_than: "0s".into(),
            every: Every::read("day at 02:00"),
            limit: None,
        };
        let (day, hour) = (86_400_000, 3_600_000);
        let begun = 100 * day + 2 * hour;
        assert_eq!(due(&policy, begun, begun + 23 * hour), None);
        assert_eq!(due(&policy, begun, begun + day), Some(begun + day));
        // Three days later: the last of the three moments, and after it nothing.
        assert_eq!(due(&policy, begun, begun + 3 * day + 1), Some(begun + 3 * day));
        assert_eq!(due(&policy, begun + 3 * day, begun + 3 * day + 1), None);
        assert_eq!(next(&policy, begun), Some(begun + day));
    }
}
