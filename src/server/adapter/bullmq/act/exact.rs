//! The removal of finished jobs that are exactly what was read of them: the last step of archiving.
//!
//! The script is given what was read as the names of the fields, a few numbers and a SHA-1 of all values, log lines and
//! what children left; it makes the same of what the store holds, and only then runs the library's own removal. SHA-1
//! is the only digest that a script can make; it protects against changes, not against an attacker who seeks two jobs
//! with the same sum.

use super::super::super::raw::{Part, RawJob};
use super::super::super::{QueueId, Trouble};
use super::super::{BullMq, key};
use super::answer::{self, Answer};
use super::choose::{self, Choice, Purpose};
use super::jobs::{BELOW, REMOVE_ONE, common, removing};
use super::library::Generation;
use super::pack::Pack;
use super::script::{Frame, Recipe};
use super::{ROUND, TRIES, ask, confirm, target, unheard, unsettled, word};
use crate::model::action::{Effect, JobAction, Seen};
use crate::model::exact::bytes_of;
use redis::Value;
use sha1::{Digest as _, Sha1};
use std::fmt::Write as _;
use tokio::time::Instant;

const SAME: &str = include_str!("lua/same.lua");

static ONE_BY_ONE: Recipe = Recipe {
    name: "remove exactly",
    needs: &["removeJob"],
    likes: &[],
    steps: &[BELOW, REMOVE_ONE, SAME, include_str!("lua/exact.lua")],
};

static HEAD: Recipe = Recipe {
    name: "head remove exactly",
    needs: &["cleanJobsInSet", "removeJob"],
    likes: &[],
    steps: &[BELOW, REMOVE_ONE, SAME, include_str!("lua/head.lua")],
};

/// What one script takes at most.
struct Most {
    jobs: usize,
    bytes: usize,
}

/// A few milliseconds of the store's time.
const SCRIPT: Most = Most {
    jobs: 50,
    bytes: 1024 * 1024,
};

/// The same for a script that takes the oldest jobs together.
const HEAD_SCRIPT: Most = Most {
    jobs: 100,
    bytes: 512 * 1024,
};

/// Fewer jobs are not worth the look whether they are the oldest.
const FEWEST: usize = 20;

/// The form in which a script is given the jobs.
#[derive(Default)]
struct Told {
    shapes: Vec<Pack>,
    jobs: Vec<Pack>,
}

impl Told {
    fn new(queue: &QueueId, jobs: &[&RawJob]) -> Self {
        let mut known: Vec<Vec<&[u8]>> = Vec::new();
        let mut told = Self::default();
        for job in jobs {
            let names: Vec<&[u8]> = job.fields.iter().map(|(name, _)| name.as_slice()).collect();
            // Nearly all jobs of a queue have the same fields.
            let shape = known.iter().position(|shape| *shape == names).unwrap_or_else(|| {
                told.shapes.push(Pack::List(names.iter().map(Pack::text).collect()));
                known.push(names);
                known.len() - 1
            });
            let Pack::Map(mut pack) = target(queue, &job.id, &seen(job)) else {
                continue;
            };
            pack.push(("shape", int(shape + 1)));
            pack.push(("logs", int(job.logs.len())));
            pack.push(("sum", Pack::text(sum(job))));
            if !job.parts.is_empty() {
                let counts = job.parts.iter().filter_map(|part| {
                    let name = super::super::whole::PARTS.iter().find(|name| **name == part.name)?;
                    let each = if part.name == "dependencies" { 1 } else { 2 };
                    Some((*name, int(part.items.len() / each)))
                });
                pack.push(("below", Pack::Map(counts.collect())));
            }
            told.jobs.push(Pack::Map(pack));
        }
        told
    }
}

fn int(n: usize) -> Pack {
    Pack::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

/// What the script makes of the same job.
fn sum(job: &RawJob) -> String {
    let mut sum = Sha1::new();
    let mut length = String::new();
    let values = job.fields.iter().map(|(_, value)| value);
    for text in values.chain(&job.logs) {
        length.clear();
        // Writing into a string does not fail.
        let _ = write!(length, "{}:", text.len());
        sum.update(length.as_bytes());
        sum.update(text);
    }
    for part in &job.parts {
        let (high, low) = sums(part);
        for text in [part.name.clone(), high.to_string(), low.to_string()] {
            sum.update(format!("{}:{text}", text.len()).as_bytes());
        }
    }
    sum.finalize().iter().fold(String::with_capacity(40), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Two sums over the digests of everything in a part, whatever the order. Of a sorted set the members alone: scores are
/// not written alike everywhere.
fn sums(part: &Part) -> (u64, u64) {
    let each = if part.name == "dependencies" { 1 } else { 2 };
    let told = if part.name == "unsuccessful" { 1 } else { each };
    let (mut high, mut low) = (0, 0);
    for one in part.items.chunks(each) {
        let mut sum = Sha1::new();
        for text in one.iter().take(told) {
            sum.update(format!("{}:", text.len()).as_bytes());
            sum.update(text);
        }
        let digest = sum.finalize();
        let word = |from: usize| {
            digest[from..from + 4]
                .iter()
                .fold(0, |n, byte| n << 8 | u64::from(*byte))
        };
        high += word(0);
        low += word(4);
    }
    (high, low)
}

fn seen(job: &RawJob) -> Seen {
    Seen {
        state: Some(job.state),
        finished_on: Some(job.finished_on),
        attempts: Some(job.attempts),
    }
}

/// Cuts jobs into what one script takes.
fn pieces(jobs: &[RawJob], open: &[usize], most: &Most) -> Vec<Vec<usize>> {
    let mut pieces: Vec<Vec<usize>> = Vec::new();
    let mut size = 0;
    for i in open {
        let own = jobs[*i].size();
        match pieces.last_mut() {
            Some(last) if last.len() < most.jobs && size + own <= most.bytes => {
                last.push(*i);
                size += own;
            }
            _ => {
                pieces.push(vec![*i]);
                size = own;
            }
        }
    }
    pieces
}

impl BullMq {
    /// [`Archiving::remove_exactly`](super::super::super::Archiving::remove_exactly).
    pub(in super::super) async fn remove_as_read(
        &self,
        queue: &QueueId,
        jobs: &[RawJob],
    ) -> Result<Vec<Effect>, Trouble> {
        let mut effects: Vec<Option<Effect>> = vec![None; jobs.len()];
        for attempt in 0..TRIES {
            let open = |effects: &[Option<Effect>]| -> Vec<usize> {
                (0..jobs.len()).filter(|i| effects[*i].is_none()).collect()
            };
            if open(&effects).is_empty() {
                break;
            }
            let look = match choose::look(&self.link, &self.layouts, queue).await {
                Ok(look) => look,
                Err(trouble) if attempt == 0 => return Err(trouble),
                Err(_) => break,
            };
            let choice = match choose::choose(&look, Purpose::Enqueue) {
                Ok(choice) => choice,
                // With the queue its jobs are gone.
                Err(_) if !look.exists => {
                    effects
                        .iter_mut()
                        .for_each(|effect| _ = effect.get_or_insert(Effect::Gone));
                    break;
                }
                Err(reason) => {
                    let refused = || answer::refused(reason);
                    effects
                        .iter_mut()
                        .for_each(|effect| _ = effect.get_or_insert_with(refused));
                    break;
                }
            };
            self.oldest_as_read(queue, jobs, &open(&effects), &choice, &mut effects)
                .await?;
            let rest = open(&effects);
            self.each_as_read(queue, jobs, &rest, &choice, &mut effects).await?;
        }
        Ok(effects
            .into_iter()
            .map(|effect| effect.unwrap_or_else(unsettled))
            .collect())
    }

    /// Those that are the oldest of their state, by the library's script for many.
    async fn oldest_as_read(
        &self,
        queue: &QueueId,
        jobs: &[RawJob],
        open: &[usize],
        choice: &Choice,
        effects: &mut [Option<Effect>],
    ) -> Result<(), Trouble> {
        let alike = open.windows(2).all(|two| jobs[two[0]].state == jobs[two[1]].state);
        let parent = |job: &RawJob| job.field("parentKey").is_some_and(|key| !key.is_empty());
        let plain = |i: &usize| jobs[*i].field("name").is_some() && !parent(&jobs[*i]);
        // Version 3 removes a job's children with it.
        if open.len() < FEWEST || !alike || !open.iter().all(plain) || choice.generation == Generation::V3 {
            return Ok(());
        }
        let Some(script) = self.scripts.get(choice.generation, &HEAD) else {
            return Ok(());
        };
        for piece in pieces(jobs, open, &HEAD_SCRIPT) {
            let mine: Vec<&RawJob> = piece.iter().map(|i| &jobs[*i]).collect();
            let Some(first) = mine.first() else { break };
            let told = Told::new(queue, &mine);
            let mut order = choice.order();
            order.extend(removing(choice.generation, false));
            order.extend(common(choice.generation));
            order.push(("sweep", Pack::text("clean")));
            order.push(("state", Pack::text(word(first.state))));
            order.push((
                "ids",
                Pack::List(mine.iter().map(|job| Pack::text(bytes_of(&job.id))).collect()),
            ));
            let finished = mine.iter().map(|job| Pack::Int(job.finished_on));
            order.push(("finished", Pack::List(finished.collect())));
            order.push(("shapes", Pack::List(told.shapes)));
            order.push(("exact", Pack::List(told.jobs)));
            let began = Instant::now();
            let why = match ask(&self.link, &script, queue, &Frame::default(), order).await {
                Ok(Answer::Head(letters)) => {
                    for (i, letter) in piece.iter().zip(letters.chars()) {
                        if letter == 'd' {
                            effects[*i] = Some(Effect::done());
                        }
                    }
                    if letters.is_empty() {
                        // What follows is not the oldest either.
                        break;
                    }
                    continue;
                }
                Ok(Answer::Broke(why)) => why,
                // Nothing was done. The removal one by one reports the reason for each job.
                Ok(_) => break,
                Err(silence) if !silence.sent && effects.iter().all(Option::is_none) => return Err(silence.trouble),
                Err(silence) if !silence.sent => break,
                Err(silence) => unheard(&silence.trouble),
            };
            self.confirm_all(queue, jobs, &piece, (&why, began), effects).await;
            break;
        }
        Ok(())
    }

    async fn each_as_read(
        &self,
        queue: &QueueId,
        jobs: &[RawJob],
        open: &[usize],
        choice: &Choice,
        effects: &mut [Option<Effect>],
    ) -> Result<(), Trouble> {
        let Some(script) = self.scripts.get(choice.generation, &ONE_BY_ONE) else {
            for i in open {
                effects[*i] = Some(answer::refused("This version of the library cannot do that."));
            }
            return Ok(());
        };
        let pieces = pieces(jobs, open, &SCRIPT);
        for (sent, round) in pieces.chunks(ROUND).enumerate() {
            let orders: Vec<_> = round
                .iter()
                .map(|piece| {
                    let mine: Vec<&RawJob> = piece.iter().map(|i| &jobs[*i]).collect();
                    let frame = Frame {
                        job: mine.first().map(|job| key(queue, &job.id)),
                        ..Frame::default()
                    };
                    let mut keys = script.keys(queue, &frame);
                    keys.extend(mine.iter().skip(1).map(|job| key(queue, &job.id)));
                    let told = Told::new(queue, &mine);
                    let mut order = choice.order();
                    order.extend(removing(choice.generation, false));
                    order.extend(common(choice.generation));
                    order.push(("p", Pack::text(bytes_of(queue))));
                    order.push(("shapes", Pack::List(told.shapes)));
                    order.push(("jobs", Pack::List(told.jobs)));
                    (keys, Pack::Map(order))
                })
                .collect();
            let began = Instant::now();
            match script.run(&self.link, &orders).await {
                Ok(answers) => {
                    for (piece, answer) in round.iter().zip(answers) {
                        self.take_as_read(queue, jobs, piece, (began, answer), effects).await;
                    }
                }
                // Nothing at all was sent: the caller decides when to try again.
                Err(silence) if !silence.sent && sent == 0 && effects.iter().all(Option::is_none) => {
                    return Err(silence.trouble);
                }
                Err(silence) => {
                    for i in pieces[sent * ROUND..].iter().flatten() {
                        effects[*i] = Some(answer::refused(format!(
                            "The command was not sent: {}",
                            silence.trouble
                        )));
                    }
                    if silence.sent {
                        let all: Vec<usize> = round.iter().flatten().copied().collect();
                        let why = unheard(&silence.trouble);
                        self.confirm_all(queue, jobs, &all, (&why, began), effects).await;
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn take_as_read(
        &self,
        queue: &QueueId,
        jobs: &[RawJob],
        piece: &[usize],
        (began, answer): (Instant, redis::RedisResult<Value>),
        effects: &mut [Option<Effect>],
    ) {
        let answers = match answer {
            Ok(answers) => answers,
            Err(error) => {
                for i in piece {
                    effects[*i] = Some(answer::error(&error));
                }
                return;
            }
        };
        let answers = super::reply::items(&answers);
        for (n, i) in piece.iter().enumerate() {
            effects[*i] = match answers.get(n).map(answer::read) {
                Some(Answer::Effect(effect)) => Some(effect),
                Some(Answer::Done(_) | Answer::Batch { .. } | Answer::Head(_)) => Some(Effect::done()),
                Some(Answer::OtherFamily) => None,
                Some(Answer::Broke(why)) => {
                    self.confirm_all(queue, jobs, &[*i], (&why, began), effects).await;
                    continue;
                }
                None => Some(answer::refused("The script returned no answer for this job.")),
            };
        }
    }

    /// Reads back the outcome for jobs about which no answer came.
    async fn confirm_all(
        &self,
        queue: &QueueId,
        jobs: &[RawJob],
        these: &[usize],
        (why, began): (&str, Instant),
        effects: &mut [Option<Effect>],
    ) {
        let until = confirm::deadline();
        for i in these {
            let job = (jobs[*i].id.clone(), seen(&jobs[*i]));
            let asked = (&JobAction::Archive, began);
            effects[*i] = Some(self.confirm(queue, &job, asked, why, until).await);
        }
    }
}
