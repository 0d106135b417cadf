//! Everything that can be fetched: each route of the router that answers a GET, filled in with the existing objects.

use crate::support::app::Drover;
use drover::model::address::encode_segment;
use drover::server::http::router::declared;

/// The values that addresses are filled in with.
pub(crate) struct Known {
    /// Store, queue, its jobs and their fields.
    pub(crate) queues: Vec<(&'static str, &'static str, Vec<String>, Vec<&'static str>)>,
    pub(crate) schedule: (&'static str, &'static str, &'static str),
    pub(crate) operations: Vec<String>,
    pub(crate) archived: Vec<String>,
}

/// The paths of all routes that answer a GET.
fn routes() -> Vec<String> {
    let read = declared().into_iter().filter(|route| route.method == "GET");
    read.map(|route| route.path.to_owned())
        // Files that are part of the program.
        .filter(|path| {
            !matches!(
                path.as_str(),
                "/pkg/{file}" | "/{file}" | "/events" | "/time" | "/theme"
            )
        })
        .collect()
}

impl Known {
    fn filled(&self, route: &str) -> Vec<String> {
        let mut paths = Vec::new();
        if route.contains("{queue}") && route.contains("{key}") {
            let (store, queue, key) = self.schedule;
            paths.push(fill(route, &[("store", store), ("queue", queue), ("key", key)]));
        } else if route.contains("{queue}") {
            for (store, queue, jobs, fields) in &self.queues {
                let path = fill(route, &[("store", store), ("queue", queue)]);
                let of_jobs: Vec<String> = match path.contains("{job}") {
                    true => jobs.iter().map(|job| fill(&path, &[("job", job)])).collect(),
                    false => vec![path],
                };
                for path in of_jobs {
                    match path.contains("{field}") {
                        true => paths.extend(fields.iter().map(|field| fill(&path, &[("field", field)]))),
                        false => paths.push(path),
                    }
                }
            }
        } else if route.contains("{store}") {
            for store in ["redis", "postgres"] {
                paths.push(fill(route, &[("store", store), ("series", "memory.svg")]));
            }
        } else if route.contains("/operations/{id}") {
            let all = self.operations.iter();
            paths.extend(all.map(|id| fill(route, &[("id", id), ("control", "pause")])));
        } else if route.contains("/archive/jobs/{id}") {
            for id in &self.archived {
                for field in ["data", "opts", "failedReason", "output", ":logs"] {
                    paths.push(fill(route, &[("id", id), ("field", field)]));
                }
            }
        } else {
            paths.push(fill(route, &[("id", "none"), ("word", "run")]));
        }
        paths.dedup();
        paths
    }
}

fn fill(route: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(route.to_owned(), |path, (name, value)| {
        path.replace(&format!("{{{name}}}"), &encode_segment(value))
    })
}

/// The queries for a route, besides none.
fn queries(route: &str) -> &'static [&'static str] {
    match route {
        "/queues/{store}/{queue}" | "/api/v1/queues/{store}/{queue}/jobs" => &[
            "?state=failed",
            "?state=completed",
            "?state=delayed",
            "?state=failed&q=bob",
        ],
        "/queues/{store}/{queue}/jobs/{job}" => &["?line=1", "?find=depot"],
        "/queues/{store}/{queue}/jobs/{job}/act" => &[
            "?action=edit_data",
            "?action=retry",
            "?action=duplicate",
            "?action=remove",
            "?action=reveal",
        ],
        "/queues/{store}/{queue}/act" => &["?action=add", "?action=concurrency", "?action=schedule"],
        "/queues/{store}/{queue}/find" => &["?id=2", "?q=2"],
        "/schedules/{store}/{queue}/{key}/act" => &["?action=upsert", "?action=run"],
        "/archive" | "/api/v1/archive/jobs" => &["?text=parcel", "?error=bob"],
        "/api/v1/at" => &["?to=%2Fqueues"],
        "/operations/new" => &["?action=retry&filter=state%3Afailed"],
        _ => &[],
    }
}

/// Fetches queues, jobs and schedules before anything is archived.
pub(crate) async fn live(drover: &Drover, known: &Known) -> Vec<(String, String)> {
    fetch(drover, known, |route| !(route.contains("{id}"))).await
}

/// Fetches all of it: each address with its answer. Every route must have answered at least once.
pub(crate) async fn everything(drover: &Drover, known: &Known) -> Vec<(String, String)> {
    fetch(drover, known, |_| true).await
}

async fn fetch(drover: &Drover, known: &Known, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let (mut answers, mut silent) = (Vec::new(), Vec::new());
    for route in routes().into_iter().filter(|route| wanted(route)) {
        let mut answered = false;
        for path in known.filled(&route) {
            for query in [""].iter().chain(queries(&route)) {
                let address = format!("{path}{query}");
                let answer = drover.get(&address).await;
                answered |= answer.status < 400;
                let text = format!("{:?} {}", answer.headers, answer.body);
                answers.push((format!("GET {address} ({})", answer.status), text));
            }
        }
        if !answered {
            silent.push(format!("{route}: {:?}", known.filled(&route)));
        }
    }
    assert!(silent.is_empty(), "nothing answers to {silent:#?}");
    answers
}
