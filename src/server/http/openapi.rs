//! The API described for machines: OpenAPI 3.1, with schemas made from the types that are answered.
//!
//! [`ROUTES`] is the table of what is read; actions come from the words of the service. A test holds the
//! table against the router, and real answers against the document.

use super::api::archive;
use super::api::operations;
use super::api::policies;
use super::api::reveal;
use super::api::{Listing, QueueAnswer, QueueInFull};
use crate::model::action::{FlowAction, JobAction, QueueAction, ScheduleAction, Seen};
use crate::model::answer::{ActAnswer, DryRunAnswer};
use crate::model::archive::{ArchivePage, ArchivedJob};
use crate::model::audit::AuditPage;
use crate::model::error::Problem;
use crate::model::flow::Flow;
use crate::model::job::{JobDetail, LogPage};
use crate::model::operation::{Operation, Preview};
use crate::model::page::JobPageRows;
use crate::model::schedule::SchedulesPage;
use crate::model::status::PublicStatus;
use crate::model::store::StoreSummary;
use crate::model::vitals::{Answered, StoreDetail};
use crate::model::weights::MemoryByQueue;
use crate::model::worker::WorkersPage;
use crate::server::state::App;
use axum::Json;
use axum::extract::State;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// What a route answers.
type Of = fn(&mut SchemaGenerator) -> Schema;

/// A route that reads: its path below `/api/v1`, what it is, the parameters behind `?`, and its answer;
/// `None` for bytes.
type Route = (&'static str, &'static str, &'static [&'static str], Option<Of>);

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A queue, and a job of it, in a path.
const QUEUE: &str = "/queues/{store}/{queue}";
const JOB: &str = "/queues/{store}/{queue}/jobs/{job}";
const SCHEDULE: &str = "/schedules/{store}/{queue}/{key}";

/// What archived jobs are searched for by.
const ARCHIVE: [&str; 10] = [
    "queue", "name", "id", "error", "text", "state", "from", "to", "cursor", "limit",
];

/// Every route that reads.
const ROUTES: [Route; 24] = [
    ("/stores", "All stores", &[], Some(of::<Listing<StoreSummary>>)),
    ("/stores/{store}", "One store in full", &[], Some(of::<StoreDetail>)),
    (
        "/stores/{store}/memory",
        "The memory that a store's queues take, estimated",
        &["sample"],
        Some(of::<Answered<MemoryByQueue>>),
    ),
    (
        "/queues",
        "All queues, trouble first",
        &[],
        Some(of::<Listing<QueueAnswer>>),
    ),
    (QUEUE, "One queue in full", &[], Some(of::<QueueInFull>)),
    (
        "/queues/{store}/{queue}/jobs",
        "A page of jobs, without their data",
        &["state", "order", "q", "cursor", "limit"],
        Some(of::<JobPageRows>),
    ),
    (JOB, "One job", &[], Some(of::<JobDetail>)),
    (
        "/queues/{store}/{queue}/jobs/{job}/logs",
        "A part of a job's log",
        &["from", "limit", "q"],
        Some(of::<LogPage>),
    ),
    (
        "/queues/{store}/{queue}/jobs/{job}/flow",
        "A job's parents and children",
        &["children", "from", "limit"],
        Some(of::<Flow>),
    ),
    (
        "/queues/{store}/{queue}/jobs/{job}/fields/{field}",
        "A field of a job's record, byte by byte",
        &[],
        None,
    ),
    (
        "/workers",
        "Who works for which queue",
        &["q", "queue"],
        Some(of::<WorkersPage>),
    ),
    (
        "/schedules",
        "What runs when",
        &["q", "queue"],
        Some(of::<SchedulesPage>),
    ),
    (
        "/audit",
        "Who asked for what, and what became of it, the newest first",
        &["queue", "job", "cursor", "limit"],
        Some(of::<AuditPage>),
    ),
    (
        "/operations",
        "Actions over many jobs, the newest first",
        &[],
        Some(of::<operations::All>),
    ),
    ("/operations/{id}", "One of them", &[], Some(of::<Operation>)),
    (
        "/operations/{id}/results",
        "Its jobs with what became of them",
        &["result", "offset", "limit"],
        Some(of::<operations::Results>),
    ),
    (
        "/operations/{id}/results.ndjson",
        "The same as a file, a line for each job",
        &[],
        None,
    ),
    (
        "/archive/jobs",
        "A page of archived jobs, those that finished last first",
        &ARCHIVE,
        Some(of::<ArchivePage>),
    ),
    (
        "/archive/jobs.ndjson",
        "All archived jobs that fit, a JSON object on each line",
        &ARCHIVE,
        None,
    ),
    (
        "/archive/jobs.csv",
        "The same as a table, in which no cell is a formula",
        &ARCHIVE,
        None,
    ),
    ("/archive/jobs/{id}", "One archived job", &[], Some(of::<ArchivedJob>)),
    (
        "/archive/jobs/{id}/fields/{field}",
        "A field of an archived job, byte by byte; its log as :logs",
        &[],
        None,
    ),
    (
        "/archive/policies",
        "What is archived by itself, with what became of it so far",
        &[],
        Some(of::<policies::All>),
    ),
    ("/openapi.json", "This document", &[], Some(of::<Map<String, Value>>)),
];

/// The document.
pub async fn document(State(app): State<App>) -> Json<Value> {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    let mut document = DOCUMENT.get_or_init(describe).clone();
    let base = &app.config().base_path;
    document["servers"] = json!([{"url": base.href("/api/v1")}]);
    if app.status().is_some() {
        describe_status(&mut document, base.as_str());
    }
    Json(document)
}

fn describe() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.definitions_path = "/components/schemas".into();
    });
    let mut answers = settings.for_serialize().into_generator();
    let mut paths = Map::new();
    let failure = of::<Problem>(&mut answers).to_value();
    for (path, summary, parameters, answer) in &ROUTES {
        let content = match answer {
            Some(schema) => json!({"application/json": {"schema": schema(&mut answers)}}),
            None => json!({"application/octet-stream": {}, "text/plain": {}}),
        };
        let operation = json!({
            "operationId": name(&format!("get{path}")),
            "summary": summary,
            "parameters": parameters_of(path, parameters),
            "responses": responses(&content, &failure),
        });
        add(&mut paths, path, "get", operation);
    }
    let acted = json!({"anyOf": [of::<ActAnswer>(&mut answers), of::<DryRunAnswer>(&mut answers)]});
    for (base, schema) in [
        (JOB, bodies::<JobAction>()),
        (JOB, bodies::<FlowAction>()),
        (QUEUE, bodies::<QueueAction>()),
        (SCHEDULE, bodies::<ScheduleAction>()),
    ] {
        for (word, body) in schema {
            // A job is added to the list of jobs.
            let path = match word.as_str() {
                "add" => format!("{QUEUE}/jobs"),
                word => format!("{base}/{word}"),
            };
            let done = json!({"application/json": {"schema": acted}});
            let mut parameters = parameters_of(&path, &[]);
            parameters.extend(headers());
            let operation = json!({
                "operationId": name(&format!("post{path}")),
                "summary": body["description"],
                "parameters": parameters,
                "requestBody": {"required": true, "content": {"application/json": {"schema": body}}},
                "responses": responses(&done, &failure),
            });
            add(&mut paths, &path, "post", operation);
        }
    }
    describe_operations(&mut paths, &mut answers, &failure);
    describe_archive(&mut paths, &mut answers, &failure);
    describe_reveal(&mut paths, &mut answers, &failure);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Drover",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": "Queues, jobs and the stores they live in. Ids in paths are percent-encoded. A failure is a problem \
                (RFC 9457) whose `outcome` says whether anything was done. A program sends a token that `drover token add` made; \
                where nobody signs in it sends `X-Drover: 1` with what acts. What is not permitted is answered with 403, \
                whoever is not recognised with 401.",
        },
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": answers.take_definitions(true),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

/// What is sent to operations.
fn describe_operations(paths: &mut Map<String, Value>, answers: &mut SchemaGenerator, failure: &Value) {
    let of_preview = json!({"application/json": {"schema": of::<Preview>(answers)}});
    let of_operation = json!({"application/json": {"schema": of::<Operation>(answers)}});
    let mut order = of::<operations::Order>(answers).to_value();
    // Beside what is described come the action's own fields.
    order["description"] =
        "The action with its own fields, and which jobs: `filter` or `jobs`; or the `token` of a preview.".into();
    let mut told = responses(&of_preview, failure);
    told["202"] = json!({"description": "Started; Location is the operation", "content": of_operation});
    let operation = json!({
        "operationId": "post_operations",
        "summary": "Previews an action over many jobs (dry_run), or starts it",
        "parameters": headers().split_off(1),
        "requestBody": {"required": true, "content": {"application/json": {"schema": order}}},
        "responses": told,
    });
    add(paths, "/operations", "post", operation);
    for (word, about, content) in [
        ("pause", "No further job until it is resumed", &of_operation),
        ("resume", "Goes on", &of_operation),
        ("cancel", "Ends it; what was done stays done", &of_operation),
        ("again", "Previews what one that has ended left over", &of_preview),
    ] {
        let path = format!("/operations/{{id}}/{word}");
        let operation = json!({
            "operationId": name(&format!("post{path}")),
            "summary": about,
            "parameters": parameters_of(&path, &[]),
            "responses": responses(content, failure),
        });
        add(paths, &path, "post", operation);
    }
}

fn describe_archive(paths: &mut Map<String, Value>, answers: &mut SchemaGenerator, failure: &Value) {
    let one = json!({"application/json": {"schema": of::<ActAnswer>(answers)}});
    let many = json!({"application/json": {"schema": of::<archive::RestoredMany>(answers)}});
    let body = of::<archive::RestoreBody>(answers).to_value();
    let ids = json!({"type": "object", "required": ["ids"], "properties": {
        "ids": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 200},
        "original_id": {"type": "boolean"}, "again": {"type": "boolean"}, "reason": {"type": ["string", "null"]},
    }});
    let run = json!({"application/json": {"schema": of::<policies::Answer>(answers)}});
    let run_body = of::<policies::RunBody>(answers).to_value();
    for (path, about, body, answer) in [
        (
            "/archive/policies/{id}/run",
            "Runs a policy now, or tells what that would do (dry_run)",
            run_body,
            &run,
        ),
        (
            "/archive/jobs/{id}/restore",
            "Puts an archived job back, once",
            body,
            &one,
        ),
        (
            "/archive/restore",
            "Puts archived jobs back, one after the other",
            ids,
            &many,
        ),
    ] {
        let mut parameters = parameters_of(path, &[]);
        parameters.extend(headers().split_off(1));
        let operation = json!({
            "operationId": name(&format!("post{path}")),
            "summary": about,
            "parameters": parameters,
            "requestBody": {"required": true, "content": {"application/json": {"schema": body}}},
            "responses": responses(answer, failure),
        });
        add(paths, path, "post", operation);
    }
}

fn describe_reveal(paths: &mut Map<String, Value>, answers: &mut SchemaGenerator, failure: &Value) {
    let body = of::<reveal::RevealBody>(answers).to_value();
    for (path, answer) in [
        (format!("{JOB}/reveal"), of::<JobDetail>(answers)),
        ("/archive/jobs/{id}/reveal".to_owned(), of::<ArchivedJob>(answers)),
    ] {
        let content = json!({"application/json": {"schema": answer}});
        let operation = json!({
            "operationId": name(&format!("post{path}")),
            "summary": "Shows a job with its hidden values, and writes down who looked and why",
            "parameters": parameters_of(&path, &[]),
            "requestBody": {"required": true, "content": {"application/json": {"schema": body}}},
            "responses": responses(&content, failure),
        });
        add(paths, &path, "post", operation);
    }
}

/// The status page's JSON, which is no part of the API: it has an address of its own, and is there where something is published.
fn describe_status(document: &mut Value, base: &str) {
    let schema = schemars::schema_for!(PublicStatus).to_value();
    document["paths"]["/status.json"] = json!({
        "servers": [{"url": if base.is_empty() { "/" } else { base }}],
        "get": {
            "operationId": "get_status_json",
            "summary": "What the status page says. The same in the shapes of Statuspage is below /status/api/v2",
            "responses": {"200": {"description": "The page", "content": {"application/json": {"schema": schema}}}},
        },
    });
}

fn add(paths: &mut Map<String, Value>, path: &str, method: &str, operation: Value) {
    let item = paths.entry(path).or_insert_with(|| json!({}));
    item[method] = operation;
}

fn name(words: &str) -> String {
    words
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

fn parameters_of(path: &str, query: &[&str]) -> Vec<Value> {
    let within = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let within = within.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let behind = query.iter().map(|name| {
        let kind = match *name {
            "limit" | "offset" | "sample" => "integer",
            _ => "string",
        };
        json!({"name": name, "in": "query", "required": false, "schema": {"type": kind}})
    });
    within.chain(behind).collect()
}

/// The headers of an action.
fn headers() -> Vec<Value> {
    let header = |name: &str, about: &str| json!({"name": name, "in": "header", "required": false, "description": about, "schema": {"type": "string"}});
    vec![
        header(
            "Idempotency-Key",
            "Asked again with the same key within a day, the first answer is given again and nothing is done.",
        ),
        header("X-Drover", "1: the caller is a program. Browsers need not send it."),
        header("X-Request-Id", "Goes into the record; made up if left out."),
    ]
}

fn responses(content: &Value, failure: &Value) -> Value {
    json!({
        "200": {"description": "Done, or what was asked for", "content": content},
        "default": {
            "description": "A problem: nothing was done unless its outcome says otherwise",
            "content": {"application/problem+json": {"schema": failure}},
        },
    })
}

/// The body of each action, from the variants of its type: the word goes into the path, and what every action
/// takes comes with it.
fn bodies<T: JsonSchema>() -> Vec<(String, Value)> {
    let requests = || {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.meta_schema = None;
            settings.inline_subschemas = true;
        });
        settings.into_generator()
    };
    let all = requests().into_root_schema_for::<T>().to_value();
    let seen = requests().into_root_schema_for::<Seen>().to_value();
    let variants = all["oneOf"].as_array().cloned().unwrap_or_default();
    let body = |mut variant: Value| {
        let word = variant["properties"]["action"]["const"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if let Some(required) = variant["required"].as_array_mut() {
            required.retain(|name| name != "action");
        }
        let properties = &mut variant["properties"];
        if let Some(properties) = properties.as_object_mut() {
            properties.remove("action");
        }
        properties["seen"] = seen.clone();
        properties["reason"] = json!({"type": "string", "maxLength": 500, "description": "Why: kept in the record."});
        properties["dry_run"] = json!({"type": "boolean", "description": "Only tell what would be done."});
        variant["additionalProperties"] = false.into();
        (word, variant)
    };
    variants.into_iter().map(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_of_the_api_is_in_the_document() {
        let document = describe();
        let paths = document["paths"].as_object().unwrap();
        let router = include_str!("router.rs");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (mut gets, mut posts) = (0, 0);
        for route in words(router).split(".route(").skip(1) {
            let Some(path) = route.split('"').nth(1).and_then(|path| path.strip_prefix("/api/v1")) else {
                continue;
            };
            if route.contains("get(") {
                assert!(paths[path]["get"].is_object(), "GET {path} is not described");
                gets += 1;
            }
            if route.contains("post(") && path.ends_with("{action}") {
                let base = path.strip_suffix("{action}").unwrap();
                let described = paths
                    .keys()
                    .filter(|p| p.strip_prefix(base).is_some_and(|rest| !rest.contains('/')));
                assert!(described.count() > 2, "the actions of {path} are not described");
                posts += 1;
            }
        }
        let described = paths.values().filter(|item| item["get"].is_object()).count();
        assert_eq!((gets, posts), (described, 3));
    }

    #[test]
    fn an_action_is_described_with_what_it_takes_and_no_more() {
        let document = describe();
        let schema = |path: &str| {
            document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"].clone()
        };
        let retry = schema("/queues/{store}/{queue}/jobs/{job}/retry");
        let names: Vec<&String> = retry["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["data", "dry_run", "reason", "reset_attempts", "seen"]);
        let add = schema("/queues/{store}/{queue}/jobs");
        assert!(add["required"].as_array().unwrap().contains(&json!("name")), "{add}");
        assert!(add["properties"]["seen"]["properties"]["state"].is_object(), "{add}");
    }
}
