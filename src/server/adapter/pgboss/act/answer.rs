//! The outcome of an action, in sentences.

use super::Failure;
use super::jobs::Order;
use crate::model::action::Effect;
use crate::model::format;
use crate::model::state::JobState;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

/// Nothing was done.
pub(super) fn refused(reason: impl Into<String>) -> Effect {
    Effect::Refused { reason: reason.into() }
}

/// The outcome is unknown.
pub(in super::super) fn unconfirmed(why: &str) -> Effect {
    Effect::Unconfirmed {
        reason: format!("{why} It may have been done anyway: check the job before you try again."),
    }
}

/// What a failure means for each job that it was about.
pub(in super::super) fn of(failure: &Failure) -> Effect {
    match failure {
        Failure::NotSent(trouble) => refused(format!("The command was not sent: {trouble}")),
        Failure::Refused(reason) | Failure::Value(reason) => refused(reason.clone()),
        Failure::Conflict(_) => refused(policy("")),
        Failure::Unknown(why) => unconfirmed(why),
    }
}

/// The job is in another state.
pub(super) fn changed(state: &str) -> Effect {
    Effect::Changed { now: it_is(state) }
}

pub(super) fn it_is(state: &str) -> String {
    match state.parse::<JobState>() {
        Ok(state) => format!("It is {}.", state.label()),
        Err(_) => format!("It is {state}."),
    }
}

/// What the statement says of one job.
pub(super) fn of_row(row: &PgRow, order: &Order) -> Effect {
    let flag = |column: &str| row.get::<Option<bool>, _>(column).unwrap_or(false);
    let state: String = row.get("board");
    if flag("done") {
        let job = order.redrives().then(|| row.get("id"));
        return Effect::Done { job, note: None };
    }
    if flag("already") {
        return Effect::Already { now: it_is(&state) };
    }
    if state == JobState::Active.as_str() {
        let by = "A worker runs it. pg-boss cannot take a job from its worker.".into();
        return Effect::Locked { by };
    }
    if !flag("same") {
        let again = row.get::<Option<bool>, _>("state_same").unwrap_or(false);
        return Effect::Changed {
            now: if again {
                format!(
                    "{} again, but at a different time than shown.",
                    it_is(&state).trim_end_matches('.')
                )
            } else {
                it_is(&state)
            },
        };
    }
    if let Some(reason) = row.get::<Option<String>, _>("hindered") {
        return refused(reason);
    }
    if order.redrives() && flag("fits") {
        let (source, policy): (Option<String>, Option<String>) = (row.get("source"), row.get("policy"));
        return refused(format!(
            "Its queue, {}, does not take it: {}",
            format::visible(&source.unwrap_or_default()),
            self::policy(&format!("'{}'", policy.unwrap_or_default()))
        ));
    }
    changed(&state)
}

/// The policy that an index of the jobs stands for.
pub(super) fn policy(index: &str) -> String {
    let policies = [
        (
            "'short'",
            "Its queue's policy is short: one queued job for each key, and there is one already.",
        ),
        (
            "'stately'",
            "Its queue's policy is stately: one job of each key in each state, and there is one already.",
        ),
        (
            "'singleton'",
            "Its queue's policy is singleton: one active job of each key, and there is one already.",
        ),
        (
            "'exclusive'",
            "Its queue's policy is exclusive: one queued or active job of each key, and there is one already.",
        ),
        (
            "'key_strict_fifo'",
            "Its queue keeps the order within a key, and another job with its key is running, waiting for a retry or \
             has failed.",
        ),
        (
            "upsert_by_key",
            "A job with its key is already queued, and the application allows one per key.",
        ),
        (
            ", singleton_on",
            "Its time slot is taken by another job: the application allows one per slot.",
        ),
        (
            "singletonon",
            "Its key or time slot is taken by another job: the application allows one.",
        ),
    ];
    let found = policies.iter().find(|(mark, _)| index.contains(mark));
    found.map_or_else(
        || "Another job like it blocks it: its queue accepts only one.".to_owned(),
        |(_, words)| (*words).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_told_as_its_policy() {
        let index = "CREATE UNIQUE INDEX job_i3 ON b11.job_common USING btree (name, state, COALESCE(singleton_key, ''::text)) \
                     WHERE ((state <= 'active'::b11.job_state) AND (policy = 'stately'::text))";
        assert!(policy(index).contains("stately"));
        assert!(policy("").contains("accepts only one"));
    }
}
