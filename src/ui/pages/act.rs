//! The buttons of a page's actions, and the form before an action.
//!
//! Plain forms. Harmless actions are together; actions that cannot be undone are folded away below them and look
//! different. An action that is impossible now is a sentence instead of a button.

use crate::model::audit::AuditEntry;
use crate::model::error::Outcome;
use crate::model::form::{Field, FieldKind, FormPage, Offer, Offered, QueueOffer, Undo};
use crate::model::format;
use crate::model::state::JobState;
use crate::ui::context::base;
use leptos::prelude::*;

/// More reasons than these are folded away.
const FOLD: usize = 2;

/// The buttons of an offer. `send` is the complete address of its forms; `of` distinguishes targets on one page, and is
/// empty where there is one.
pub fn buttons(offer: &Offer, send: &str, of: &str) -> AnyView {
    let fold = if of.is_empty() { "Danger zone…" } else { "More…" };
    let one = |offered: &Offered| {
        let (word, label) = (offered.word.clone(), offered.label.clone());
        if !offered.at_once {
            let joint = if send.contains('?') { '&' } else { '?' };
            return view! { <a class="button" href=format!("{send}{joint}action={word}")>{label}</a> }.into_any();
        }
        let key = offered.key.as_ref().map(|key| ("key".into(), format!("{key}{of}")));
        let hidden = offer.hidden.iter().cloned().chain(key).map(unseen).collect_view();
        view! {
            <form method="post" action=send.to_owned()>
                <input type="hidden" name="action" value=word/>
                {hidden}
                <button>{label}</button>
            </form>
        }
        .into_any()
    };
    let safe: Vec<AnyView> = offer.safe.iter().map(one).collect();
    let danger: Vec<AnyView> = offer.danger.iter().map(one).collect();
    let safe = (!safe.is_empty()).then(|| view! { <div class="acts">{safe}</div> });
    let danger = (!danger.is_empty()).then(|| {
        view! { <details class="danger"><summary>{fold}</summary><div class="acts">{danger}</div></details> }
    });
    let refused = (!offer.refused.is_empty()).then(|| {
        let lines = offer
            .refused
            .iter()
            .map(|why| view! { <li>{why.clone()}</li> })
            .collect_view();
        let list = view! { <ul class="not-now">{lines}</ul> };
        if offer.refused.len() > FOLD {
            view! { <details class="cannot"><summary>"Unavailable actions…"</summary>{list}</details> }.into_any()
        } else {
            list.into_any()
        }
    });
    view! { <div class="act">{safe}{danger}{lacks(offer)}{refused}</div> }.into_any()
}

/// What our user in the store may not do.
pub fn lacks(offer: &Offer) -> Option<AnyView> {
    let why = offer.lacks.clone()?;
    Some(view! { <ul class="not-now"><li>{why}</li></ul> }.into_any())
}

/// What was done, or why it was not: one sentence, with the job that it created and the button that undoes it. `state`
/// is the job's state now, where the page shows it.
pub fn told(entry: &AuditEntry, state: Option<JobState>, undo: Option<&Undo>) -> AnyView {
    let class = match entry.outcome {
        Outcome::Done => "asked done",
        Outcome::None => "asked not-done",
        Outcome::Partial | Outcome::Unknown => "asked unknown",
    };
    let base = base();
    let new = entry.new_job().map(|job| {
        let href = base.job(&entry.queue, job);
        view! { " New job: "<a href=href>{format::visible(job)}</a>"." }
    });
    // The state that the action found says so already.
    let now = state
        .filter(|_| entry.result != "changed")
        .map(|state| format!(" It is now {}.", state.label()));
    let undo = undo.map(|undo| {
        let hidden = undo.hidden.iter().cloned().map(unseen).collect_view();
        view! {
            <form method="post" action=base.href(&undo.action)>{hidden}<button>{undo.label.clone()}</button></form>
        }
    });
    view! {
        <div class=class role="status" title=format!("{}: {}", format::moment(entry.at), entry.sentence)>
            <p>{entry.told()}{new}{now}</p>
            {undo}
        </div>
    }
    .into_any()
}

/// The same with the time and the user, for an action of a while ago.
fn told_since(entry: &AuditEntry) -> AnyView {
    let since = format!("{}, {}:", format::clock(entry.at), format::visible(&entry.who));
    view! {
        <div class="since">
            <small><time datetime=format::iso(entry.at) title=format::moment(entry.at)>{since}</time></small>
            {told(entry, None, None)}
        </div>
    }
    .into_any()
}

fn unseen((name, value): (String, String)) -> AnyView {
    view! { <input type="hidden" name=name value=value/> }.into_any()
}

/// The actions on a queue, who paused it, and the last action that was asked for.
pub fn of_queue(offer: &QueueOffer, send: &str) -> AnyView {
    let paused = offer.paused.as_ref().map(|entry| {
        let ago = format::span(offer.now.saturating_sub(entry.at));
        let why = entry
            .reason
            .as_ref()
            .map_or_else(String::new, |why| format!(": {}", format::visible(why)));
        let words = format!("Paused {ago} ago by {} ({}){why}", entry.who, entry.address);
        view! { <p class="paused-by" title=format::moment(entry.at)>{words}</p> }
    });
    let last = offer.offer.last.as_ref().map(told_since);
    view! {
        <section id="act" class="queue-act" aria-label="Actions">{paused}{buttons(&offer.offer, send, "")}{last}</section>
    }
    .into_any()
}

#[component]
pub fn FormView(form: FormPage) -> impl IntoView {
    let base = base();
    let back = form.crumbs.last().map(|(_, path)| base.href(path)).unwrap_or_default();
    let last = form.crumbs.len().saturating_sub(1);
    let crumbs = form
        .crumbs
        .iter()
        .enumerate()
        .map(|(i, (label, path))| {
            let up = (i == last).then_some("");
            view! { <a href=base.href(path) data-up=up>{label.clone()}</a> }
        })
        .collect_view();
    let notes = form
        .notes
        .into_iter()
        .map(|note| view! { <p class="note">{note}</p> })
        .collect_view();
    let links = form
        .links
        .into_iter()
        .map(|(label, path)| view! { <p class="note"><a href=base.href(&path)>{label}</a></p> })
        .collect_view();
    let hidden = form.hidden.into_iter().map(unseen).collect_view();
    let class = if form.danger { "form danger" } else { "form" };
    let below = match form.refusal {
        Some(why) => {
            view! { <p class="refusal" role="status">{format!("This cannot be done now: {why}")}</p> }.into_any()
        }
        None => {
            let fields = form.fields.into_iter().map(input).collect_view();
            view! {
                {hidden}
                {fields}
                <p class="acts"><button class="go">{form.submit}</button><a class="button" href=back>"Back"</a></p>
            }
            .into_any()
        }
    };
    view! {
        <nav class="crumbs" aria-label="Breadcrumbs">{crumbs}</nav>
        <form class=class method="post" action=base.href(&form.action)>
            <h1>{form.title}</h1>
            <p class="sentence">{form.sentence}</p>
            {notes}
            {links}
            {form.error.map(|why| view! { <p class="error" role="alert">{format!("Nothing was done. {why}")}</p> })}
            {below}
        </form>
    }
    .into_any()
}

/// A field with its label and a few words.
fn input(field: Field) -> AnyView {
    let id = format!("f-{}", field.name);
    let hint_id = format!("h-{}", field.name);
    let hint = (!field.hint.is_empty()).then(|| view! { <small id=hint_id.clone()>{field.hint.clone()}</small> });
    let described = hint.is_some().then(|| hint_id.clone());
    let required = field.required;
    let (name, value) = (field.name, field.value);
    if field.kind == FieldKind::Tick {
        let ticked = value == "true";
        return view! {
            <p class="tick"><input id=id.clone() type="checkbox" name=name value="true" checked=ticked/>" "<label for=id>{field.label}</label></p>
        }
        .into_any();
    }
    let control = match field.kind {
        FieldKind::Area => view! {
            <textarea
                id=id.clone()
                name=name
                rows="14"
                spellcheck="false"
                required=required
                aria-describedby=described
                inner_html=area_text(&value)
            ></textarea>
        }
        .into_any(),
        FieldKind::Number => view! {
            <input id=id.clone() type="number" min="0" step="any" inputmode="decimal" name=name value=value required=required aria-describedby=described/>
        }
        .into_any(),
        FieldKind::Line | FieldKind::Tick => view! {
            <input id=id.clone() type="text" autocomplete="off" maxlength="4096" name=name value=value required=required aria-describedby=described/>
        }
        .into_any(),
    };
    view! { <p class="field"><label for=id>{field.label}</label>{control}{hint}</p> }.into_any()
}

/// The content of a text area, as markup: Leptos does not change its children. A browser drops the first line break, so
/// this adds one.
fn area_text(text: &str) -> String {
    format!("\n{}", format::escape(text))
}
