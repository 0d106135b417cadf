//! What a script answered, as an [`Effect`] with its sentence.
//!
//! Codes of the library and errors of the server are never repeated: each becomes what it means for the operator, with the
//! next step, and the log has its own words.

use super::super::super::redis::reply;
use super::super::super::redis::script::{before_any_write, refusal};
use crate::model::action::Effect;
use crate::model::format;
use crate::model::job::cut;
use crate::server::redact::said;
use redis::{RedisError, Value};

/// Characters of a foreign text that a sentence repeats.
const SHOWN: usize = 200;

/// An answer, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The effect on the job.
    Effect(Effect),
    /// Done, with a number that the library gave.
    Done(i64),
    /// What a batch of the removal of a queue did.
    Batch {
        /// Jobs that it removed.
        done: u64,
        /// Whether there may be more.
        more: bool,
        /// Jobs that are left, where there is no more that the library removes.
        left: u64,
    },
    /// The outcome of many at once: a letter for each, "d" for done.
    Head(String),
    /// The queue is not laid out as it was when the scripts were chosen: nothing was done.
    OtherFamily,
    /// The library's script broke off, so that some of it may be done: a sentence that says so.
    Broke(String),
}

/// The sentence for an answer that no script of ours gives.
pub(super) const NOT_UNDERSTOOD: &str = "The server sent an answer that Drover does not understand.";

/// Reads one answer.
pub(super) fn read(answer: &Value) -> Answer {
    let items = reply::items(answer);
    let word = |i: usize| items.get(i).and_then(reply::exact).unwrap_or_default();
    let first = word(0);
    let effect = match first.as_str() {
        "batch" => {
            return Answer::Batch {
                done: word(1).parse().unwrap_or(0),
                more: word(2) == "1",
                left: word(3).parse().unwrap_or(0),
            };
        }
        "did" => {
            let counts: Vec<u64> = (2..items.len()).map(|i| word(i).parse().unwrap_or(0)).collect();
            Effect::noted(did(&word(1), &counts))
        }
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
        "refused" if matches!(word(1).as_str(), "children" | "events") && items.len() > 3 => {
            let counts: Vec<u64> = (2..items.len()).map(|i| word(i).parse().unwrap_or(0)).collect();
            refused(did(&word(1), &counts))
        }
        "refused" if word(1) == "library" => refused(library(&word(2), &word(3))),
        "refused" => refused(reason(&word(1), &word(2))),
        "family" => return Answer::OtherFamily,
        "broke" => return broke(&word(1)),
        other => {
            tracing::warn!(answer = cut(other, SHOWN), "a script answered with something unknown");
            return Answer::Broke(NOT_UNDERSTOOD.into());
        }
    };
    Answer::Effect(effect)
}

/// An effect without further explanation.
pub(super) const fn done(job: Option<String>) -> Effect {
    Effect::Done { job, note: None }
}

/// How much was changed and what was left, as a step counted it.
fn did(what: &str, counts: &[u64]) -> String {
    let count = |i: usize| counts.get(i).copied().unwrap_or(0);
    let removed = |one: &str, many: &str| match count(0) {
        0 => "None was removed.".to_owned(),
        n => format!("{} removed.", format::counted(n, one, many)),
    };
    match what {
        "below" => format!(
            "{} removed with it.",
            format::counted(count(0), "job below it was", "jobs below it were")
        ),
        "events" => format!(
            "{} {} kept: Redis removes events in whole blocks only.",
            removed("event was", "events were"),
            format::counted(count(1), "is", "are")
        ),
        "children" => {
            let (running, failed, left) = (count(1), count(2), count(3));
            let other = left.saturating_sub(running + failed);
            let kinds = [
                (running, "is running", "are running"),
                (failed, "has failed", "have failed"),
                (other, "is in another state", "are in another state"),
            ];
            let kinds: Vec<String> = kinds
                .into_iter()
                .filter(|(n, ..)| *n > 0)
                .map(|(n, one, many)| format::counted(n, one, many))
                .collect();
            let kinds = format::all(kinds.iter().map(String::as_str));
            let removed = removed("child was", "children were");
            match (left, failed) {
                (0, _) => removed,
                (_, 0) => format!("{removed} {kinds}; only children that have not started are removed."),
                _ => format!(
                    "{removed} {kinds}; only children that have not started are removed. Retry the failed ones, or \
                     remove each on its own page."
                ),
            }
        }
        _ => removed("job was", "jobs were"),
    }
}

/// A refusal with its sentence.
pub(super) fn refused(reason: impl Into<String>) -> Effect {
    Effect::Refused { reason: reason.into() }
}

fn now(state: &str) -> String {
    match state {
        "paused" => "The queue is already paused.".into(),
        "running" => "The queue is not paused.".into(),
        "waiting-children" => "It is waiting for its children.".into(),
        "nowhere" => "Its record exists, but it is in no state.".into(),
        "same" => "No change was needed.".into(),
        state => format!("It is {state} now."),
    }
}

fn already(state: &str, detail: &str) -> String {
    match state {
        "free" => "It no longer holds a deduplication key.".into(),
        "no_children" => "It is not waiting for children.".into(),
        "id_taken" => "A job with this id already exists.".into(),
        "dedup" => format!("Job {} already has this deduplication id.", cut(detail, SHOWN)),
        state => now(state),
    }
}

fn changed(state: &str, why: &str) -> String {
    match why {
        "bytes" => "It changed after it was read for the archive, so it was not touched.".into(),
        _ if state == "edited" => "Its options were changed a moment ago.".into(),
        "finished" => format!("It is {state} again, but at a different time than shown."),
        "attempts" => format!("It is {state}, but has had another attempt since it was shown."),
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
        "type" => format!("The key {detail} has a different type than the library expects; nothing was done. Check what wrote it."),
        "meta" => "A setting of the queue is not a number where the library needs one; nothing was done. Check the fields opts.maxLenEvents and concurrency of its meta key.".into(),
        "old_data" => format!("Its data has {detail} bytes, too many to keep in its log. Duplicate the job with other data instead."),
        "undecided" => "This job was created by a version before 5, but the store does not show which; a wrong guess could lose it. Try again while a worker of the queue is connected, or use the library itself.".into(),
        "schedule" => "A schedule continues from this job and would never run again without it. Remove the schedule instead.".into(),
        "children" => format!("It has {detail} or more jobs below it, too many to remove in one step without blocking the store. Remove its children first."),
        "children_twice" => format!("Job {detail} appears twice below it, which the library cannot handle. Remove the children one by one."),
        "always_children" => "This version of the library always removes a job's children with it. Choose to remove them too, or keep the job.".into(),
        "own_id" => format!("The library cannot determine its queue from its id {detail} and would leave it waiting forever."),
        "many_children" => format!("It waits for {detail} children, too many to check in one step without blocking the store."),
        "children_fine" => "None of the children it waits for has failed or is missing.".into(),
        "child_gone" => format!("One of its children is missing, and the library drops it only together with the unfinished ones, {detail} here. Try again when these have finished, or remove the children that have not started."),
        "child_id" => format!("The library cannot determine the queue of its child {detail} from the child's id. Remove the children one by one."),
        "parent_id" => format!("The library cannot determine the queue of its parent {detail} from the parent's id and would leave it waiting forever. Remove the job with the library itself."),
        "parent_family" => format!("Its parent {detail} would continue in a paused queue of another library version and be lost there. Resume that queue first."),
        "relative" => format!("Its parent or child {detail} is in a queue of a library that this version of Drover does not know. Use that library to change it."),
        "pause_over" => format!("Its list of paused jobs still holds {detail}, which this library version's pause would overwrite. Move them first, for example by obliterating or resuming with the library that put them there."),
        "resume_over" => format!("While it was paused, its waiting list grew (jobs: {detail}); this library version's resume would overwrite those jobs. Remove or move them first."),
        "other_list" => "It is in a list that this library version does not check: jobs of another version are mixed in. Resume the queue first.".into(),
        "parent" => "The parent in its record cannot be read, and the library would stop halfway. Remove the job instead.".into(),
        "child_failed" => format!("Job {detail} below it has failed: without that one it would fail again or wait forever."),
        "holds_parent" => format!("Its parent {detail} still waits for it and would run without it. Retry the job, or remove it if that is what you want."),
        "parent_runs" => format!("Its parent {detail} is neither failed nor waiting: it continues without this job and would fail if this job came back."),
        "cancel_old" => format!("Cancelling needs BullMQ 5.50 or newer; this queue was last opened by {detail}. Remove the job instead."),
        "too_old" => format!("This needs a newer release than {detail}, which last opened this queue. Upgrade the library first."),
        "no_dedup" => "The job was added without a deduplication id.".into(),
        "dedup_of" => format!("The deduplication key now belongs to job {detail}. Remove it on that job's page."),
        "id_taken" => format!("The next id, {detail}, already belongs to another job. Add the job with a custom id."),
        "no_schedule" => "This schedule no longer exists. Reload the page.".into(),
        "paused_iteration" => "The queue is paused, and the schedule's next job is no longer delayed: the library would add a second one. Resume the queue first.".into(),
        "not_paused" => "Pause the queue first.".into(),
        "active" => "Jobs are running. Wait until they end, or use force.".into(),
        "obliterate_parents" => format!(
            "{} for a job of another queue, which this library version would remove with its parent. Remove those \
             parents first, with their children.",
            format::counted(detail.parse().unwrap_or(0), "parent waits", "parents wait")
        ),
        "schedule_stays" => "The library's script did not remove the schedule. Reload the page; if the schedule is still there, remove it with the library itself.".into(),
        other => {
            tracing::warn!(code = other, "a script refused an action for a reason without a sentence");
            "The job's current state does not allow this; nothing was done. Reload the page and check the job.".into()
        }
    }
}

/// What the library means by the number with which it refuses, as all generations of BullMQ count them (`ErrorCode`).
fn library(code: &str, detail: &str) -> String {
    let detail = cut(detail, SHOWN);
    match code {
        "-1" => "The library no longer finds the job; nothing was done. Reload the page.".into(),
        "-2" | "-6" => "The job's lock has just changed hands; nothing was done. Reload the page to see which worker runs it.".into(),
        "-3" => "The library no longer finds the job in that state; nothing was done. Reload the page.".into(),
        "-4" => "It has children that have not finished; nothing was done. Retry or remove those first.".into(),
        "-5" => "Its parent no longer exists; nothing was done. Add the job without a parent.".into(),
        "-7" => "A job with this id belongs to another parent; nothing was done. Choose another id.".into(),
        "-8" => reason("schedule", ""),
        "-9" => "It has children that failed; nothing was done. Retry those first.".into(),
        "-10" => format!(
            "The schedule's next job would be {detail}, but a job with this id has already started or finished; \
             nothing was saved. Remove that job, or save the schedule again after that time."
        ),
        "-11" => "Each of the schedule's next 32 run times already has a job that has started or finished; nothing was saved. Remove the schedule's finished jobs, then save it again.".into(),
        code => {
            tracing::warn!(code, "the library refused an action for a reason that Drover does not know");
            "The library refused it for a reason that this release of Drover does not know; nothing was done. Try it with the library itself.".into()
        }
    }
}

/// What a script raised after the guard had let it through.
fn broke(says: &str) -> Answer {
    match before_any_write(says) {
        Some(reason) => Answer::Effect(refused(reason)),
        None => {
            tracing::warn!(says = said(&cut(says, SHOWN)), "a script of the library broke off");
            let what = if says.contains("WRONGTYPE") {
                "a key of a different type than the library expects"
            } else {
                "unexpected data in the store, such as text where a number belongs"
            };
            Answer::Broke(format!(
                "The library's script stopped at {what}: a part of the action may be done."
            ))
        }
    }
}

/// What an error that came instead of an answer means: the server did nothing.
pub(super) fn error(error: &RedisError) -> Effect {
    refused(refusal(error, "deploy/redis/users.acl"))
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
        let now = "It is failed again, but at a different time than shown.".to_owned();
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

    /// Whether a sentence holds a word of the library or the server that only their source explains.
    fn is_raw(text: &str) -> bool {
        let code = |word: &str| {
            word.strip_prefix('-')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        ["user_script", "WRONGTYPE", "ERR ", "Lua"]
            .iter()
            .any(|raw| text.contains(raw))
            || text.split_whitespace().any(code)
    }

    #[test]
    fn no_code_of_the_library_and_no_error_of_the_server_is_repeated() {
        let text = |answer: Answer| match answer {
            Answer::Effect(Effect::Refused { reason }) | Answer::Broke(reason) => reason,
            other => panic!("{other:?}"),
        };
        for code in -20..=3 {
            let reason = text(answer(&["refused", "library", &code.to_string(), "repeat:a:1"]));
            assert!(!is_raw(&reason) && reason.ends_with('.'), "{code}: {reason}");
        }
        let collision = text(answer(&["refused", "library", "-10", "repeat:a:1700000000000"]));
        assert!(collision.contains("repeat:a:1700000000000"), "{collision}");
        for says in [
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "ERR user_script:485: attempt to index a userdata value script: 3f, on @user_script:485.",
            "user_script:485: bad argument",
        ] {
            let reason = text(answer(&["broke", says]));
            assert!(!is_raw(&reason) && reason.contains("may be done"), "{reason}");
            let server = RedisError::from((redis::ErrorKind::UnexpectedReturnType, "refused", says.to_owned()));
            let Effect::Refused { reason } = error(&server) else {
                panic!()
            };
            assert!(!is_raw(&reason) && reason.contains("nothing was done"), "{reason}");
        }
        assert!(!is_raw(&text(answer(&["refused", "no such code"]))));
    }

    #[test]
    fn what_was_removed_and_what_was_left_is_counted() {
        let said = |words: &[&str]| match answer(words) {
            Answer::Effect(Effect::Done { note: Some(note), .. })
            | Answer::Effect(Effect::Refused { reason: note }) => note,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            said(&["did", "children", "2", "1", "0", "1"]),
            "2 children were removed. 1 is running; only children that have not started are removed."
        );
        assert_eq!(
            said(&["refused", "children", "0", "0", "3", "3"]),
            "None was removed. 3 have failed; only children that have not started are removed. Retry the failed ones, \
             or remove each on its own page."
        );
        assert_eq!(said(&["did", "children", "1", "0", "0", "0"]), "1 child was removed.");
        assert_eq!(said(&["did", "below", "1"]), "1 job below it was removed with it.");
        assert_eq!(
            said(&["refused", "events", "0", "150"]),
            "None was removed. 150 are kept: Redis removes events in whole blocks only."
        );
    }
}
