//! The links to operations from a list of jobs: the actions on the ticked jobs, and on all that match a filter.
//!
//! Rendered by the server alone, as text that a browser does not change. The boxes of the rows belong to the form here
//! by its id.

use super::path;
use crate::base_path::BasePath;
use crate::model::action::JobAction;
use crate::model::action::catalogue::ActionKind;
use crate::model::address::encode_segment;
use crate::model::capability::Capabilities;
use crate::model::error_text::common_part;
use crate::model::filter::{FILTER_MAX, JobFilter};
use crate::model::form::Offer;
use crate::model::format;
use crate::model::operation::Operation;
use crate::model::operation::page::{Wanted, filter_of, percent};
use crate::model::page::QueuePage;
use crate::model::queue::QueueRef;
use crate::model::state::JobState;
use crate::model::tick::FORM;
use crate::ui::pages::act;
use leptos::prelude::*;

/// The actions on the jobs of a page, as far as the offer has them; `letters` says that they are dead letters of
/// another queue.
pub fn view(base: &BasePath, page: &QueuePage, can: &Capabilities, offer: &Offer, letters: bool) -> AnyView {
    let queue = page.queue.key();
    let state = page.state;
    let may = |word: &str| {
        offer
            .safe
            .iter()
            .chain(&offer.danger)
            .any(|offered| offered.word == word)
    };
    // The list says why it is none.
    if page.jobs.is_err() && !can.generation.states.contains(&state) {
        return ().into_any();
    }
    let usual = Wanted::in_state(Some(state));
    if offer.safe.is_empty() && offer.danger.is_empty() {
        let lacks = act::lacks(offer);
        let kind = JobAction::from(usual).kind();
        let refused = refusal(kind, can, offer).filter(|_| lacks.is_none());
        let refused = refused.map(|why| view! { <ul class="not-now"><li>{why}</li></ul> });
        return view! { <div class="tools">{lacks}{refused}</div> }.into_any();
    }
    let archive = may("archive");
    let whole = whole(base, &queue, &may, letters, can);
    let lacks = act::lacks(offer);
    let waits = matches!(state, JobState::Waiting | JobState::Delayed);
    let first = match usual {
        _ if letters && waits => Wanted::Redrive,
        usual if can.refusal_in(JobAction::from(usual).kind(), state).is_some() => Wanted::Remove(false),
        usual => usual,
    };
    let removes = may("remove") && can.refusal_in(ActionKind::Remove, state).is_none();
    // What runs is the worker's.
    if state == JobState::Active || !(removes || archive || may(first.word())) {
        return view! { <div class="tools">{whole}{lacks}</div> }.into_any();
    }
    let safe = match first {
        _ if !may(first.word()) => None,
        Wanted::Remove(_) | Wanted::Archive => None,
        Wanted::Redrive => Some(view! { <button name="action" value="redrive">"Redrive selected…"</button> }),
        Wanted::Resume => Some(view! { <button name="action" value="resume_job">"Resume selected…"</button> }),
        Wanted::Promote => Some(view! { <button name="action" value="promote">"Promote selected…"</button> }),
        Wanted::Retry(_) => Some(view! { <button name="action" value="retry">"Retry selected…"</button> }),
    };
    let finished = matches!(state, JobState::Completed | JobState::Failed);
    let keep =
        (archive && finished).then(|| view! { <button name="action" value="archive">"Archive selected…"</button> });
    // One of the two is allowed, or the form is not rendered.
    let word = if may(first.word()) { first.word() } else { "remove" };
    let listed = page.text.as_deref().and_then(|text| JobFilter::in_list(text).ok());
    let filter = JobFilter {
        states: vec![state],
        queues: filter_of(&queue, state, None).queues,
        ..listed.unwrap_or_default()
    };
    let matching = may(word).then(|| {
        view! {
        <form class="matching" method="get" action=base.href("/operations/new") aria-label="All jobs that match">
            <input type="hidden" name="action" value=word/>
            <label class="sr-only" for="matching">"Filter"</label>
            <input
                id="matching"
                name="filter"
                class="language"
                value=filter.to_string()
                maxlength=FILTER_MAX.to_string()
                spellcheck="false"
                autocapitalize="off"
                autocomplete="off"
                title="Such as error:\"timed out\" name:charge* age:>2h attempts:>=3"
            />
            <button>"Act on all that match…"</button>
        </form>
        }
    });
    view! {
        <div class="tools">
            <form id=FORM class="ticked" method="post" action=base.href("/operations/preview") aria-label="Selected jobs">
                <input type="hidden" name="ticked" value=queue.to_string()/>
                <input type="hidden" name="state" value=state.as_str()/>
                {safe}
                {keep}
                {removes.then(|| view! { <button class="danger" name="action" value="remove">"Remove selected…"</button> })}
            </form>
            {matching}
            {whole}
            {lacks}
        </div>
    }
    .into_any()
}

/// Of many refusals the one of what is usually done to these jobs.
fn refusal(usual: ActionKind, can: &Capabilities, offer: &Offer) -> Option<String> {
    let label = format!("{}: ", usual.row().many);
    let said = offer.refused.iter().find(|why| why.starts_with(&label)).cloned();
    // A reason that several actions share is in the offer once, under the first of them.
    let shared = can.refusal(usual).filter(|_| can.generation.unsupported.is_none());
    said.or_else(|| shared.map(|why| format!("{label}{why}")))
        .or_else(|| offer.refused.first().cloned())
}

/// The actions on whole states of a queue: each leads to a preview, and nothing is done before that.
fn whole(base: &BasePath, queue: &QueueRef, may: &dyn Fn(&str) -> bool, letters: bool, can: &Capabilities) -> AnyView {
    let archive = may("archive");
    let button = |label: &'static str, action: &'static str, states: &[JobState]| {
        if !may(action) {
            return ().into_any();
        }
        let filter = JobFilter {
            states: states.to_vec(),
            queues: vec![queue.to_string()],
            ..JobFilter::default()
        };
        let class = (action == "remove").then_some("danger");
        view! {
            <form method="post" action=base.href("/operations/preview")>
                <input type="hidden" name="action" value=action/>
                <input type="hidden" name="filter" value=filter.to_string()/>
                <button class=class>{label}</button>
            </form>
        }
        .into_any()
    };
    let old = JobFilter {
        states: vec![JobState::Completed],
        queues: vec![queue.to_string()],
        older: Some(DAY_MS),
        ..JobFilter::default()
    };
    let (action, clean_words) = if archive {
        ("archive", "Archive or clean by state, age and count…")
    } else {
        ("remove", "Clean by state, age and count…")
    };
    let clean = base.href(&format!(
        "/operations/new?action={action}&filter={}",
        encode_segment(&old.to_string())
    ));
    let clean_class = if archive { "button" } else { "button danger" };
    let keep = archive.then(|| {
        view! {
            {button("Archive all failed…", "archive", &[JobState::Failed])}
            {button("Archive all completed…", "archive", &[JobState::Completed])}
        }
    });
    let obliterates = can.refusal(ActionKind::Obliterate).is_none();
    let redrive = letters.then(|| button("Redrive all…", "redrive", &[JobState::Waiting, JobState::Delayed]));
    let (waiting, delayed) = ([JobState::Waiting, JobState::Prioritized], JobState::Delayed);
    view! {
        <details class="whole">
            <summary>"Whole queue…"</summary>
            <div class="acts">
                {button("Retry all failed…", "retry", &[JobState::Failed])}
                {button("Promote all delayed…", "promote", &[delayed])}
                {button("Resume all cancelled…", "resume_job", &[JobState::Cancelled])}
                {redrive}
                {keep}
            </div>
            <div class="acts">
                {(archive || may("remove")).then(|| view! { <a class=clean_class href=clean>{clean_words}</a> })}
                {button("Drain: remove all waiting jobs…", "remove", &waiting)}
                {button("Drain with delayed…", "remove", &[waiting[0], waiting[1], delayed])}
            </div>
            <p><small>"Each shows a preview first; nothing is done until you start it."{obliterates.then_some(" Obliterate is beside the queue's facts.")}</small></p>
        </details>
    }
    .into_any()
}

/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// The form for all failed jobs of a queue with an error of the same kind: its filter has the part that such errors
/// share, and the user can edit it.
pub fn same_error(base: &BasePath, queue: &QueueRef, error: &str) -> String {
    let filter = filter_of(queue, JobState::Failed, Some(common_part(error))).to_string();
    base.href(&format!(
        "/operations/new?action=retry&filter={}",
        encode_segment(&filter)
    ))
}

/// A line for an open operation: `Retrying 41,212 jobs: 63 %`.
pub fn line(base: &BasePath, operation: &Operation) -> AnyView {
    let doing = operation.action.kind().row().doing;
    let n = super::jobs(operation.totals.selected);
    let text = format!("{doing} {n}: {} %", percent(operation));
    let who = format::visible(&operation.who);
    view! {
        <div class="under-way">
            <dt>"Operation"</dt>
            <dd>
                <a href=base.href(&path(&operation.id))>{text}</a>
                " "
                {operation.state.word()}
                ", by "
                {who}
            </dd>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::capability::Generation;
    use crate::model::system::System;
    use std::collections::BTreeMap;

    #[test]
    fn of_many_refusals_the_usual_action_is_explained() {
        let generation = Generation {
            system: System::Celery,
            layout: "celery".into(),
            label: "Celery".into(),
            unsupported: None,
            states: vec![JobState::Waiting],
            evidence: BTreeMap::new(),
            uncounted: None,
        };
        let can = Capabilities::new(generation, |_| Err("Drover only reads it."), |_| Ok(()));
        let mut offer = Offer {
            refused: vec!["Redrive: there are no dead letters.".into()],
            ..Offer::default()
        };
        let said = |offer: &Offer, can: &Capabilities| refusal(ActionKind::Remove, can, offer);
        assert_eq!(said(&offer, &can).as_deref(), Some("Remove: Drover only reads it."));
        offer.refused.push("Remove: it is running.".into());
        assert_eq!(said(&offer, &can).as_deref(), Some("Remove: it is running."));
        let can = Capabilities::new(can.generation, |_| Ok(()), |_| Ok(()));
        offer.refused.truncate(1);
        assert_eq!(
            said(&offer, &can).as_deref(),
            Some("Redrive: there are no dead letters.")
        );
    }
}
