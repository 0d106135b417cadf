//! The actions on queues and schedules.

use super::{DATA, Empty, FIELD, Field, Fit, Fits, Harm, Input, ROW, Row, Target};
use crate::model::permission::Verb;

/// A row with the values that most actions on queues share.
const QUEUE: Row = Row {
    target: Target::Queue,
    harm: Harm::Undoable,
    ..ROW
};

/// A row with the values that most actions on schedules share.
const SCHEDULE: Row = Row {
    target: Target::Schedule,
    ..ROW
};

/// Whether pausing or resuming makes sense: not if the queue is in that state already. Where that is not known, both
/// are offered.
const fn unless(already: Option<bool>) -> Fit {
    match already {
        Some(true) => Fit::No,
        Some(false) => Fit::Yes,
        None => Fit::Asks,
    }
}

pub(super) const PAUSE: Row = Row {
    word: "pause",
    summary: "workers take no new jobs; running jobs finish",
    at_once: Some("Pause"),
    asks: Some("Pause with a reason…"),
    title: "Pause the queue",
    needs: &[Verb::Pause],
    fits: Fits::Queue(|paused, _| unless(paused)),
    ..QUEUE
};

pub(super) const RESUME: Row = Row {
    word: "resume",
    summary: "workers take jobs again",
    at_once: Some("Resume"),
    title: "Resume the queue",
    harm: Harm::None,
    needs: &[Verb::Pause],
    fits: Fits::Queue(|paused, _| match paused {
        Some(paused) => Fit::when(paused),
        None => Fit::Asks,
    }),
    ..QUEUE
};

pub(super) const RELEASE_RATE_LIMIT: Row = Row {
    word: "release_rate_limit",
    summary: "a queue that has reached its rate limit continues at once",
    at_once: Some("Lift the rate limit once"),
    title: "Release the rate limit",
    harm: Harm::None,
    needs: &[Verb::Limit],
    fits: Fits::Queue(|_, limited| Fit::when(limited)),
    ..QUEUE
};

pub(super) const ADD: Row = Row {
    word: "add",
    summary: "adds a job: `name`, `data`, optional `id`, `delay`, `priority`, `attempts`, `options`",
    asks: Some("Add a job…"),
    title: "Add a job",
    needs: &[Verb::Add],
    fields: &[
        Field {
            name: "name",
            label: "Name",
            empty: Empty::Refused,
            ..FIELD
        },
        DATA,
        Field {
            name: "id",
            label: "Id",
            hint: "Leave blank to assign one automatically.",
            ..FIELD
        },
        Field {
            name: "delay",
            label: "Delay in seconds",
            input: Input::Seconds,
            initial: "0",
            ..FIELD
        },
        Field {
            name: "priority",
            label: "Priority",
            hint: "0 for none; 1 runs before 2.",
            input: Input::Number,
            initial: "0",
            ..FIELD
        },
        Field {
            name: "attempts",
            label: "Attempts",
            hint: "Leave blank for the library's default.",
            input: Input::Number,
            ..FIELD
        },
        Field {
            name: "options",
            label: "Other options",
            hint: "A JSON object with the library's own names. Optional.",
            input: Input::Json,
            ..FIELD
        },
    ],
    repeats: true,
    ..QUEUE
};

pub(super) const CONCURRENCY: Row = Row {
    word: "concurrency",
    summary: "at most `limit` jobs of the queue run at once; `null` removes the limit",
    asks: Some("Concurrency…"),
    title: "Set the concurrency",
    needs: &[Verb::Limit],
    fields: &[Field {
        name: "limit",
        label: "Concurrent jobs in the whole queue",
        hint: "Leave blank to remove the limit.",
        input: Input::Number,
        empty: Empty::Null,
        ..FIELD
    }],
    ..QUEUE
};

pub(super) const RATE_LIMIT: Row = Row {
    word: "rate_limit",
    summary: "at most `max` jobs start per `per_ms`; `null` removes the limit",
    asks: Some("Rate limit…"),
    title: "Set the rate limit",
    needs: &[Verb::Limit],
    fields: &[
        Field {
            name: "limit.max",
            label: "Jobs",
            hint: "Leave blank to remove the limit.",
            input: Input::Number,
            empty: Empty::Null,
            ..FIELD
        },
        Field {
            name: "limit.per_ms",
            label: "per interval, in seconds",
            input: Input::Seconds,
            initial: "1",
            ..FIELD
        },
    ],
    ..QUEUE
};

pub(super) const TRIM_EVENTS: Row = Row {
    word: "trim_events",
    summary: "shortens the event stream to about `keep` events",
    asks: Some("Trim events…"),
    title: "Trim the events",
    harm: Harm::Final,
    needs: &[Verb::Remove],
    fields: &[Field {
        name: "keep",
        label: "Newest events to keep, about",
        input: Input::Number,
        empty: Empty::Refused,
        initial: "10000",
        ..FIELD
    }],
    ..QUEUE
};

pub(super) const OBLITERATE: Row = Row {
    word: "obliterate",
    summary: "removes a paused queue with everything in it; takes the queue's `name`, and up to 100,000 jobs",
    asks: Some("Obliterate…"),
    title: "Obliterate the queue",
    harm: Harm::Final,
    needs: &[Verb::Obliterate],
    fields: &[
        Field {
            name: "name",
            label: "Name of the queue",
            hint: "To confirm. This cannot be undone.",
            empty: Empty::Refused,
            ..FIELD
        },
        Field {
            name: "force",
            label: "Force, even if jobs are running",
            input: Input::Tick,
            ..FIELD
        },
    ],
    fits: Fits::Queue(|paused, _| match paused {
        Some(false) => Fit::NotYet("pause the queue first."),
        _ => Fit::Yes,
    }),
    ..QUEUE
};

pub(super) const RUN_SCHEDULE: Row = Row {
    word: "run",
    summary: "adds a job from the schedule's template now",
    at_once: Some("Run now"),
    title: "Run the schedule now",
    needs: &[Verb::Add],
    repeats: true,
    ..SCHEDULE
};

pub(super) const SAVE_SCHEDULE: Row = Row {
    word: "upsert",
    summary: "adds or changes a schedule: `pattern` (cron) or `every_ms`, `tz`, `limit`, `name`, `data`, `options`",
    asks: Some("Change…"),
    title: "Save the schedule",
    harm: Harm::Undoable,
    needs: &[Verb::Edit],
    fields: &[
        Field {
            name: "name",
            label: "Name of its jobs",
            empty: Empty::Refused,
            ..FIELD
        },
        Field {
            name: "pattern",
            label: "Cron pattern",
            hint: "Either this or an interval.",
            ..FIELD
        },
        Field {
            name: "tz",
            label: "Time zone of the pattern",
            hint: "Such as Europe/Berlin.",
            ..FIELD
        },
        Field {
            name: "every_ms",
            label: "Interval in seconds",
            input: Input::Seconds,
            ..FIELD
        },
        Field {
            name: "limit",
            label: "Maximum runs",
            hint: "Leave blank for no limit.",
            input: Input::Number,
            ..FIELD
        },
        Field {
            label: "Data of its jobs",
            hint: "JSON, up to 1 MiB. Leave blank to keep it unchanged.",
            empty: Empty::LeftOut,
            ..DATA
        },
        Field {
            name: "options",
            input: Input::ApiOnly,
            ..FIELD
        },
    ],
    ..SCHEDULE
};

pub(super) const REMOVE_SCHEDULE: Row = Row {
    word: "remove",
    summary: "removes a schedule with its next job",
    asks: Some("Remove…"),
    title: "Remove the schedule",
    harm: Harm::Final,
    needs: &[Verb::Remove],
    ..SCHEDULE
};
