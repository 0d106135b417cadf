//! What happened when, and how long each part took.

use crate::model::format;
use crate::model::job::JobDetail;
use crate::model::timeline::{Doing, Step, steps};
use crate::ui::components::{Ago, Due};
use crate::ui::live::Live;
use leptos::prelude::*;

/// The history of the job, step by step.
pub fn timeline(job: RwSignal<JobDetail>) -> AnyView {
    let steps = super::part(job, steps);
    view! { <ol class="timeline">{move || steps.get().into_iter().map(step).collect_view()}</ol> }.into_any()
}

const fn look(doing: Doing) -> &'static str {
    match doing {
        Doing::Waited => "gap waited",
        Doing::Held => "gap held",
        Doing::Ran => "gap ran",
        Doing::Mixed => "gap mixed",
    }
}

fn step(step: Step) -> AnyView {
    let live = expect_context::<Live>();
    match step {
        Step::Moment { what, at } => view! {
            <li><b>{what}</b><Ago at=Some(at)/><small data-moment=at.to_string()>{move || live.moment(at)}</small></li>
        }
        .into_any(),
        Step::Due { what, at } => view! {
            <li class="ahead"><b>{what}</b><Due at=Some(at)/><small data-moment=at.to_string()>{move || live.moment(at)}</small></li>
        }
        .into_any(),
        Step::Span { doing, what, ms } => {
            view! { <li class=look(doing)>{what}" "<b>{format::duration(ms)}</b></li> }.into_any()
        }
        Step::Open { doing, what, since } => {
            let so_far = move || format::span(live.now.get().saturating_sub(since));
            view! { <li class=look(doing)>{what}" "<b>{so_far}" so far"</b></li> }.into_any()
        }
        Step::Note(text) => view! { <li class="gap note"><small>{text}</small></li> }.into_any(),
    }
}
