//! The actions on jobs.

use super::{DATA, Empty, FIELD, Field, Fit, Fits, Harm, Input, ROW, Row};
use crate::model::flow::Flow;
use crate::model::permission::Verb;
use crate::model::state::JobState::{
    self, Active, Cancelled, Completed, Delayed, Failed, Prioritized, Waiting, WaitingChildren,
};

/// States in which a job has not begun.
const PENDING: &[JobState] = &[Waiting, Prioritized, Delayed];

/// States of jobs that no worker holds.
const UNHELD: &[JobState] = &[
    Waiting,
    Prioritized,
    Delayed,
    WaitingChildren,
    Completed,
    Failed,
    Cancelled,
];

const ERROR: Field = Field {
    name: "error",
    label: "Error",
    hint: "Shown as the reason for the failure.",
    empty: Empty::Refused,
    ..FIELD
};

pub(super) const RELEASE: Row = Row {
    word: "release",
    summary: "lets a parent run without the children that failed or are gone; they are kept, and it does not wait for them again",
    asks: Some("Run without the failed children…"),
    title: "Run without the failed children",
    many: "Release",
    doing: "Releasing",
    needs: &[Verb::Promote],
    states: &[WaitingChildren],
    fits: Fits::Job(|_, flow| Fit::when(flow.is_some_and(Flow::is_stuck))),
    ..ROW
};

pub(super) const REDRIVE: Row = Row {
    word: "redrive",
    summary: "moves a dead letter back into the queue it came from",
    at_once: Some("Redrive"),
    title: "Redrive the job",
    many: "Redrive",
    doing: "Redriving",
    needs: &[Verb::Retry],
    states: &[Waiting, Delayed],
    fits: Fits::Job(|job, _| Fit::when(job.effective.iter().any(|option| option.name == "source"))),
    in_operations: true,
    leaves: true,
    ..ROW
};

pub(super) const RETRY: Row = Row {
    word: "retry",
    summary: "runs a failed or completed job again. `reset_attempts` counts its attempts from zero; otherwise a job that has used them all gets one more. `data` replaces its data",
    at_once: Some("Retry"),
    asks: Some("Retry with changes…"),
    title: "Retry the job",
    many: "Retry",
    doing: "Retrying",
    needs: &[Verb::Retry],
    fields: &[
        Field {
            hint: "JSON. Not touched unless you change it.",
            empty: Empty::LeftOut,
            needs: Some(Verb::Edit),
            ..DATA
        },
        Field {
            name: "reset_attempts",
            label: "Reset the attempt count",
            input: Input::Tick,
            ..FIELD
        },
    ],
    states: &[Failed, Completed],
    // The effects of a completed job happen again: a form says so first.
    fits: Fits::Job(|job, _| match job.row.state {
        Completed => Fit::Asks,
        _ => Fit::Yes,
    }),
    in_operations: true,
    ..ROW
};

pub(super) const RETRY_CHILDREN: Row = Row {
    word: "retry_children",
    summary: "retries the failed jobs below a job in every queue, the deepest first, then the job itself if it failed",
    asks: Some("Retry failed children first…"),
    title: "Retry failed children first",
    many: "Retry the children of",
    doing: "Retrying the children of",
    needs: &[Verb::Retry],
    states: JobState::ALL.as_slice(),
    fits: Fits::Job(|_, flow| Fit::when(flow.is_some_and(Flow::failed_below))),
    ..ROW
};

pub(super) const ARCHIVE: Row = Row {
    word: "archive",
    summary: "moves a completed or failed job to the archive: it leaves the queue once every byte of it is stored there",
    asks: Some("Archive…"),
    title: "Archive the job",
    many: "Archive",
    doing: "Archiving",
    harm: Harm::Undoable,
    needs: &[Verb::Archive],
    states: &[Failed, Completed],
    in_operations: true,
    leaves: true,
    ..ROW
};

pub(super) const PROMOTE: Row = Row {
    word: "promote",
    summary: "runs a delayed job now",
    at_once: Some("Run now"),
    title: "Run the job now",
    many: "Promote",
    doing: "Promoting",
    needs: &[Verb::Promote],
    states: &[Delayed],
    in_operations: true,
    ..ROW
};

pub(super) const DELAY: Row = Row {
    word: "delay",
    summary: "makes a delayed job wait `ms` from now",
    asks: Some("Change the delay…"),
    title: "Change the delay",
    many: "Delay",
    doing: "Delaying",
    harm: Harm::Undoable,
    needs: &[Verb::Promote],
    fields: &[Field {
        name: "ms",
        label: "Seconds from now",
        input: Input::Seconds,
        empty: Empty::Refused,
        initial: "60",
        ..FIELD
    }],
    states: &[Delayed],
    ..ROW
};

pub(super) const PRIORITY: Row = Row {
    word: "priority",
    summary: "sets `priority`; `lifo` puts the job before others of the same priority. Whether 1 or 0 runs first depends on the library; the form says it",
    asks: Some("Priority…"),
    title: "Change the priority",
    many: "Change the priority of",
    doing: "Changing the priority of",
    harm: Harm::Undoable,
    needs: &[Verb::Promote],
    fields: &[
        Field {
            name: "priority",
            label: "Priority",
            input: Input::Number,
            empty: Empty::Refused,
            initial: "0",
            ..FIELD
        },
        Field {
            name: "lifo",
            label: "Before others of the same priority",
            input: Input::Tick,
            ..FIELD
        },
    ],
    states: PENDING,
    ..ROW
};

pub(super) const CANCEL: Row = Row {
    word: "cancel",
    summary: "cancels a job that has not started: no worker takes it; it is kept and can be resumed",
    asks: Some("Cancel…"),
    title: "Cancel the job",
    many: "Cancel",
    doing: "Cancelling",
    harm: Harm::Undoable,
    needs: &[Verb::Remove],
    fields: &[Field {
        name: "error",
        input: Input::ApiOnly,
        ..FIELD
    }],
    states: PENDING,
    ..ROW
};

pub(super) const FAIL_WHEN_TAKEN: Row = Row {
    summary: "where the library keeps no cancelled jobs: makes a job that has not started fail with `error` when a worker takes it",
    asks: Some("Fail when taken…"),
    title: "Fail the job when taken",
    harm: Harm::Final,
    fields: &[ERROR],
    ..CANCEL
};

pub(super) const REVOKE: Row = Row {
    summary: "where workers discard a cancelled job: a worker that takes the job discards it without running it",
    asks: Some("Revoke…"),
    title: "Revoke the job",
    harm: Harm::Final,
    ..CANCEL
};

pub(super) const RESUME_JOB: Row = Row {
    word: "resume_job",
    summary: "makes a cancelled job wait again",
    at_once: Some("Resume"),
    title: "Resume the job",
    many: "Resume",
    doing: "Resuming",
    needs: &[Verb::Retry],
    states: &[Cancelled],
    in_operations: true,
    ..ROW
};

pub(super) const REMOVE_CHILDREN: Row = Row {
    word: "remove_children",
    summary: "removes the children that have not started, and counts those that it leaves",
    asks: Some("Remove children that have not started…"),
    title: "Remove children",
    many: "Remove the children of",
    doing: "Removing the children of",
    harm: Harm::Final,
    needs: &[Verb::Remove],
    states: &[WaitingChildren],
    ..ROW
};

pub(super) const PUT_BACK: Row = Row {
    word: "put_back",
    summary: "moves a job whose worker is lost back to the waiting ones; it runs again from the start",
    at_once: Some("Requeue"),
    title: "Requeue the job",
    many: "Requeue",
    doing: "Requeueing",
    needs: &[Verb::Retry],
    states: &[Active],
    fits: Fits::Job(|job, _| Fit::when(job.locked == Some(false))),
    ..ROW
};

pub(super) const FAIL_LOST: Row = Row {
    word: "fail_lost",
    summary: "fails a job whose worker is lost, with `error`",
    asks: Some("Fail it…"),
    title: "Fail the job",
    many: "Fail",
    doing: "Failing",
    harm: Harm::Final,
    needs: &[Verb::Remove],
    fields: &[ERROR],
    states: &[Active],
    fits: Fits::Job(|job, _| Fit::when(job.locked == Some(false))),
    ..ROW
};

pub(super) const EDIT_DATA: Row = Row {
    word: "edit_data",
    summary: "replaces the data; where the library keeps job logs, the old data becomes a line of the job's log",
    asks: Some("Edit data…"),
    title: "Edit the data",
    many: "Edit",
    doing: "Editing",
    harm: Harm::Undoable,
    needs: &[Verb::Edit],
    fields: &[DATA],
    states: UNHELD,
    ..ROW
};

pub(super) const DUPLICATE: Row = Row {
    word: "duplicate",
    summary: "adds a new job with the same name, data and options; `name`, `data`, `delay`, `priority`, `attempts` and `options` each replace what the job has",
    asks: Some("Duplicate…"),
    title: "Duplicate the job",
    submit: "Add the job",
    many: "Duplicate",
    doing: "Duplicating",
    needs: &[Verb::Add],
    fields: &[
        Field {
            name: "name",
            label: "Name",
            ..FIELD
        },
        DATA,
        Field {
            name: "delay",
            label: "Seconds to wait first",
            input: Input::Seconds,
            initial: "0",
            ..FIELD
        },
        Field {
            name: "priority",
            label: "Priority",
            hint: "0 for none.",
            input: Input::Number,
            ..FIELD
        },
        Field {
            name: "attempts",
            label: "Attempts",
            input: Input::Number,
            ..FIELD
        },
        Field {
            name: "options",
            label: "Other options",
            hint: "A JSON object with the library's own names.",
            input: Input::Json,
            ..FIELD
        },
    ],
    states: JobState::ALL.as_slice(),
    repeats: true,
    ..ROW
};

pub(super) const REMOVE_DEDUPLICATION: Row = Row {
    word: "remove_deduplication",
    summary: "removes the deduplication key that keeps similar jobs out",
    asks: Some("Remove deduplication key…"),
    title: "Remove the deduplication key",
    many: "Remove the deduplication of",
    doing: "Removing the deduplication of",
    harm: Harm::Final,
    needs: &[Verb::Remove],
    states: JobState::ALL.as_slice(),
    fits: Fits::Job(|job, _| {
        let owner = job.dedup.as_ref().and_then(|dedup| dedup.owner.as_ref());
        Fit::when(owner == Some(&job.row.id))
    }),
    ..ROW
};

pub(super) const CLEAR_LOGS: Row = Row {
    word: "clear_logs",
    summary: "removes the log except for the `keep` newest lines",
    asks: Some("Clear log…"),
    title: "Clear the log",
    many: "Clear the logs of",
    doing: "Clearing the logs of",
    harm: Harm::Final,
    needs: &[Verb::Remove],
    fields: &[Field {
        name: "keep",
        label: "Newest lines to keep",
        input: Input::Number,
        empty: Empty::Refused,
        initial: "0",
        ..FIELD
    }],
    states: JobState::ALL.as_slice(),
    fits: Fits::Job(|job, _| Fit::when(job.logs.total > 0)),
    ..ROW
};

pub(super) const REMOVE: Row = Row {
    word: "remove",
    summary: "removes a job that is not running; with `children` also its children, finished ones and those in other queues included",
    asks: Some("Remove…"),
    title: "Remove the job",
    many: "Remove",
    doing: "Removing",
    harm: Harm::Final,
    needs: &[Verb::Remove],
    fields: &[Field {
        name: "children",
        label: "Also its children, including finished ones and those in other queues",
        input: Input::Tick,
        ..FIELD
    }],
    states: UNHELD,
    in_operations: true,
    leaves: true,
    ..ROW
};
