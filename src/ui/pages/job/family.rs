//! The flow: the parents above the job, and its children by what became of them.
//!
//! Every link works as a link: "more" leads to the next page of that kind, a relative to its own page.
//! With JavaScript more children are put below the ones shown, and a child's children open in place.

use super::Shown;
use crate::model::event::encode_segment;
use crate::model::flow::{Branch, ChildKind, Flow, FlowNode};
use crate::model::format;
use crate::model::job::Children;
use crate::ui::components::{Ago, StateMark};
use crate::ui::live;
use leptos::prelude::*;

/// Whether the address asked for other children than the first.
pub fn was_opened(flow: &Flow) -> bool {
    flow.branches.iter().any(|branch| branch.from.is_some())
}

/// The section, if the job has relatives.
pub fn family(shown: Shown) -> AnyView {
    (move || {
        let flow = shown.flow.get()?;
        let counts = flow.job.children;
        let mut tree = vec![];
        for (depth, node) in flow.ancestors.iter().enumerate() {
            tree.push(view! { <li class=indent(depth)>{line(shown, node, None)}</li> }.into_any());
        }
        let own = indent(flow.ancestors.len());
        let name = flow.job.name.clone().unwrap_or_default();
        let id = flow.job.id.clone().unwrap_or_default();
        Some(view! {
            <section class="span flow" aria-labelledby="flow">
                <div class="value-head"><h2 id="flow">"Flow"</h2><small>{counts.map(summary)}</small></div>
                {flow.ancestors_note.map(|note| view! { <p class="empty">{note}</p> })}
                <ul class="tree">
                    {tree}
                    <li class=own aria-current="true"><b>"this job"</b>" "{format::visible(&name)}" "{format::visible(&id)}</li>
                </ul>
                {branches(shown, flow.branches, &None)}
            </section>
        })
    })
    .into_any()
}

/// Deep flows are rare; deeper than this nothing moves further to the right.
const fn indent(depth: usize) -> &'static str {
    match depth {
        0 => "d0",
        1 => "d1",
        2 => "d2",
        3 => "d3",
        _ => "d4",
    }
}

/// How many children there are, and of which kind.
pub fn summary(children: Children) -> String {
    let kinds: Vec<String> = ChildKind::ALL
        .into_iter()
        .filter(|kind| kind.of(&children) > 0)
        .map(|kind| format!("{} {kind}", format::count(kind.of(&children))))
        .collect();
    let total = children.total();
    let word = if total == 1 { "child" } else { "children" };
    format!("{} {word}: {}", format::count(total), kinds.join(", "))
}

/// Queue and id of another job than the page's own.
type Other = Option<(String, String)>;

/// The branches of the page's own job, or of another one below it.
fn branches(shown: Shown, branches: Vec<Branch>, other: &Other) -> AnyView {
    let draw = |b| branch(shown, b, other.clone());
    branches.into_iter().map(draw).collect_view().into_any()
}

fn branch(shown: Shown, branch: Branch, other: Other) -> AnyView {
    let kind = branch.kind;
    let nodes = RwSignal::new(branch.nodes);
    let next = RwSignal::new(branch.next);
    let heading = format!("{} {kind}", format::count(branch.total));
    let from_start = branch.from.filter(|_| other.is_none()).map(|_| {
        let href = shown.place.with_value(|place| place.page(&format!("children={kind}"))) + "#flow";
        view! { <a href=href>"From the first"</a> }
    });
    let of = StoredValue::new(match other {
        Some((queue, id)) => shown.place.with_value(|p| p.other(&queue, &id)),
        None => shown.place.get_value(),
    });
    let more = move || {
        next.get().map(|cursor| {
            let query = format!("children={kind}&from={}", encode_segment(&cursor));
            let href = of.with_value(|place| place.page(&query)) + "#flow";
            let load = move |event: leptos::ev::MouseEvent| {
                event.prevent_default();
                shown.flow_touched.set(true);
                let url = of.with_value(|place| place.api(&format!("/flow?{query}")));
                live::fetch_json::<Flow>(url, move |flow| {
                    let Some(branch) = flow.and_then(|flow| flow.branches.into_iter().next()) else {
                        return;
                    };
                    nodes.update(|nodes| nodes.extend(branch.nodes));
                    next.set(branch.next);
                });
            };
            view! { <li><a href=href on:click=load>"More"</a></li> }
        })
    };
    view! {
        <div class="branch">
            <h3>{heading}" "{from_start}</h3>
            <ul class="tree">
                {move || nodes.with(|nodes| nodes.iter().map(|node| child(shown, node, kind)).collect_view())}
                {more}
            </ul>
        </div>
    }
    .into_any()
}

/// A child, and its own children when they are opened.
fn child(shown: Shown, node: &FlowNode, kind: ChildKind) -> AnyView {
    let below: RwSignal<Option<Flow>> = RwSignal::new(None);
    let open = node
        .children
        .zip(node.queue.clone().zip(node.id.clone()).filter(|_| node.known))
        .map(|(children, (queue, id))| {
            let href = shown.place.with_value(|p| p.job(&queue, &id)) + "#flow";
            let load = move |event: leptos::ev::MouseEvent| {
                event.prevent_default();
                shown.flow_touched.set(true);
                if below.with_untracked(Option::is_some) {
                    return below.set(None);
                }
                let url = shown.place.with_value(|p| p.other(&queue, &id).api("/flow"));
                live::fetch_json::<Flow>(url, move |flow| below.set(flow));
            };
            view! { <a class="open" href=href on:click=load>{summary(children)}</a> }
        });
    let under = move || {
        below.get().map(|flow| {
            let other = flow.job.queue.zip(flow.job.id);
            view! { <div class="under">{branches(shown, flow.branches, &other)}</div> }
        })
    };
    view! { <li>{line(shown, node, Some(kind))}" "{open}{under}</li> }.into_any()
}

/// A relative in a line.
fn line(shown: Shown, node: &FlowNode, kind: Option<ChildKind>) -> AnyView {
    let name = node.name.as_deref().map(format::visible).unwrap_or_default();
    let state = match (node.state, node.removed) {
        (_, true) => view! { <span class="state gone"><i aria-hidden="true">"·"</i>"removed"</span> }.into_any(),
        (Some(state), false) => view! { <StateMark state=Signal::stored(state)/> }.into_any(),
        (None, false) => ().into_any(),
    };
    let who = match (&node.queue, &node.id) {
        (Some(queue), Some(id)) if node.known && !node.removed => {
            let href = shown.place.with_value(|p| p.job(queue, id));
            view! { <a href=href data-row="">{name}" "{format::visible(id)}</a> }.into_any()
        }
        _ => view! { <span>{name}" "{format::visible(&node.key)}</span> }.into_any(),
    };
    let queue = node
        .queue
        .as_ref()
        .filter(|queue| shown.place.with_value(|p| p.key.queue != **queue))
        .map(|queue| format!("in {}", format::visible(queue)));
    let unknown = (!node.known && !node.removed).then_some("its queue is not on the board");
    let result = match kind {
        Some(ChildKind::Completed) => node.result_size.map(|size| format!("result {}", format::bytes(size))),
        _ => None,
    };
    let at = node.finished.or(node.created);
    // A failed child that is still pending holds its parent up for ever.
    let stuck = (kind == Some(ChildKind::Pending) && node.state == Some(crate::model::state::JobState::Failed))
        .then_some("failed, and its parent waits for it: retry or remove it");
    view! {
        {state}" "{who}
        <small>
            {queue}" "{result}" "{unknown}" "{stuck}" "
            {at.map(|at| view! { <Ago at=Some(at)/> })}
        </small>
        {node.error.as_ref().map(|error| view! { <span class="why">{format::visible(error)}</span> })}
    }
    .into_any()
}
