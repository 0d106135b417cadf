//! What is taken out of jobs for callers who may not look into them. What remains tells that something is there.

use crate::model::flow::{Flow, FlowNode};
use crate::model::job::{Form, JobDetail, JobRow, LogPage, Payload, Progress};
use crate::model::schedule::Schedule;

const NOTE: &str = "not shown: the permission view_payload is needed to see job payloads";

fn payload(value: &mut Option<Payload>) {
    if let Some(value) = value {
        *value = Payload {
            size: value.size,
            text: None,
            shown: 0,
            form: Form::Text,
            note: Some(NOTE.into()),
        };
    }
}

fn progress(value: &mut Option<Progress>) {
    if matches!(value, Some(Progress::Text(_))) {
        *value = None;
    }
}

/// Out of a line: a progress that is more than a number. The first line of the error stays: it is what a list is for.
pub(super) fn row(row: &mut JobRow) {
    progress(&mut row.progress);
}

/// Out of a job: everything that it was given, returned or wrote.
pub(super) fn detail(job: &mut JobDetail) {
    row(&mut job.row);
    for value in [
        &mut job.data,
        &mut job.options,
        &mut job.progress,
        &mut job.result,
        &mut job.deferred_failure,
    ] {
        payload(value);
    }
    // Only what a list shows of the error: enough to tell which failure it is, without the data that it quotes.
    if let Some(error) = &mut job.error {
        let first = job.row.error.clone().unwrap_or_default();
        error.shown = first.len() as u64;
        error.form = Form::Text;
        error.text = Some(first);
    }
    job.traces.clear();
    job.traces_note = (job.traces_total > 0).then(|| format!("They are {NOTE}."));
    job.logs = LogPage {
        total: job.logs.total,
        ..LogPage::default()
    };
    job.fields.clear();
    // Settings stay: how often and when it is tried again is what an on-call viewer needs.
    for option in job.effective.iter_mut().filter(|option| option.payload) {
        option.value = "not shown".into();
    }
    job.withheld = true;
    job.oddities.push(format!(
        "Data, result, stacks, log and options that carry data are {NOTE}."
    ));
}

/// Out of a schedule: the data that its jobs get.
pub(super) fn schedule(schedule: &mut Schedule) {
    payload(&mut schedule.data);
}

/// Out of a flow: what relatives in queues that are not seen are.
pub(super) fn flow(flow: &mut Flow, sees: impl Fn(&str) -> bool) {
    let hide = |node: &mut FlowNode| {
        if node.queue.as_deref().is_none_or(&sees) {
            return;
        }
        *node = FlowNode {
            queue: node.queue.clone(),
            id: node.id.clone(),
            ..FlowNode::of_key(node.key.clone())
        };
    };
    flow.ancestors.iter_mut().for_each(hide);
    for branch in &mut flow.branches {
        branch.nodes.iter_mut().for_each(hide);
    }
}
