//! The same in the shapes of Statuspage's API (version 2), so that programs made for that read it unchanged.
//!
//! Two of their words do not fit what we know. They have none for "not known": the indicator is then `minor`, with the
//! description "No recent data", and the component's status `degraded_performance`, because anything that a program takes for
//! well would be a lie; `drover_state` says `unknown`. Drover has no incidents, so there are none.

use crate::model::status::{PublicComponent, PublicStatus, State};
use serde::Serialize;

/// `page`.
#[derive(Clone, Debug, Serialize)]
struct Page {
    id: &'static str,
    name: String,
    url: String,
    time_zone: &'static str,
    updated_at: String,
}

/// `status`.
#[derive(Clone, Debug, Serialize)]
struct Indicator {
    indicator: &'static str,
    description: &'static str,
}

/// One of `components`: a component or the heading of some.
#[derive(Clone, Debug, Serialize)]
struct Component {
    id: String,
    name: String,
    status: &'static str,
    created_at: String,
    updated_at: String,
    position: usize,
    description: Option<String>,
    showcase: bool,
    start_date: Option<String>,
    group_id: Option<String>,
    page_id: &'static str,
    group: bool,
    only_show_if_degraded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<Vec<String>>,
    /// Ours: the state in our own words.
    drover_state: State,
}

/// There are none.
type Nothing = [(); 0];

/// Everything; a file has some of it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<Page>,
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<Vec<Component>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incidents: Option<Nothing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_maintenances: Option<Nothing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Indicator>,
}

const ID: &str = "drover";

/// Ends of addresses. The last four are there because some programs ask for them alone.
pub const PATHS: [&str; 8] = [
    "summary.json",
    "status.json",
    "components.json",
    "incidents.json",
    "scheduled-maintenances.json",
    "incidents/unresolved.json",
    "scheduled-maintenances/upcoming.json",
    "scheduled-maintenances/active.json",
];

/// All files, by the ends of their addresses.
#[must_use]
pub(super) fn all(status: &PublicStatus, url: &str) -> [(&'static str, Answer); 8] {
    let page = Some(Page {
        id: ID,
        name: status.name.clone(),
        url: url.to_owned(),
        time_zone: "Etc/UTC",
        updated_at: status.updated_at.clone().unwrap_or_else(|| status.since.clone()),
    });
    let components = components(status);
    let indicator = indicator(status);
    PATHS.map(|path| {
        let mut answer = Answer {
            page: page.clone(),
            ..Answer::default()
        };
        if matches!(path, "summary.json" | "components.json") {
            answer.components = Some(components.clone());
        }
        if matches!(path, "summary.json" | "status.json") {
            answer.status = Some(indicator.clone());
        }
        if path == "summary.json" || path.starts_with("incidents") {
            answer.incidents = Some([]);
        }
        if path == "summary.json" || path.starts_with("scheduled") {
            answer.scheduled_maintenances = Some([]);
        }
        (path, answer)
    })
}

const fn word(state: State) -> &'static str {
    match state {
        State::Unknown => State::DegradedPerformance.as_str(),
        state => state.as_str(),
    }
}

/// In the words that Statuspage has for the whole.
fn indicator(status: &PublicStatus) -> Indicator {
    let all = status
        .components
        .iter()
        .all(|component| component.state == status.state);
    let (indicator, description) = match status.state {
        State::Operational => ("none", "All Systems Operational"),
        State::UnderMaintenance => ("minor", "Service Under Maintenance"),
        State::Unknown => ("minor", "No recent data"),
        State::DegradedPerformance => ("minor", "Partially Degraded Service"),
        State::MajorOutage if all => ("critical", "Major Service Outage"),
        State::PartialOutage | State::MajorOutage => ("major", "Partial System Outage"),
    };
    Indicator { indicator, description }
}

fn components(status: &PublicStatus) -> Vec<Component> {
    let mut groups: Vec<(&str, Vec<&PublicComponent>)> = Vec::new();
    for component in &status.components {
        let Some(name) = component.group.as_deref() else {
            continue;
        };
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, members)) => members.push(component),
            None => groups.push((name, vec![component])),
        }
    }
    let id = |n: usize| format!("group-{}", n + 1);
    let mut all = Vec::new();
    for component in &status.components {
        let of = |name: &String| groups.iter().position(|(known, _)| known == name);
        all.push(Component {
            id: component.id.clone(),
            name: component.name.clone(),
            status: word(component.state),
            created_at: component.since.clone(),
            updated_at: component.since.clone(),
            position: all.len() + 1,
            description: component.description.clone(),
            showcase: true,
            start_date: component.history.days.first().map(|day| day.date.clone()),
            group_id: component.group.as_ref().and_then(of).map(id),
            page_id: ID,
            group: false,
            only_show_if_degraded: false,
            components: None,
            drover_state: component.state,
        });
    }
    for (n, (name, members)) in groups.iter().enumerate() {
        let Some(worst) = members.iter().max_by_key(|component| component.state.weight()) else {
            continue;
        };
        all.push(Component {
            id: id(n),
            name: (*name).to_owned(),
            status: word(worst.state),
            created_at: worst.since.clone(),
            updated_at: worst.since.clone(),
            position: all.len() + 1,
            description: None,
            showcase: true,
            start_date: None,
            group_id: None,
            page_id: ID,
            group: true,
            only_show_if_degraded: false,
            components: Some(members.iter().map(|component| component.id.clone()).collect()),
            drover_state: worst.state,
        });
    }
    all
}
