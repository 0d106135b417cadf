//! What a script answered, as an [`Effect`] with its sentence.

use super::super::super::redis::reply;
use crate::model::action::Effect;
use crate::model::job::cut;
use crate::server::redact::said;
use redis::{RedisError, Value};

/// Characters of somebody else's text that are repeated in a sentence.
const SHOWN: usize = 200;

/// An answer, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It says what became of the job.
    Effect(Effect),
    /// Done, with a number that the library gave.
    Done(i64),
    /// What a batch of a sweep did, and whether there may be more.
    Swept(u64, bool),
    /// What became of many at once: a letter for each, "d" for done.
    Head(String),
    /// The queue is not laid out as it was when the scripts were chosen: nothing was done.
    OtherFamily,
    /// The library's script broke off: some of it may be done.
    Broke(String),
}

/// Reads one answer.
pub(super) fn read(answer: &Value) -> Answer {
    let items = reply::items(answer);
    let word = |i: usize| items.get(i).and_then(reply::exact).unwrap_or_default();
    let first = word(0);
    let effect = match first.as_str() {
        "done" if items.len() > 3 => return Answer::Swept(word(2).parse().unwrap_or(0), word(3) == "1"),
        "done" if items.len() > 2 => return Answer::Done(word(2).parse().unwrap_or(0)),
        "done" => done(Some(word(1)).filter(|job| !job.is_empty())),
        "already" => Effect::Already {
            now: already(&word(1), &word(2)),
        },
        "changed" => Effect::Changed {
            now: changed(&word(1), &word(2)),
        },
        "head" => return Answer::Head(word(1)),
        "gone" => Effect::Gone,
        "locked" => Effect::Locked {
            by: held(&word(1), &word(2)),
        },
        "refused" => refused(reason(&word(1), &word(2))),
        "family" => return Answer::OtherFamily,
        "broke" => return broke(&word(1)),
        other => return Answer::Broke(format!("an answer that is not understood: {}", cut(other, SHOWN))),
    };
    Answer::Effect(effect)
}

/// An effect that nothing more is to be said of.
pub(super) fn done(job: Option<String>) -> Effect {
    Effect::Done { job }
}

/// A refusal with its sentence.
pub(super) fn refused(reason: impl Into<String>) -> Effect {
    Effect::Refused { reason: reason.into() }
}

fn now(state: &str) -> String {
    match state {
        "paused" => "The queue is paused already.".into(),
        "running" => "The queue is not paused.".into(),
        "waiting-children" => "It waits for its children.".into(),
        "nowhere" => "Its record is there, but it is in no state.".into(),
        "same" => "It is so already.".into(),
        state => format!("It is {state} now."),
    }
}

fn already(state: &str, detail: &str) -> String {
    match state {
        "free" => "No deduplication key is held any more.".into(),
        "no_children" => "It waits for no children.".into(),
        "id_taken" => "There is a job with this id already.".into(),
        "dedup" => format!(
            "The job {} stands for it: it has the same deduplication id.",
            cut(detail, SHOWN)
        ),
        state => now(state),
    }
}

fn changed(state: &str, why: &str) -> String {
    match why {
        "bytes" => "It was changed after it was read for the archive, and was left alone.".into(),
        _ if state == "edited" => "Its options were changed a moment ago.".into(),
        "finished" => format!("It is {state} again, since another moment than the one shown."),
        "attempts" => format!("It is {state}, and was tried again since it was shown."),
        _ => now(state),
    }
}

fn held(token: &str, child: &str) -> String {
    if !child.is_empty() {
        return format!("A worker is running one of its children, {}.", cut(child, SHOWN));
    }
    // BullMQ's tokens are a worker's id and a count.
    match token.rsplit_once(':').map_or(token, |(worker, _)| worker) {
        "" => "A worker holds it or one of its children.".into(),
        worker => format!("The worker {} holds it.", cut(worker, SHOWN)),
    }
}

fn reason(code: &str, detail: &str) -> String {
    let detail = cut(detail, SHOWN);
    match code {
        "type" => format!("The key {detail} holds another type than the library keeps there; nothing was done. Look at what wrote it."),
        "meta" => "The queue's settings hold something that is no number where the library needs one; nothing was done. Look at the fields opts.maxLenEvents and concurrency of its meta key.".into(),
        "old_data" => format!("Its data are {detail} bytes, too many to keep in its log. Duplicate the job with other data instead."),
        "undecided" => "This job was made by a version before 5, but nothing in the store tells which; a wrong guess could lose it. Do it while a worker of the queue is connected, or with the library itself.".into(),
        "schedule" => "A schedule goes on from this job: without it the schedule would never run again. Remove the schedule instead.".into(),
        "children" => format!("It has {detail} or more jobs below it, too many to remove in one step without holding up the store. Remove its children first."),
        "children_twice" => format!("The job {detail} is below it twice; the library would not find its way. Remove the children one by one."),
        "always_children" => "This generation removes a job's children with it. Ask for that, or leave the job.".into(),
        "child_id" => format!("The library cannot tell the queue of its child {detail} from the child's id. Remove the children one by one."),
        "parent_id" => format!("The library cannot tell the queue of its parent {detail} from the parent's id, and would leave it waiting for ever."),
        "parent_family" => format!("Its parent {detail} would go on in a paused queue of another generation, where it would be lost. Resume that queue first."),
        "pause_over" => format!("Its list of paused jobs still holds {detail}, over which this generation's pause would write. Move them first, for example by obliterating or resuming with the library that put them there."),
        "resume_over" => format!("{detail} jobs came into its waiting list while it was paused, over which this generation's resume would write. Remove or move them first."),
        "other_list" => "It stands in a list where this generation does not look for it: jobs of another generation are mixed in. Resume the queue first.".into(),
        "parent" => "What its record says of its parent cannot be read, and the library would break off in the middle.".into(),
        "child_failed" => format!("The job {detail} below it is failed: without that one it would fail again, or wait for ever."),
        "holds_parent" => format!("Its parent {detail} still waits for it and would go on without it. Retry the job, or remove it if that is what you want."),
        "parent_runs" => format!("Its parent {detail} is neither failed nor waiting: it goes on without this one, and would fail if this one came back."),
        "cancel_old" => format!("Workers heed a cancelled job since BullMQ 5.50; this queue was last opened by {detail}. Remove the job instead."),
        "too_old" => format!("That came with a later release than the one that opened this queue last, {detail}."),
        "no_dedup" => "The job was added without a deduplication id.".into(),
        "dedup_of" => format!("The deduplication key belongs to the job {detail} by now."),
        "id_taken" => format!("The next number, {detail}, is the id of another job already."),
        "no_schedule" => "There is no such schedule any more.".into(),
        "paused_iteration" => "The queue is paused, and the schedule's next job is not delayed any more: the library would add a second one beside it. Resume the queue first.".into(),
        "not_paused" => "Pause the queue first.".into(),
        "active" => "Jobs are running. Wait until they end, or ask for it although they run.".into(),
        "library" => format!("The library's script refused it with {detail}."),
        other => format!("It was refused: {}.", cut(other, SHOWN)),
    }
}

/// What a script raised after the guard had let it through.
fn broke(says: &str) -> Answer {
    match before_any_write(says) {
        Some(reason) => Answer::Effect(refused(reason)),
        None => Answer::Broke(cut(says, SHOWN)),
    }
}

/// Why a server takes no writes: it says so at the first one, so that nothing was done.
fn before_any_write(says: &str) -> Option<String> {
    let says = says.trim_start_matches('-');
    Some(match says.split([' ', ':']).next().unwrap_or_default() {
        "OOM" => {
            "The server is out of memory (maxmemory) and takes nothing in. Free memory first; removing jobs works."
                .into()
        }
        "READONLY" => "The server is a read-only replica. Point Drover at the primary.".into(),
        "MISCONF" => "The server cannot save to its disk and takes no writes.".into(),
        "NOREPLICAS" => "The server has too few replicas in good state and takes no writes.".into(),
        _ => return None,
    })
}

/// What an error that came instead of an answer means: the server did nothing.
pub(super) fn error(error: &RedisError) -> Effect {
    let says = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    let whole = format!("{} {says}", error.code().unwrap_or_default());
    refused(match error.code().unwrap_or_default() {
        _ if before_any_write(&whole).is_some() => before_any_write(&whole).unwrap_or_default(),
        "NOPERM" => format!(
            "Drover's user may not do that on this server: {}. deploy/redis/users.acl has a user with all that an operator needs.",
            cut(&said(&says), SHOWN)
        ),
        "BUSY" => "The server is running somebody's script and answers nobody until it ends.".into(),
        "LOADING" => "The server is loading its data.".into(),
        "MASTERDOWN" => "The server is a replica that has lost its primary.".into(),
        "WRONGTYPE" => "A key of the queue holds another type than the library keeps there.".into(),
        _ => format!("The server refused it: {}", cut(&said(&whole), SHOWN)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(words: &[&str]) -> Answer {
        let words = words.iter().map(|word| Value::BulkString(word.as_bytes().to_vec()));
        read(&Value::Array(words.collect()))
    }

    #[test]
    fn answers_are_told_in_sentences() {
        assert_eq!(answer(&["done"]), Answer::Effect(done(None)));
        assert_eq!(answer(&["done", "17"]), Answer::Effect(done(Some("17".into()))));
        assert_eq!(answer(&["done", "", "3"]), Answer::Done(3));
        assert_eq!(answer(&["gone"]), Answer::Effect(Effect::Gone));
        assert_eq!(answer(&["family"]), Answer::OtherFamily);
        let by = "The worker 7f-3 holds it.".to_owned();
        assert_eq!(answer(&["locked", "7f-3:12"]), Answer::Effect(Effect::Locked { by }));
        let now = "It is failed again, since another moment than the one shown.".to_owned();
        assert_eq!(
            answer(&["changed", "failed", "finished"]),
            Answer::Effect(Effect::Changed { now })
        );
    }

    #[test]
    fn a_server_that_takes_no_writes_has_done_nothing() {
        let oom = answer(&["broke", "OOM command not allowed when used memory > 'maxmemory'."]);
        assert!(matches!(oom, Answer::Effect(Effect::Refused { .. })));
        assert!(matches!(
            answer(&["broke", "ERR value is not an integer"]),
            Answer::Broke(_)
        ));
    }
}
