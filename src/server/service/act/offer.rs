//! What a page offers to do: what makes sense now and would be tried. What would not be is said in a sentence.

use super::intent::{Intent, Target};
use super::{NotActed, Service};
use crate::model::flow::Flow;
use crate::model::form::{Offer, Offered, QueueOffer};
use crate::model::job::JobDetail;
use crate::model::now;
use crate::model::queue::{QueueRef, QueueSummary, System};
use crate::model::state::JobState;
use crate::model::store::StoreSummary;
use crate::server::audit::record::mint_id;
use crate::server::auth::who::Who;
use serde_json::{Map, Value, json};

/// How long the last thing that was asked of a queue stands beside it, in milliseconds.
const LAST_KEEP: i64 = 15 * 60_000;

/// The word of a form for a schedule that is yet to be named.
pub const NEW_SCHEDULE: &str = "schedule";

/// A word, its label, whether a page asks first, and whether it cannot be undone.
type Choice = (&'static str, &'static str, Asks, bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Nothing,
    First,
}

use Asks::{First, Nothing};

impl Service {
    /// What can be done to a job. `asked` is the id of what was asked for a moment ago.
    #[must_use]
    pub fn offer_job(
        &self,
        who: &Who,
        (line, store): (&QueueSummary, &StoreSummary),
        (job, flow): (&JobDetail, Option<&Flow>),
        asked: Option<&str>,
    ) -> Offer {
        let id = job.row.id.as_str();
        let mut all = choices(job, line.system);
        if !self.has_archive() {
            all.retain(|(word, ..)| *word != "archive");
        }
        if flow.is_some_and(Flow::failed_below) {
            // Beside the retry of the job alone, which would fail again.
            let at = all.iter().take_while(|(word, ..)| *word == "retry").count().min(1);
            all.insert(at, ("retry_children", "Retry failed children first…", First, false));
        }
        let mut offer = self.offer(who, line, store, Target::Job, id, &all);
        if job.row.state == JobState::Active && job.locked == Some(true) {
            offer.refused.push(
                "A worker is at it: what is being worked on is not touched. What waits behind it can be paused.".into(),
            );
        }
        offer.hidden = seen_fields(job);
        let last = asked.and_then(|id| self.audited(id));
        offer.last = last.filter(|entry| entry.queue == line.key() && entry.job.as_deref() == Some(id));
        offer
    }

    /// What can be done to a queue.
    #[must_use]
    pub fn offer_queue(&self, who: &Who, line: &QueueSummary, store: &StoreSummary, limited: bool) -> QueueOffer {
        let mut all: Vec<Choice> = Vec::new();
        match line.paused {
            Some(true) => all.push(("resume", "Resume", Nothing, false)),
            // What it puts into the database is told before.
            Some(false) if line.system == System::PgBoss => all.push(("pause", "Pause…", First, false)),
            Some(false) => {
                all.push(("pause", "Pause", Nothing, false));
                all.push(("pause", "Pause with a reason…", First, false));
            }
            // Both do no harm where it is the case already.
            None => all.extend([("pause", "Pause…", First, false), ("resume", "Resume…", First, false)]),
        }
        if limited {
            all.push((
                "release_rate_limit",
                "Go on although the rate limit is reached",
                Nothing,
                false,
            ));
        }
        all.extend([
            ("add", "Add a job…", First, false),
            ("concurrency", "Concurrency…", First, false),
            ("rate_limit", "Rate limit…", First, false),
            ("trim_events", "Trim events…", First, true),
            ("obliterate", "Obliterate…", First, true),
        ]);
        let key = line.key();
        let mut offer = self.offer(who, line, store, Target::Queue, "", &all);
        // A schedule that is yet to be named is asked for beside its queue.
        let plan = [("upsert", "Add a schedule…", First, false)];
        let plan = self.offer(who, line, store, Target::Schedule, "", &plan).safe;
        offer.safe.extend(plan.into_iter().map(|offered| Offered {
            word: NEW_SCHEDULE.into(),
            ..offered
        }));
        let now = now();
        offer.last = self.desk.audit.last_on_queue(&key, now - LAST_KEEP);
        let paused = self.desk.audit.last_pause(&key);
        QueueOffer {
            offer,
            paused: paused.filter(|entry| line.paused == Some(true) && entry.action == "pause"),
            now,
        }
    }

    /// What can be done to the schedules of each of these queues.
    #[must_use]
    pub fn offer_schedules(&self, who: &Who, queues: &[QueueRef]) -> Vec<(QueueRef, Offer)> {
        let choices = [
            ("run", "Run now", Nothing, false),
            ("upsert", "Change…", First, false),
            ("remove", "Remove…", First, true),
        ];
        let mut offers: Vec<(QueueRef, Offer)> = Vec::new();
        for key in queues {
            if offers.iter().any(|(of, _)| of == key) {
                continue;
            }
            let Ok((line, store, _)) = self.queue(key) else {
                continue;
            };
            let mut offer = self.offer(who, &line, &store, Target::Schedule, "", &choices);
            offer.last = self
                .desk
                .audit
                .last_on_queue(key, now() - LAST_KEEP)
                .filter(|entry| entry.schedule.is_some());
            offers.push((key.clone(), offer));
        }
        offers
    }

    /// Why an action would not be tried now; `None` if it would.
    #[must_use]
    pub fn refusal_of(&self, who: &Who, key: &QueueRef, intent: &Intent) -> Option<String> {
        let (line, store, _) = self.queue(key).ok()?;
        let refusal = self.permitted(who, key, intent).err();
        let refusal = refusal.or_else(|| self.impossible(&line, &store, intent));
        refusal.map(|refusal| refusal.parts().3)
    }

    fn offer(
        &self,
        who: &Who,
        line: &QueueSummary,
        store: &StoreSummary,
        of: Target,
        target: &str,
        choices: &[Choice],
    ) -> Offer {
        let key = line.key();
        let mut offer = Offer::default();
        for (word, label, asks, danger) in choices {
            let Some(intent) = example(of, target, word) else {
                continue;
            };
            let refusal = self.permitted(who, &key, &intent).err();
            match refusal.or_else(|| self.impossible(line, store, &intent)) {
                // The same for every action: said once.
                Some(why @ (NotActed::ReadOnly | NotActed::NotNow(_))) => {
                    offer.refused = vec![why.parts().3];
                    (offer.safe, offer.danger) = (vec![], vec![]);
                    return offer;
                }
                Some(why) => {
                    let sentence = format!("{}: {}", label.trim_end_matches('…'), why.parts().3);
                    let same = |said: &String| said.ends_with(&why.parts().3);
                    if !offer.refused.iter().any(same) {
                        offer.refused.push(sentence);
                    }
                }
                None => {
                    let offered = Offered {
                        word: (*word).into(),
                        label: (*label).into(),
                        at_once: *asks == Nothing,
                        key: intent.makes_something().then(|| mint_id(now())),
                    };
                    if *danger {
                        offer.danger.push(offered);
                    } else {
                        offer.safe.push(offered);
                    }
                }
            }
        }
        offer
    }
}

/// What makes sense for a job in its state.
fn choices(job: &JobDetail, system: System) -> Vec<Choice> {
    let mut all: Vec<Choice> = Vec::new();
    let cancel = match system {
        // It is kept and can be resumed.
        System::PgBoss => ("cancel", "Cancel…", First, false),
        _ => ("cancel", "Have it fail when taken…", First, true),
    };
    match job.row.state {
        // The library takes none of these back.
        JobState::Completed if system == System::PgBoss => all.push(("archive", "Archive…", First, false)),
        JobState::Failed | JobState::Completed => all.extend([
            ("retry", "Retry", Nothing, false),
            ("retry", "Retry with changes…", First, false),
            ("archive", "Archive…", First, false),
        ]),
        JobState::Delayed => all.extend([
            ("promote", "Run now", Nothing, false),
            ("delay", "Change the delay…", First, false),
            ("priority", "Priority…", First, false),
            cancel,
        ]),
        JobState::Waiting | JobState::Prioritized => all.extend([("priority", "Priority…", First, false), cancel]),
        JobState::Cancelled => all.push(("resume_job", "Resume", Nothing, false)),
        JobState::WaitingChildren => {
            all.push(("remove_children", "Remove children that have not begun…", First, true));
        }
        JobState::Active => {
            if job.locked == Some(false) {
                all.extend([
                    ("put_back", "Put back", Nothing, false),
                    ("fail_lost", "Fail it…", First, true),
                ]);
            }
        }
    }
    if job.effective.iter().any(|option| option.name == "source")
        && matches!(job.row.state, JobState::Waiting | JobState::Delayed)
    {
        all.insert(0, ("redrive", "Redrive", Nothing, false));
    }
    let held = job.row.state == JobState::Active;
    // pg-boss takes other data of a job that has not begun.
    let finished = matches!(
        job.row.state,
        JobState::Completed | JobState::Failed | JobState::Cancelled
    );
    let editable = !finished || system != System::PgBoss;
    if !held && editable {
        all.push(("edit_data", "Edit data…", First, false));
    }
    all.push(("duplicate", "Duplicate", Nothing, false));
    if job.dedup.as_ref().is_some_and(|dedup| dedup.owner.is_some()) {
        all.push(("remove_deduplication", "Remove deduplication key…", First, true));
    }
    if job.logs.total > 0 {
        all.push(("clear_logs", "Clear log…", First, true));
    }
    if !held {
        all.push(("remove", "Remove…", First, true));
    }
    all
}

/// An action as it would be with nothing unusual given, to ask whether it would be tried.
#[must_use]
pub fn example(of: Target, target: &str, word: &str) -> Option<Intent> {
    let fields = match (of, word) {
        (_, "delay") => json!({"ms": 0}),
        (_, "priority") => json!({"priority": 0}),
        (_, "edit_data") => json!({"data": "{}"}),
        (_, "fail_lost" | "cancel") => json!({"error": "?"}),
        (_, "add") => json!({"name": "?", "data": "{}"}),
        (_, "concurrency" | "rate_limit") => json!({"limit": null}),
        (_, "trim_events") => json!({"keep": 0}),
        (_, "obliterate") => json!({"name": ""}),
        (_, "upsert") => json!({"name": "?", "data": "{}", "every_ms": 1000}),
        _ => Value::Object(Map::new()),
    };
    let Value::Object(fields) = fields else { return None };
    Intent::read(of, target, word, fields).ok()
}

/// A job as it is shown, for a form.
#[must_use]
pub fn seen_fields(job: &JobDetail) -> Vec<(String, String)> {
    let mut fields = vec![
        ("seen_state".into(), job.row.state.to_string()),
        ("seen_attempts".into(), job.row.attempts.to_string()),
    ];
    // A job that was retried keeps the moment it last finished; it says nothing about now.
    if let Some(at) = job
        .row
        .finished
        .filter(|_| matches!(job.row.state, JobState::Completed | JobState::Failed))
    {
        fields.push(("seen_finished_on".into(), at.to_string()));
    }
    fields
}
