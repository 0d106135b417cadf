//! The flow: the parents above the job, and its children by outcome.
//!
//! "More" links to the next page of that kind, a relative to its own page, a child's children to the flow on its page.

use super::Shown;
use crate::model::address::encode_segment;
use crate::model::flow::{Branch, ChildKind, FlowNode};
use crate::model::format;
use crate::model::job::Children;
use crate::model::state::JobState;
use crate::ui::components::{Ago, StateMark};
use leptos::prelude::*;

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
                {flow.branches.into_iter().map(|b| branch(shown, b)).collect_view()}
            </section>
        })
    })
    .into_any()
}

/// Deep flows are rare; deeper levels are not indented further.
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

fn branch(shown: Shown, branch: Branch) -> AnyView {
    let kind = branch.kind;
    let heading = format!("{} {kind}", format::count(branch.total));
    let from_start = branch.from.map(|_| {
        let href = shown.place.with_value(|place| place.page(&format!("children={kind}"))) + "#flow";
        view! { <span class="sep" aria-hidden="true">" · "</span><a href=href>"From the first"</a> }
    });
    let more = branch.next.map(|cursor| {
        let query = format!("children={kind}&from={}", encode_segment(&cursor));
        let href = shown.place.with_value(|place| place.page(&query)) + "#flow";
        view! { <li><a href=href>"More"</a></li> }
    });
    view! {
        <div class="branch">
            <h3>{heading}{from_start}</h3>
            <ul class="tree">
                {branch.nodes.iter().map(|node| child(shown, node, kind)).collect_view()}
                {more}
            </ul>
        </div>
    }
    .into_any()
}

/// A child, with a link to its own children.
fn child(shown: Shown, node: &FlowNode, kind: ChildKind) -> AnyView {
    let open = node
        .children
        .zip(node.queue.as_ref().zip(node.id.as_ref()).filter(|_| node.known))
        .map(|(children, (queue, id))| {
            let href = shown.place.with_value(|p| p.job(queue, id)) + "#flow";
            view! { <span class="sep" aria-hidden="true">" · "</span><a class="open" href=href>{summary(children)}</a> }
        });
    view! { <li>{line(shown, node, Some(kind))}{open}</li> }.into_any()
}

/// A relative, in one line.
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
    // A child that is pending and cannot finish blocks its parent indefinitely.
    let stuck = match (node.removed, node.state) {
        _ if kind != Some(ChildKind::Pending) => None,
        (true, _) => Some("its parent waits for it"),
        (false, Some(JobState::Failed)) => Some("failed, and its parent waits for it: retry or remove it"),
        _ => None,
    };
    // The sentences that apply, one after the other.
    let parts = [queue, result, unknown.map(str::to_owned), stuck.map(str::to_owned)];
    let said: Vec<String> = parts.into_iter().flatten().collect();
    let between = (!said.is_empty() && at.is_some()).then_some(" · ");
    view! {
        {state}" "{who}" "
        <small>
            {said.join(" · ")}{between}
            {at.map(|at| view! { <Ago at=Some(at)/> })}
        </small>
        " "
        {node.error.as_ref().map(|error| view! { <span class="why">{format::visible(error)}</span> })}
    }
    .into_any()
}
