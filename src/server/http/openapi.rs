//! The API described for machines: OpenAPI 3.1, with schemas made from the types that are answered.
//!
//! Each route says what it takes and answers ([`Described`](super::route::Described)), and the catalogue of actions what they
//! take. What has no route of its own, such as the controls of an operation, is described here. A test holds the document
//! against the router, and real answers against the document.

use super::api::operations;
use super::route::schema_of;
use super::router;
use crate::model::action::catalogue::{ActionKind, Target};
use crate::model::action::{FlowAction, JobAction, QueueAction, ScheduleAction, Seen};
use crate::model::answer::{ActAnswer, DryRunAnswer};
use crate::model::error::Problem;
use crate::model::operation::{Operation, Preview};
use crate::model::status::PublicStatus;
use crate::server::http::state::App;
use axum::Json;
use axum::extract::State;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

mod bounds;

/// Where the routes of the API begin.
const API: &str = "/api/v1";

/// A queue, and a job of it, in a path.
const QUEUE: &str = "/queues/{store}/{queue}";
const JOB: &str = "/queues/{store}/{queue}/jobs/{job}";
const SCHEDULE: &str = "/schedules/{store}/{queue}/{key}";

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
    let failure = schema_of::<Problem>(&mut answers).to_value();
    for route in router::declared() {
        let (Some(path), Some(described)) = (route.path.strip_prefix(API), route.described) else {
            continue;
        };
        let content = match described.answer {
            Some(schema) => json!({"application/json": {"schema": schema(&mut answers)}}),
            None => json!({"application/octet-stream": {}, "text/plain": {}}),
        };
        let mut parameters = parameters_of(path, described.query);
        let method = route.method.to_ascii_lowercase();
        let mut operation = json!({
            "operationId": name(&format!("{method}{path}")),
            "summary": described.summary,
            "responses": responses(&content, &failure),
        });
        if let Some(body) = described.body {
            parameters.extend(headers().split_off(1));
            let schema = body(&mut answers);
            operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        }
        operation["parameters"] = parameters.into();
        add(&mut paths, path, &method, operation);
    }
    let acted = json!({"anyOf": [schema_of::<ActAnswer>(&mut answers), schema_of::<DryRunAnswer>(&mut answers)]});
    for (target, base, schema) in [
        (Target::Job, JOB, bodies::<JobAction>()),
        (Target::Job, JOB, bodies::<FlowAction>()),
        (Target::Queue, QUEUE, bodies::<QueueAction>()),
        (Target::Schedule, SCHEDULE, bodies::<ScheduleAction>()),
    ] {
        for (word, body) in schema {
            let rows = ActionKind::on(target)
                .map(ActionKind::row)
                .filter(|row| row.word == word);
            let summary = rows.map(|row| row.summary).collect::<Vec<_>>().join("; ");
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
                "summary": summary,
                "parameters": parameters,
                "requestBody": {"required": true, "content": {"application/json": {"schema": body}}},
                "responses": responses(&done, &failure),
            });
            add(&mut paths, &path, "post", operation);
        }
    }
    describe_operations(&mut paths, &mut answers, &failure);
    describe_at(&mut paths, &failure);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Drover",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": "Queues, jobs and the stores they live in. Ids in paths are percent-encoded. One with a slash, a backslash, a percent sign, a zero byte or nothing but dots does not survive every proxy as a part of a path, and what arrives may be the address of something else: ask for it at `/at`. A failure is a problem (RFC 9457) whose `outcome` says whether anything was done. A program sends a token from `drover token add`; without sign-in it sends `X-Drover: 1` with each action. A request that is not permitted gets 403, one without a valid identity 401.",
        },
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": answers.take_definitions(true),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    });
    bounds::add(&mut document);
    document
}

/// What is sent to operations.
fn describe_operations(paths: &mut Map<String, Value>, answers: &mut SchemaGenerator, failure: &Value) {
    let of_preview = json!({"application/json": {"schema": schema_of::<Preview>(answers)}});
    let of_operation = json!({"application/json": {"schema": schema_of::<Operation>(answers)}});
    let mut order = schema_of::<operations::OperationOrder>(answers).to_value();
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
        ("resume", "Continues", &of_operation),
        ("cancel", "Ends it; completed work is kept", &of_operation),
        ("again", "Previews the rest of one that has ended", &of_preview),
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

/// The address for ids that a proxy could decode.
fn describe_at(paths: &mut Map<String, Value>, failure: &Value) {
    for method in ["get", "post"] {
        let to = json!({
            "name": "to",
            "in": "query",
            "required": true,
            "description": "Another path of this document, its ids percent-encoded, and the whole percent-encoded once more: \
                /queues/redis/bull%3Amail/jobs/a%2Fb is to=%2Fqueues%2Fredis%2Fbull%253Amail%2Fjobs%2Fa%252Fb. Parameters of that \
                path follow behind it.",
            "schema": {"type": "string"},
        });
        let operation = json!({
            "operationId": format!("{method}_at"),
            "summary": "The same as the path in `to`, in a form that no proxy rewrites",
            "parameters": [to],
            "responses": responses(&json!({"application/json": {}}), failure),
        });
        add(paths, "/at", method, operation);
    }
}

/// The status page's JSON, which is no part of the API: it has an address of its own, and exists where something is
/// published.
fn describe_status(document: &mut Value, base: &str) {
    let mut schema = schemars::schema_for!(PublicStatus).to_value();
    bounds::add(&mut schema);
    document["paths"]["/status.json"] = json!({
        "servers": [{"url": if base.is_empty() { "/" } else { base }}],
        "get": {
            "operationId": "get_status_json",
            "summary": "The status page as JSON. The Statuspage format is below /status/api/v2",
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
        let schema = match bounds::of_parameter(path, name) {
            None => json!({"type": "string"}),
            Some((least, most)) => json!({"type": "integer", "minimum": least, "maximum": most}),
        };
        json!({"name": name, "in": "query", "required": false, "schema": schema})
    });
    within.chain(behind).collect()
}

/// The headers of an action.
fn headers() -> Vec<Value> {
    let header = |name: &str, about: &str| json!({"name": name, "in": "header", "required": false, "description": about, "schema": {"type": "string"}});
    vec![
        header(
            "Idempotency-Key",
            "A second request with the same key within a day gets the first answer again, and nothing is done.",
        ),
        header("X-Drover", "1: the caller is a program. Browsers need not send it."),
        header("X-Request-Id", "Written to the audit log; generated if left out."),
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
        properties["reason"] =
            json!({"type": "string", "maxLength": 500, "description": "Why: kept in the audit log."});
        properties["dry_run"] = json!({"type": "boolean", "description": "Only report what would be done."});
        variant["additionalProperties"] = false.into();
        (word, variant)
    };
    variants.into_iter().map(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::http::route::Declared;

    #[test]
    fn every_route_of_the_api_is_in_the_document() {
        let document = describe();
        let paths = document["paths"].as_object().unwrap();
        let (mut gets, mut posts) = (0, 0);
        for Declared { path, method, .. } in router::declared() {
            let Some(path) = path.strip_prefix(API) else {
                continue;
            };
            if method == "GET" {
                assert!(paths[path]["get"].is_object(), "GET {path} is not described");
                gets += 1;
            }
            if method == "POST" && path.ends_with("{action}") {
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
