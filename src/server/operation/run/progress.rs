//! The progress of an operation: a result for each of its jobs, their totals, and what is shown of it.

use super::{OperationStatus, Run};
use crate::model::action::{Effect, JobAction, Seen};
use crate::model::operation::{ItemResult, Operation, OperationState, Share, Totals};
use crate::model::queue::QueueRef;
use crate::server::operation::journal::Home;
use crate::server::operation::select::Item;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Reasons that are kept, each with its job.
const WHYS: usize = 10_000;

/// The speed is that of the last seconds.
const LATELY: Duration = Duration::from_secs(5);

/// Reasons that are shown, for all jobs together.
const REASONS: usize = 20;

/// How long a page waits for what another replica has saved.
const PATIENCE: Duration = Duration::from_secs(2);

/// A letter for each job, and why for some.
type Letters = (Vec<u8>, HashMap<u32, String>);

#[derive(Debug)]
pub(super) struct Progress {
    pub(super) standing: OperationStatus,
    /// A letter for each job; 0 without a result.
    pub(super) results: Vec<u8>,
    pub(super) totals: Totals,
    pub(super) reasons: HashMap<String, u64>,
    pub(super) whys: HashMap<u32, String>,
    /// Moments with how many jobs had a result then.
    pub(super) lately: Vec<(Instant, u64)>,
}

/// The results with their letters.
const LETTERS: [(u8, &str); 6] = [
    (b'd', "done"),
    (b'a', "already"),
    (b'c', "changed"),
    (b'g', "gone"),
    (b'f', "failed"),
    (b'u', "unconfirmed"),
];

fn word(letter: u8) -> Option<&'static str> {
    LETTERS
        .iter()
        .find(|(known, _)| *known == letter)
        .map(|(_, word)| *word)
}

pub(super) fn add(totals: &mut Totals, letter: u8, jobs: u64) {
    let count = match letter {
        b'd' => &mut totals.done,
        b'a' => &mut totals.already,
        b'c' => &mut totals.changed,
        b'g' => &mut totals.gone,
        b'f' => &mut totals.failed,
        b'u' => &mut totals.unconfirmed,
        _ => return,
    };
    *count += jobs;
}

/// A result's letter, and why it is none of the good ones.
pub(super) fn letter(effect: &Effect, action: &JobAction, uncertain: bool) -> (u8, Option<String>) {
    let under_way = |now: &str| format!("Drover stopped during this action, and the job has changed since: {now}");
    match effect {
        Effect::Done { .. } => (b'd', None),
        // The job is gone as was wanted, even if another client removed it.
        Effect::Gone if uncertain && matches!(action, JobAction::Remove { .. }) => (b'a', None),
        Effect::Gone if uncertain => (b'u', Some(under_way("it no longer exists."))),
        Effect::Changed { now } if uncertain => (b'u', Some(under_way(now))),
        Effect::Already { .. } => (b'a', None),
        Effect::Changed { now } => (b'c', Some(now.clone())),
        Effect::Gone => (b'g', None),
        Effect::Locked { by } => (b'f', Some(by.clone())),
        Effect::Refused { reason } => (b'f', Some(reason.clone())),
        Effect::Unconfirmed { reason } => (b'u', Some(reason.clone())),
    }
}

impl Run {
    /// The operation as all callers see it.
    pub fn told(&self) -> Operation {
        if let Some(told) = self.told_elsewhere() {
            return told;
        }
        let progress = self.progress();
        let per_second = progress.per_second();
        let mut reasons: Vec<Share> = progress
            .reasons
            .iter()
            .map(|(of, jobs)| Share {
                of: of.clone(),
                jobs: *jobs,
            })
            .collect();
        reasons.sort_by(|a, b| b.jobs.cmp(&a.jobs).then_with(|| a.of.cmp(&b.of)));
        reasons.truncate(REASONS);
        let running = progress.standing.state == OperationState::Running;
        let meta = self.meta.clone();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate"
        )]
        let left_ms = per_second
            .filter(|speed| running && *speed > 0.0)
            .map(|speed| (progress.totals.left() as f64 / speed * 1000.0) as u64);
        Operation {
            id: meta.id,
            action: meta.action,
            filter: meta.filter,
            queues: meta.queues,
            sentence: meta.sentence,
            who: meta.who,
            reason: meta.reason,
            bounds: meta.bounds,
            state: progress.standing.state,
            note: progress.standing.note.clone(),
            totals: progress.totals,
            reasons,
            created: meta.created,
            started: progress.standing.started,
            ended: progress.standing.ended,
            per_second: per_second.filter(|_| running),
            left_ms,
        }
    }

    /// Its jobs. Those of an operation that ended before this process began, or that another replica runs, are read on
    /// demand.
    async fn all_items(&self) -> io::Result<Cow<'_, [Item]>> {
        if self.items.is_empty() {
            return Ok(Cow::Owned(self.home.items(&self.meta.id).await?));
        }
        Ok(Cow::Borrowed(&self.items))
    }

    /// Its jobs and their results, unless reading them takes too long for the caller.
    async fn all_there_is(&self) -> io::Result<(Cow<'_, [Item]>, Letters)> {
        let read = async { Ok((self.all_items().await?, self.all_letters().await?)) };
        let late = || io::Error::other(format!("it did not come within {} s", PATIENCE.as_secs()));
        timeout(PATIENCE, read).await.unwrap_or_else(|_| Err(late()))
    }

    /// A letter for each job, and why for some.
    async fn all_letters(&self) -> io::Result<Letters> {
        if let (Home::Shared(archive), true) = (&self.home, self.is_elsewhere()) {
            let past = archive.operation_past(&self.meta.id, self.meta.selected).await?;
            return Ok((past.results, past.whys.into_iter().collect()));
        }
        let progress = self.progress();
        Ok((progress.results.clone(), progress.whys.clone()))
    }

    /// Its jobs with their results, those with `result` only, and how many of these there are.
    ///
    /// # Errors
    ///
    /// When the selection cannot be read.
    pub async fn results(
        &self,
        result: Option<&str>,
        offset: usize,
        limit: usize,
    ) -> io::Result<(Vec<ItemResult>, u64)> {
        let (items, (letters, whys)) = self.all_there_is().await?;
        let fitting: Vec<usize> = (0..items.len())
            .filter(|i| {
                let letter = letters.get(*i).copied().unwrap_or(0);
                result.is_none_or(|wanted| word(letter).unwrap_or("left") == wanted)
            })
            .collect();
        let rows = fitting.iter().skip(offset).take(limit).filter_map(|i| {
            let item = items.get(*i)?;
            Some(ItemResult {
                queue: self.queue(item)?.clone(),
                id: item.id.to_string(),
                result: word(*letters.get(*i)?).map(str::to_owned),
                reason: whys.get(&u32::try_from(*i).ok()?).cloned(),
            })
        });
        Ok((rows.collect(), fitting.len() as u64))
    }

    /// The jobs that were not done and may be tried again: those that changed, failed, were not confirmed or had no turn.
    ///
    /// # Errors
    ///
    /// When the selection cannot be read.
    pub async fn rest(&self) -> io::Result<Vec<(QueueRef, String, Seen)>> {
        let (items, (letters, _)) = self.all_there_is().await?;
        let rest = items
            .iter()
            .zip(&letters)
            .filter(|(_, letter)| matches!(letter, 0 | b'f' | b'u'))
            .filter_map(|(item, _)| Some((self.queue(item)?.clone(), item.id.to_string(), item.seen.clone())));
        Ok(rest.collect())
    }

    /// The next job without a result, from `at` on.
    pub(super) fn next(&self, at: usize) -> usize {
        let progress = self.progress();
        let left = progress.results.get(at..).unwrap_or(&[]);
        left.iter()
            .position(|letter| *letter == 0)
            .map_or(self.items.len(), |i| at + i)
    }

    /// Where a batch that begins at `at` ends: jobs of one queue, none with a result.
    pub(super) fn batch_end(&self, at: usize, size: usize, limit: usize) -> usize {
        let progress = self.progress();
        let queue = self.items[at].queue;
        let fits = |i: &usize| self.items[*i].queue == queue && progress.results[*i] == 0;
        let most = (at + size.max(1)).min(limit.max(at + 1)).min(self.items.len());
        (at..most).take_while(fits).last().map_or(at + 1, |last| last + 1)
    }

    /// Takes in results; returns their lines for the log.
    pub(super) fn settle(&self, at: usize, effects: &[Effect]) -> String {
        let mut progress = self.progress();
        let mut letters = String::with_capacity(effects.len());
        let mut lines = String::new();
        for (i, effect) in (at..).zip(effects) {
            let (letter, why) = letter(effect, &self.meta.action, i < self.uncertain.load(Ordering::Relaxed));
            letters.push(char::from(letter));
            if let Some(known) = progress.results.get_mut(i) {
                *known = letter;
            }
            add(&mut progress.totals, letter, 1);
            if let (Some(why), Ok(i)) = (why, u32::try_from(i)) {
                let why = why.replace('\n', " ");
                let all = &mut progress.reasons;
                if all.len() < 1_000 || all.contains_key(&why) {
                    *all.entry(why.clone()).or_default() += 1;
                }
                if progress.whys.len() < WHYS {
                    // Writing into a string does not fail.
                    let _ = writeln!(lines, "W {i} {why}");
                    progress.whys.insert(i, why);
                }
            }
        }
        let settled = progress.totals.settled();
        let now = Instant::now();
        progress.lately.retain(|(at, _)| now.duration_since(*at) < LATELY);
        progress.lately.push((now, settled));
        let _ = writeln!(lines, "R {at} {letters}");
        lines
    }
}

impl Progress {
    #[expect(clippy::cast_precision_loss, reason = "a speed")]
    fn per_second(&self) -> Option<f64> {
        let (first, last) = (self.lately.first()?, self.lately.last()?);
        let time = first.0.elapsed().as_secs_f64();
        (time > 0.2 && last.1 > first.1).then(|| (last.1 - first.1) as f64 / time)
    }
}
