//! The forms: what each action asks for, and how what was filled in becomes the fields of the action.

use super::On;
use super::filled::untouched;
use crate::base_path::{job_path, queue_path};
use crate::model::family::Family;
use crate::model::form::{Field, FieldKind, FormPage};
use crate::model::format;
use crate::model::job::{Form as Written, JobDetail, Payload};
use crate::model::queue::{QueueSummary, System};
use crate::model::schedule::Schedule;
use crate::model::state::JobState;
use crate::model::worker::FleetFilter;
use crate::server::audit::record::mint_id;
use crate::server::auth::who::Who;
use crate::server::redact::{MARKER, holds_marker};
use crate::server::service::Refusal;
use crate::server::service::act::NotActed;
use crate::server::service::act::intent::Target;
use crate::server::service::act::offer::{NEW_SCHEDULE, example, seen_fields};
use crate::server::service::act::sentence;
use crate::server::service::view::reveal::Reveal;
use crate::server::state::App;

/// The form for an action.
pub(super) async fn page(app: &App, who: &Who, on: &On, word: &str) -> Result<FormPage, Refusal> {
    filled_with(app, who, on, word, None).await
}

/// The form for writing a job's data, filled with them as they are.
pub(super) async fn revealed(app: &App, who: &Who, on: &On, word: &str, ask: &Reveal) -> Result<FormPage, Refusal> {
    let job = app.view(who).reveal(&on.queue, &on.target, ask).await?;
    let mut form = filled_with(app, who, on, word, Some(job)).await?;
    form.hidden.push(("revealed".into(), "true".into()));
    form.notes
        .push("Hidden values are shown here. What is written is what stands here.".into());
    Ok(form)
}

async fn filled_with(
    app: &App,
    who: &Who,
    on: &On,
    word: &str,
    revealed: Option<JobDetail>,
) -> Result<FormPage, Refusal> {
    let is_masked = revealed.is_none();
    let service = app.service();
    let view = app.view(who);
    let (line, ..) = view.queue(&on.queue)?;
    if on.of == Target::Queue && word == NEW_SCHEDULE {
        return Ok(new_schedule(app, who, on, &line));
    }
    let Some(intent) = example(on.of, &on.target, word) else {
        return Err(NotActed::Wrong(format!("There is no action {word:?} here.")).into());
    };
    let job = match on.of {
        Target::Job if revealed.is_some() => revealed,
        Target::Job => Some(view.job(&on.queue, &on.target).await?),
        _ => None,
    };
    let schedule = match on.of {
        Target::Schedule => schedule(app, who, on).await,
        _ => None,
    };
    let title = match word {
        // The others have no state for it.
        "cancel" if line.system == System::PgBoss => "Cancel the job",
        word => title(on.of, word),
    };
    let mut form = FormPage {
        title: title.into(),
        sentence: service.sentence_of(&line, &intent),
        refusal: service.refusal_of(who, &on.queue, &intent),
        action: on.path(),
        hidden: vec![("action".into(), word.into())],
        fields: fields(word, line.family, job.as_ref(), schedule.as_ref()),
        submit: title.into(),
        danger: danger(word) && title != "Cancel the job",
        crumbs: crumbs(on, &line.name),
        ..FormPage::default()
    };
    let finished = job
        .as_ref()
        .is_some_and(|job| matches!(job.row.state, JobState::Completed | JobState::Failed));
    let archive = example(Target::Job, &on.target, "archive");
    let possible = archive.is_some_and(|intent| service.refusal_of(who, &on.queue, &intent).is_none());
    if (on.of, word) == (Target::Job, "remove") && finished && possible {
        let label = "Put it into the archive first, from which it can be put back";
        form.fields
            .insert(0, field("archive", label, FieldKind::Tick, "true", "", false));
    }
    let kept = |state| line.counts.get(state) != Some(0);
    if (on.of, word) == (Target::Queue, "obliterate")
        && service.has_archive()
        && (kept(JobState::Completed) || kept(JobState::Failed))
    {
        let label = "Archive its completed and failed jobs first: this leads to their preview, and the queue stays until you come back";
        form.fields
            .insert(0, field("archive", label, FieldKind::Tick, "true", "", false));
    }
    // What the example would do is not what is going to be filled in.
    if form.fields.iter().any(|field| field.kind != FieldKind::Tick) {
        form.sentence = about(on, &service.place_of(&line));
    }
    form.fields.push(reason());
    form.notes
        .extend(sentence::notes(&intent, line.family.map(|family| family.layout)));
    if let Some(job) = &job {
        form.hidden.extend(seen_fields(job));
        form.notes.push(format!("State now: {}.", job.row.state.label()));
        if let (Some(why), "edit_data" | "retry") = (unwritable(job.data.as_ref()), word) {
            form.fields.retain(|field| field.name != "data");
            form.notes.push(why.clone());
            if word == "edit_data" {
                form.refusal.get_or_insert(why);
            }
        }
    }
    let hides = |value: &str| is_masked && holds_marker(value);
    if let Some(data) = form.fields.iter_mut().find(|field| field.name == "data")
        && hides(&data.value)
        && on.of == Target::Job
    {
        data.hint = format!("{} Each {MARKER} stands for a hidden value.", data.hint);
        form.notes.push(format!(
            "Some of its values are hidden: write them yourself in the place of each {MARKER}, or open \"Show hidden values\" on \
             the job's page and edit from there. What holds the word is not saved."
        ));
    }
    if let Some(schedule) = &schedule
        && schedule
            .data
            .as_ref()
            .and_then(|data| data.text.as_deref())
            .is_some_and(hides)
    {
        form.fields.retain(|field| field.name != "data");
        form.notes
            .push("The data of its jobs hold hidden values: they stay as they are. The API writes others.".into());
    }
    if let Some(why) = schedule
        .as_ref()
        .and_then(|schedule| unwritable(schedule.data.as_ref()))
    {
        form.fields.retain(|field| field.name != "data");
        form.notes
            .push(why.replace("it cannot be edited in a form", "it stays as it is"));
    }
    if let Some(schedule) = &schedule
        && word == "upsert"
    {
        let date = |word: &str, at: Option<i64>| at.map(|at| format!("It {word} at {}; that stays.", format::iso(at)));
        form.notes.extend(date("begins", schedule.start));
        form.notes.extend(date("ends", schedule.end));
        form.notes.push("The options of its jobs stay as they are.".into());
    }
    if let Some(data) = form
        .fields
        .iter()
        .find(|field| field.name == "data")
        .filter(|_| word == "retry")
    {
        let fingerprint = untouched(&data.value);
        form.hidden.push(("seen_data".into(), fingerprint));
    }
    if word == "retry_children" && form.refusal.is_none() {
        match service.flow_preview(who, &on.queue, &on.target).await {
            Ok(notes) => form.notes.extend(notes),
            Err(Refusal::NotActed(why)) => form.refusal = Some(why.parts().3),
            Err(refusal) => return Err(refusal),
        }
    }
    if intent.makes_something() {
        form.hidden.push(("key".into(), mint_id(crate::model::now())));
    }
    Ok(form)
}

/// The form for a schedule that is yet to be named.
fn new_schedule(app: &App, who: &Who, on: &On, line: &QueueSummary) -> FormPage {
    let mut all = fields("upsert", None, None, None);
    all.insert(
        0,
        field(
            "schedule_key",
            "Id of the schedule",
            FieldKind::Line,
            "",
            "One that is there already is changed.",
            true,
        ),
    );
    all.push(reason());
    let intent = example(Target::Schedule, "", "upsert");
    FormPage {
        title: "Add a schedule".into(),
        sentence: about(on, &app.service().place_of(line)),
        refusal: intent.and_then(|intent| app.service().refusal_of(who, &on.queue, &intent)),
        action: on.path(),
        hidden: vec![("action".into(), NEW_SCHEDULE.into())],
        fields: all,
        submit: "Save the schedule".into(),
        crumbs: crumbs(on, &line.name),
        ..FormPage::default()
    }
}

fn reason() -> Field {
    field(
        "reason",
        "Reason",
        FieldKind::Line,
        "",
        "Optional; whoever reads the record sees it.",
        false,
    )
}

/// What a form is about, where what it does is yet to be filled in.
fn about(on: &On, place: &str) -> String {
    match on.of {
        Target::Job => format!("Job {} of {place}.", format::visible(&on.target)),
        Target::Queue => format!("This is about {place}."),
        Target::Schedule => format!("Schedule {} of {place}.", format::visible(&on.target)),
    }
}

pub(super) fn crumbs(on: &On, name: &str) -> Vec<(String, String)> {
    let mut crumbs = vec![
        ("All queues".into(), "/".into()),
        (format::visible(name), queue_path(&on.queue)),
    ];
    match on.of {
        Target::Job => crumbs.push((format::visible(&on.target), job_path(&on.queue, &on.target))),
        Target::Schedule => crumbs.push(("Schedules".into(), on.page())),
        Target::Queue => {}
    }
    crumbs
}

const fn title(of: Target, word: &str) -> &'static str {
    match (of, word.as_bytes()) {
        (_, b"retry") => "Retry the job",
        (Target::Schedule, b"remove") => "Remove the schedule",
        (_, b"remove") => "Remove the job",
        (_, b"promote") => "Run the job now",
        (_, b"delay") => "Change the delay",
        (_, b"priority") => "Change the priority",
        (_, b"edit_data") => "Edit the data",
        (_, b"duplicate") => "Duplicate the job",
        (_, b"fail_lost") => "Fail the job",
        (_, b"put_back") => "Put the job back",
        (_, b"redrive") => "Redrive the job",
        (_, b"resume_job") => "Put the job back in the line",
        (_, b"cancel") => "Have the job fail",
        (_, b"remove_deduplication") => "Remove the deduplication key",
        (_, b"clear_logs") => "Clear the log",
        (_, b"remove_children") => "Remove children",
        (_, b"archive") => "Archive the job",
        (_, b"retry_children") => "Retry failed children first",
        (_, b"pause") => "Pause the queue",
        (_, b"resume") => "Resume the queue",
        (_, b"add") => "Add a job",
        (_, b"concurrency") => "Set the concurrency",
        (_, b"rate_limit") => "Set the rate limit",
        (_, b"release_rate_limit") => "Release the rate limit",
        (_, b"trim_events") => "Trim the events",
        (_, b"obliterate") => "Obliterate the queue",
        (_, b"run") => "Run the schedule now",
        (_, b"upsert") => "Save the schedule",
        _ => "Act",
    }
}

fn danger(word: &str) -> bool {
    matches!(
        word,
        "remove"
            | "fail_lost"
            | "cancel"
            | "remove_deduplication"
            | "clear_logs"
            | "remove_children"
            | "trim_events"
            | "obliterate"
    )
}

pub(super) fn field(
    name: &str,
    label: &str,
    kind: FieldKind,
    value: impl Into<String>,
    hint: &str,
    required: bool,
) -> Field {
    Field {
        name: name.into(),
        label: label.into(),
        kind,
        value: value.into(),
        hint: hint.into(),
        required,
    }
}

/// What each action asks for, filled in with what is known.
fn fields(word: &str, family: Option<Family>, job: Option<&JobDetail>, schedule: Option<&Schedule>) -> Vec<Field> {
    use FieldKind::{Area, Line, Number, Tick};
    let data = |payload: Option<&Payload>| payload.and_then(|p| p.text.clone()).unwrap_or_else(|| "{}".into());
    match word {
        "retry" => vec![
            field(
                "data",
                "Data",
                Area,
                data(job.and_then(|j| j.data.as_ref())),
                "JSON. Left as it is, it is not touched.",
                false,
            ),
            field(
                "reset_attempts",
                "Count its attempts from the beginning",
                Tick,
                "",
                "",
                false,
            ),
        ],
        "edit_data" => vec![field(
            "data",
            "Data",
            Area,
            data(job.and_then(|j| j.data.as_ref())),
            "JSON, up to 1 MiB. The old data becomes a line of its log.",
            true,
        )],
        "remove" if job.is_some_and(|job| job.children.is_some()) => vec![field(
            "children",
            "Its children too, finished ones and those in other queues included",
            Tick,
            "",
            "",
            false,
        )],
        "delay" => vec![field("ms_s", "Seconds from now", Number, "60", "", true)],
        "priority" => {
            let now = job.map_or(0, |job| job.row.priority).to_string();
            let order = family.map_or_else(String::new, |family| format!("{}.", family.layout.priority_order()));
            vec![
                field("priority", "Priority", Number, now, &order, true),
                field("lifo", "Before others of the same priority", Tick, "", "", false),
            ]
        }
        "cancel" if family.is_some_and(|family| family.layout.system() == System::PgBoss) => vec![],
        "fail_lost" | "cancel" => vec![field(
            "error",
            "Error",
            Line,
            "",
            "Becomes the reason that it failed.",
            true,
        )],
        "clear_logs" => vec![field("keep", "Newest lines that stay", Number, "0", "", true)],
        "trim_events" => vec![field(
            "keep",
            "Newest events that stay, about",
            Number,
            "10000",
            "",
            true,
        )],
        "obliterate" => vec![
            field(
                "name",
                "The queue's name",
                Line,
                "",
                "To confirm: there is no way back.",
                true,
            ),
            field(
                "force",
                "Although jobs are running: their workers will find them gone",
                Tick,
                "",
                "",
                false,
            ),
        ],
        "concurrency" => vec![field(
            "limit",
            "Jobs at once in the whole queue",
            Number,
            "",
            "Empty takes the limit away.",
            false,
        )],
        "rate_limit" => vec![
            field("max", "Jobs", Number, "", "Empty takes the limit away.", false),
            field("per_s", "in so many seconds", Number, "1", "", false),
        ],
        "add" => vec![
            field("name", "Name", Line, "", "", true),
            field("data", "Data", Area, "{}", "JSON, up to 1 MiB.", true),
            field("id", "Id", Line, "", "Empty to have one counted up.", false),
            field("delay_s", "Runs in so many seconds", Number, "0", "", false),
            field(
                "priority",
                "Priority",
                Number,
                "0",
                "0 for none; then 1 goes before 2.",
                false,
            ),
            field(
                "attempts",
                "Attempts",
                Number,
                "",
                "Empty for the library's own default.",
                false,
            ),
            field(
                "options",
                "Other options",
                Area,
                "",
                "A JSON object with the library's own names. Optional.",
                false,
            ),
        ],
        "upsert" => {
            let of = |text: Option<&String>| text.cloned().unwrap_or_default();
            let every = schedule.and_then(|s| s.every).map_or_else(String::new, seconds);
            let limit = schedule
                .and_then(|s| s.limit)
                .map_or_else(String::new, |n| n.to_string());
            vec![
                field(
                    "name",
                    "Name of its jobs",
                    Line,
                    of(schedule.and_then(|s| s.name.as_ref())),
                    "",
                    true,
                ),
                field(
                    "pattern",
                    "Cron pattern",
                    Line,
                    of(schedule.and_then(|s| s.pattern.as_ref())),
                    "This, or an interval.",
                    false,
                ),
                field(
                    "tz",
                    "Time zone of the pattern",
                    Line,
                    of(schedule.and_then(|s| s.tz.as_ref())),
                    "Such as Europe/Berlin.",
                    false,
                ),
                field("every_s", "Interval in seconds", Number, every, "", false),
                field("limit", "Runs at most", Number, limit, "Empty for no end.", false),
                field(
                    "data",
                    "Data of its jobs",
                    Area,
                    data(schedule.and_then(|s| s.data.as_ref())),
                    "JSON, up to 1 MiB. Empty leaves it as it is.",
                    false,
                ),
            ]
        }
        _ => vec![],
    }
}

fn seconds(ms: i64) -> String {
    match (ms / 1000, ms % 1000) {
        (s, 0) => s.to_string(),
        (s, ms) => format!("{s}.{ms:03}"),
    }
}

/// Why data cannot be edited in a form: what is not shown whole would be lost.
fn unwritable(data: Option<&Payload>) -> Option<String> {
    let data = data?;
    if data.form == Written::Binary || data.text.is_none() || data.shown < data.size {
        return Some(format!(
            "Its data ({}) is too large, or no text: it cannot be edited in a form. The API takes up to 1 MiB.",
            format::bytes(data.size)
        ));
    }
    None
}

async fn schedule(app: &App, who: &Who, on: &On) -> Option<Schedule> {
    let filter = FleetFilter {
        q: String::new(),
        queue: Some(on.queue.clone()),
    };
    let (page, _) = app.view(who).schedules(&filter).await.ok()?;
    page.schedules
        .into_iter()
        .find(|s| s.queue == on.queue && s.id == on.target)
}
