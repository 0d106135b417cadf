//! The forms: what each action asks for and says before it is done.

use super::On;
use super::copy::{hide_notes, keep_untouched, runs_again, unwritable};
use super::fields::{Known, field, fields, reason};
use crate::base_path::{job_path, queue_path};
use crate::model::action::catalogue::{ActionKind, Fit, Fits, Harm, Target};
use crate::model::form::{FieldKind, FormPage};
use crate::model::format;
use crate::model::job::JobDetail;
use crate::model::queue::QueueSummary;
use crate::model::schedule::Schedule;
use crate::model::state::JobState;
use crate::model::worker::FleetFilter;
use crate::server::audit::record::mint_id;
use crate::server::auth::who::Who;
use crate::server::http::state::App;
use crate::server::redact::holds_marker;
use crate::server::service::Refusal;
use crate::server::service::act::NotActed;
use crate::server::service::act::intent::Intent;
use crate::server::service::act::offer::{NEW_SCHEDULE, seen_fields};
use crate::server::service::view::reveal::{REVEAL, Reveal};

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
        .push("Hidden values are shown here. What you see is what is saved.".into());
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
    let can = service.capabilities(&line);
    let kind = ActionKind::find(on.of, word).map(|kind| can.map_or(kind, |can| can.variant(kind)));
    let Some((kind, intent)) = kind.and_then(|kind| Some((kind, Intent::example(kind, &on.target)?))) else {
        return Err(NotActed::Wrong(format!("There is no action {word:?} here.")).into());
    };
    let row = kind.row();
    let job = match on.of {
        Target::Job if revealed.is_some() => revealed,
        Target::Job => Some(view.job(&on.queue, &on.target).await?),
        _ => None,
    };
    let schedule = match on.of {
        Target::Schedule => schedule(app, who, on).await,
        _ => None,
    };
    let options = job.as_ref().and_then(|job| service.copied_options(&on.queue, job));
    let known = Known {
        job: job.as_ref(),
        options: options.as_deref(),
        schedule: schedule.as_ref(),
    };
    let mut form = FormPage {
        title: row.title.into(),
        sentence: service.sentence_of(&line, &intent),
        refusal: service.refusal_of(who, &on.queue, &intent),
        action: on.path(),
        hidden: vec![("action".into(), word.into())],
        fields: fields(kind, can, known),
        submit: if row.submit.is_empty() { row.title } else { row.submit }.into(),
        danger: row.harm == Harm::Final,
        crumbs: crumbs(on, &line.label),
        notes: can.map_or_else(Vec::new, |can| can.notes(kind).to_vec()),
        ..FormPage::default()
    };
    let finished = job
        .as_ref()
        .is_some_and(|job| matches!(job.row.state, JobState::Completed | JobState::Failed));
    let archive = Intent::example(ActionKind::Archive, &on.target);
    let possible = archive.is_some_and(|intent| service.refusal_of(who, &on.queue, &intent).is_none());
    if kind == ActionKind::Remove && finished && possible {
        let label = "Archive it first, so that it can be run again later";
        form.fields
            .insert(0, field("archive", label, FieldKind::Tick, "true", "", false));
    }
    let kept = |state| line.counts.get(state) != Some(0);
    if kind == ActionKind::Obliterate && service.has_archive() && (kept(JobState::Completed) || kept(JobState::Failed))
    {
        let label = "Archive its completed and failed jobs first: this opens their preview, and the queue stays until you come back";
        form.fields
            .insert(0, field("archive", label, FieldKind::Tick, "true", "", false));
    }
    // What the example would do is not what is going to be filled in.
    if kind == ActionKind::Duplicate {
        form.sentence = format!(
            "A new job like {}",
            about(on, &service.place_of(&line)).replacen("Job", "job", 1)
        );
    } else if kind != ActionKind::Obliterate && form.fields.iter().any(|field| field.kind != FieldKind::Tick) {
        form.sentence = about(on, &service.place_of(&line));
    }
    form.fields.push(reason());
    if kind == ActionKind::Obliterate
        && let Some(field) = form.fields.iter_mut().find(|field| field.name == "name")
    {
        field.hint = format!(
            "To confirm, type {}. This cannot be undone.",
            format::visible(&line.label)
        );
    }
    if let Fits::Queue(fits) = row.fits
        && let Fit::NotYet(why) = fits(line.paused, false)
    {
        form.refusal.get_or_insert_with(|| why.to_owned());
    }
    if let Some(job) = &job {
        form.hidden.extend(seen_fields(job));
        form.notes.push(format!("State now: {}.", job.row.state.label()));
        let again = matches!(kind, ActionKind::Retry | ActionKind::Duplicate);
        if again {
            form.notes.extend(runs_again(job));
        }
        if let (Some(why), ActionKind::EditData) = (unwritable(job.data.as_ref()), kind) {
            form.fields.retain(|field| field.name != "data");
            form.refusal.get_or_insert(why);
        }
        if again {
            keep_untouched(&mut form, job);
        }
        if is_masked && (again || kind == ActionKind::EditData) && hide_notes(&mut form, again) {
            form.links.push((
                "Show hidden values and edit from there".into(),
                format!("{}/{REVEAL}?write={word}", job_path(&on.queue, &on.target)),
            ));
        }
    }
    let hides = |value: &str| is_masked && holds_marker(value);
    if let Some(schedule) = &schedule
        && schedule
            .data
            .as_ref()
            .and_then(|data| data.text.as_deref())
            .is_some_and(hides)
    {
        form.fields.retain(|field| field.name != "data");
        form.notes.push(
            "The data of its jobs contains hidden values, so it stays as it is. Use the API to change it.".into(),
        );
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
        && kind == ActionKind::SaveSchedule
    {
        let date = |word: &str, at: Option<i64>| at.map(|at| format!("It {word} at {}; that stays.", format::iso(at)));
        form.notes.extend(date("begins", schedule.start));
        form.notes.extend(date("ends", schedule.end));
        form.notes.push("The options of its jobs stay as they are.".into());
    }
    if kind == ActionKind::RetryChildren && form.refusal.is_none() {
        match service.flow_preview(who, &on.queue, &on.target).await {
            Ok(notes) => form.notes.extend(notes),
            Err(Refusal::NotActed(why)) => form.refusal = Some(why.to_string()),
            Err(refusal) => return Err(refusal),
        }
    }
    if row.repeats {
        form.hidden.push(("key".into(), mint_id(crate::model::now())));
    }
    Ok(form)
}

/// The form for a schedule that is yet to be named.
fn new_schedule(app: &App, who: &Who, on: &On, line: &QueueSummary) -> FormPage {
    let kind = ActionKind::SaveSchedule;
    let mut all = fields(kind, None, Known::default());
    all.insert(
        0,
        field(
            "schedule_key",
            "Id of the schedule",
            FieldKind::Line,
            "",
            "Updates the schedule if this ID exists.",
            true,
        ),
    );
    all.push(reason());
    let intent = Intent::example(kind, "");
    FormPage {
        title: "Add a schedule".into(),
        sentence: about(on, &app.service().place_of(line)),
        refusal: intent.and_then(|intent| app.service().refusal_of(who, &on.queue, &intent)),
        action: on.path(),
        hidden: vec![("action".into(), NEW_SCHEDULE.into())],
        fields: all,
        submit: kind.row().title.into(),
        crumbs: crumbs(on, &line.label),
        ..FormPage::default()
    }
}

/// What a form is about, where what it does is yet to be filled in.
fn about(on: &On, place: &str) -> String {
    match on.of {
        Target::Job => format!("Job {} of {place}.", format::visible(&on.target)),
        Target::Queue => format!("For {place}."),
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
