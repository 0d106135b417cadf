//! Changing things: every action is one script that checks first and then runs the library's own text.
//!
//! Three things to know before reading this module. A wrong guess about a queue's generation loses jobs, so [`choose`]
//! looks at the queue for every action and the guard inside the script looks once more. A script that breaks off keeps
//! what it has written, so the guard looks at every type and number before the library's text begins. And a missing
//! answer says nothing about the outcome, so [`confirm`] reads the outcome back.
//!
//! - [`library`]: the libraries' scripts, embedded by the build; [`script`]: one action as one script
//! - `lua/guard.lua`: what each begins with; `lua/*.lua`: one step for each action
//! - [`jobs`], [`queue`], [`schedule`], [`add`]: the actions; [`head`]: many finished jobs at once; [`obliterate`]: a whole
//!   queue; [`exact`]: the removal of jobs that are exactly what was read of them
//! - [`needs`]: the commands that all of these run
//! - [`confirm`], [`sign`]: the outcome of an action whose answer did not come
//! - [`answer`]: what was answered, in sentences; [`pack`]: MessagePack

use super::super::flow::InFlow;
use super::super::redis::link::{Link, Silence};
use super::super::redis::reply;
use super::super::{QueueId, Trouble};
use super::capabilities;
use super::{BullMq, key};
use crate::model::action::catalogue::ActionKind;
use crate::model::action::{Effect, JobAction, QueueAction, Seen};
use crate::model::exact::bytes_of;
use crate::model::state::JobState;
use answer::Answer;
use choose::{Choice, Purpose};
use pack::Pack;
use script::{Composed, Frame};
use sign::Sign;
use tokio::time::Instant;

mod add;
mod answer;
mod choose;
mod confirm;
mod exact;
mod head;
mod jobs;
mod library;
pub(super) mod needs;
mod obliterate;
mod pack;
mod queue;
mod schedule;
mod script;
mod sign;

pub(super) use add::{copied_options, renewed};
pub use library::LICENCES;
pub use script::Scripts;

/// How often an action reads a queue again when it turns out to be laid out differently.
const TRIES: usize = 3;

/// Scripts sent in one round trip.
const ROUND: usize = 40;

impl BullMq {
    /// [`Act::on_jobs`](super::super::Act::on_jobs).
    pub(super) async fn act_on_jobs(
        &self,
        queue: &QueueId,
        jobs: &[(String, Seen)],
        action: &JobAction,
    ) -> Result<Vec<Effect>, Trouble> {
        self.act_at(queue, jobs, action, None).await
    }

    /// [`Flows::retry`](super::super::Flows::retry).
    pub(super) async fn retry_at(
        &self,
        queue: &QueueId,
        jobs: &[(String, Seen)],
        place: InFlow,
    ) -> Result<Vec<Effect>, Trouble> {
        let retry = JobAction::Retry {
            reset_attempts: false,
            data: None,
        };
        self.act_at(queue, jobs, &retry, Some(place)).await
    }

    async fn act_at(
        &self,
        queue: &QueueId,
        jobs: &[(String, Seen)],
        action: &JobAction,
        place: Option<InFlow>,
    ) -> Result<Vec<Effect>, Trouble> {
        let mut effects: Vec<Option<Effect>> = vec![None; jobs.len()];
        for attempt in 0..TRIES {
            let open: Vec<usize> = (0..jobs.len()).filter(|i| effects[*i].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let looked = choose::look(&self.link, &self.layouts, queue).await;
            let look = match looked {
                Ok(look) => look,
                Err(trouble) if attempt == 0 => return Err(trouble),
                Err(_) => break,
            };
            let refusal = place.and_then(|_| capabilities::refusal(look.family.layout, ActionKind::RetryChildren));
            let refusal = refusal.or_else(|| capabilities::refusal(look.family.layout, action.kind()));
            let choice = match (refusal, choose::choose(&look, Purpose::Enqueue)) {
                (None, Ok(choice)) => choice,
                // With the queue its jobs are gone.
                _ if !look.exists => {
                    effects
                        .iter_mut()
                        .for_each(|effect| _ = effect.get_or_insert(Effect::Gone));
                    break;
                }
                (Some(reason), _) | (None, Err(reason)) => {
                    let refused = || answer::refused(reason);
                    effects
                        .iter_mut()
                        .for_each(|effect| _ = effect.get_or_insert_with(refused));
                    break;
                }
            };
            if let JobAction::Duplicate(changes) = action {
                for i in open {
                    effects[i] = match self.duplicate(queue, &jobs[i], changes, &choice).await {
                        Ok(effect) => effect,
                        Err(trouble) if effects.iter().all(Option::is_none) => return Err(trouble),
                        Err(trouble) => Some(answer::refused(format!("The command was not sent: {trouble}"))),
                    };
                }
                continue;
            }
            if place.is_none() {
                self.try_head(queue, jobs, &open, action, &choice, &mut effects).await?;
            }
            let rest: Vec<usize> = open.into_iter().filter(|i| effects[*i].is_none()).collect();
            self.try_jobs(queue, jobs, &rest, (action, place), &choice, &mut effects)
                .await?;
        }
        Ok(effects
            .into_iter()
            .map(|effect| effect.unwrap_or_else(unsettled))
            .collect())
    }

    /// Acts on the jobs at `open`, and leaves those open for which the choice was wrong.
    async fn try_jobs(
        &self,
        queue: &QueueId,
        jobs: &[(String, Seen)],
        open: &[usize],
        (action, place): (&JobAction, Option<InFlow>),
        choice: &Choice,
        effects: &mut [Option<Effect>],
    ) -> Result<(), Trouble> {
        let generation = choice.generation;
        let plan = match place {
            Some(place) => Some(jobs::plan_in_flow(place, generation)),
            None => jobs::plan(action, generation, choice.looked_paused),
        };
        let ready = plan.and_then(|plan| Some((self.scripts.get(generation, plan.recipe)?, plan)));
        let Some((script, plan)) = ready else {
            for i in open {
                effects[*i] = Some(answer::refused("This version of the library cannot do that."));
            }
            return Ok(());
        };
        let batches: Vec<&[usize]> = open.chunks(plan.batch).collect();
        for (sent, round) in batches.chunks(ROUND).enumerate() {
            let orders: Vec<_> = round
                .iter()
                .map(|batch| {
                    let batch: Vec<_> = batch.iter().map(|i| &jobs[*i]).collect();
                    order(&script, queue, &batch, choice, &plan.order)
                })
                .collect();
            let began = Instant::now();
            match script.run(&self.link, &orders).await {
                Ok(answers) => {
                    for (batch, answer) in round.iter().zip(answers) {
                        self.take(queue, jobs, batch, (action, began), answer, effects).await;
                    }
                }
                // Nothing at all was sent: the caller decides when to try again.
                Err(silence) if !silence.sent && sent == 0 && effects.iter().all(Option::is_none) => {
                    return Err(silence.trouble);
                }
                Err(silence) => {
                    let of_round: Vec<usize> = round.iter().flat_map(|batch| batch.iter().copied()).collect();
                    let rest = batches[sent * ROUND..].iter().flat_map(|batch| batch.iter().copied());
                    for i in rest.filter(|i| !silence.sent || !of_round.contains(i)) {
                        effects[i] = Some(answer::refused(format!(
                            "The command was not sent: {}",
                            silence.trouble
                        )));
                    }
                    if silence.sent {
                        let (why, until) = (unheard(&silence.trouble), confirm::deadline());
                        for i in of_round {
                            effects[i] = Some(self.confirm(queue, &jobs[i], (action, began), &why, until).await);
                        }
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes in the answers to one script.
    async fn take(
        &self,
        queue: &QueueId,
        jobs: &[(String, Seen)],
        batch: &[usize],
        asked: (&JobAction, Instant),
        answer: redis::RedisResult<redis::Value>,
        effects: &mut [Option<Effect>],
    ) {
        let answers = match answer {
            Ok(answers) => answers,
            Err(error) => {
                for i in batch {
                    effects[*i] = Some(answer::error(&error));
                }
                return;
            }
        };
        let answers = reply::items(&answers);
        let until = confirm::deadline();
        for (n, i) in batch.iter().enumerate() {
            effects[*i] = match answers.get(n).map(answer::read) {
                Some(Answer::Effect(effect)) => Some(effect),
                Some(Answer::Done(_) | Answer::Batch { .. } | Answer::Head(_)) => Some(Effect::done()),
                Some(Answer::OtherFamily) => None,
                Some(Answer::Broke(why)) => Some(self.confirm(queue, &jobs[*i], asked, &why, until).await),
                None => Some(answer::refused("The script returned no answer for this job.")),
            };
        }
    }

    /// [`Act::on_queue`](super::super::Act::on_queue).
    pub(super) async fn act_on_whole(&self, queue: &QueueId, action: &QueueAction) -> Result<Effect, Trouble> {
        if let Some(new) = match action {
            QueueAction::Add(new) => Some(new),
            _ => None,
        } {
            return self.add(queue, new).await;
        }
        if let QueueAction::Obliterate { force, .. } = action {
            return self.obliterate(queue, *force).await;
        }
        let look = choose::look(&self.link, &self.layouts, queue).await?;
        if let Some(reason) = capabilities::refusal(look.family.layout, action.kind()).filter(|_| look.exists) {
            return Ok(answer::refused(reason));
        }
        queue::act(&self.link, &self.layouts, &self.scripts, queue, action).await
    }
}

/// The keys and the order of one script.
fn order(
    script: &Composed,
    queue: &QueueId,
    jobs: &[&(String, Seen)],
    choice: &Choice,
    plan: &[(&'static str, Pack)],
) -> (Vec<Vec<u8>>, Pack) {
    let frame = Frame {
        job: jobs.first().map(|(id, _)| key(queue, id)),
        ..Frame::default()
    };
    let mut keys = script.keys(queue, &frame);
    keys.extend(jobs.iter().skip(1).map(|(id, _)| key(queue, id)));
    let mut order = choice.order();
    order.extend(plan.iter().cloned());
    order.push(("p", Pack::text(bytes_of(queue))));
    order.push((
        "jobs",
        Pack::List(jobs.iter().map(|(id, seen)| target(queue, id, seen)).collect()),
    ));
    (keys, Pack::Map(order))
}

/// A job as the guard takes it.
fn target(queue: &QueueId, id: &str, seen: &Seen) -> Pack {
    let mut job = vec![("id", Pack::text(bytes_of(id))), ("key", Pack::Text(key(queue, id)))];
    if let Some(state) = seen.state {
        job.push(("state", Pack::text(word(state))));
    }
    if let Some(finished) = seen.finished_on {
        job.push(("finished", Pack::Int(finished)));
    }
    if let Some(attempts) = seen.attempts {
        job.push(("attempts", Pack::Int(i64::try_from(attempts).unwrap_or(i64::MAX))));
    }
    Pack::Map(job)
}

/// What the guard calls a state: what its set is called, where it has one.
const fn word(state: JobState) -> &'static str {
    match state {
        JobState::WaitingChildren => "waiting-children",
        other => other.as_str(),
    }
}

/// Runs a script that concerns one job, or no job in particular.
async fn ask(
    link: &Link,
    script: &Composed,
    queue: &QueueId,
    frame: &Frame,
    mut order: Vec<(&'static str, Pack)>,
) -> Result<Answer, Silence> {
    order.push(("p", Pack::text(bytes_of(queue))));
    if !order.iter().any(|(name, _)| *name == "jobs") {
        let no_job = Pack::Map(vec![("key", Pack::Text(key(queue, ""))), ("id", Pack::text(""))]);
        order.push(("jobs", Pack::List(vec![no_job])));
    }
    let orders = [(script.keys(queue, frame), Pack::Map(order))];
    let answers = script.run(link, &orders).await?;
    Ok(match answers.first() {
        Some(Ok(answers)) => reply::items(answers)
            .first()
            .map_or_else(|| Answer::Broke(answer::NOT_UNDERSTOOD.into()), answer::read),
        Some(Err(error)) => Answer::Effect(answer::error(error)),
        None => Answer::Broke(answer::NOT_UNDERSTOOD.into()),
    })
}

/// The same; where no answer comes, or the library's script breaks off, it reads the outcome back.
async fn one(
    link: &Link,
    script: &Composed,
    queue: &QueueId,
    frame: &Frame,
    order: Vec<(&'static str, Pack)>,
    sign: &Sign,
) -> Result<Answer, Trouble> {
    let why = match ask(link, script, queue, frame, order).await {
        Ok(Answer::Broke(why)) => why,
        Ok(answer) => return Ok(answer),
        Err(Silence { trouble, sent: false }) => return Err(trouble),
        Err(Silence { trouble, .. }) => unheard(&trouble),
    };
    Ok(Answer::Effect(sign::settle(link, queue, sign, &why).await))
}

/// That something was sent and not answered.
fn unheard(trouble: &Trouble) -> String {
    format!("The command was sent, but no answer came: {trouble}")
}

/// When a queue's layout does not hold still.
fn unsettled() -> Effect {
    answer::refused(UNSETTLED)
}

const UNSETTLED: &str = "The data in the store points to a different version of the library each time it is read, and a wrong guess could lose jobs. Use the library itself.";
