//! Every route, with what it needs and what the API document says of it. All of them also answer below the base path.

use super::route::{Declared, Needs, Routes, any, get, post};
use super::{api, assets, encoding, events, health, metrics, openapi, pages, problem, security, status};
use crate::model::answer::ActAnswer;
use crate::model::archive::{ArchivePage, ArchivedJob};
use crate::model::audit::AuditPage;
use crate::model::capability::Capabilities;
use crate::model::flow::Flow;
use crate::model::job::{JobDetail, LogPage};
use crate::model::operation::Operation;
use crate::model::page::JobPageRows;
use crate::model::schedule::SchedulesPage;
use crate::model::store::StoreSummary;
use crate::model::vitals::{Answered, StoreDetail};
use crate::model::weights::MemoryByQueue;
use crate::model::worker::WorkersPage;
use crate::server::http::state::App;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn_with_state, map_response};
use serde_json::{Map, Value};

/// What archived jobs are searched for by.
const ARCHIVE: [&str; 10] = [
    "queue", "name", "id", "error", "text", "state", "from", "to", "cursor", "limit",
];

/// The board, rooted at `/`.
pub fn router(app: App) -> Router {
    status::routes(routes(), app.status().map(|status| &**status))
        .into_router()
        .fallback(pages::not_found)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(api::act::FORM_MAX))
        .layer(from_fn_with_state(app.clone(), security::guard))
        .layer(map_response(status::dress))
        .layer(encoding::layer())
        .with_state(app)
}

/// Every method of every route, with what it needs.
#[must_use]
pub fn declared() -> Vec<Declared> {
    routes().declared().to_vec()
}

fn routes() -> Routes {
    Routes::default()
        // pages
        .route("/", get(Needs::View, pages::overview::overview))
        .route("/queues/{store}/{queue}", get(Needs::View, pages::queue::queue))
        .route("/queues/{store}/{queue}/find", get(Needs::View, pages::queue::find_job))
        .route(
            "/queues/{store}/{queue}/chart.svg",
            get(Needs::View, pages::queue::chart),
        )
        .route("/queues/{store}/{queue}/aside", get(Needs::View, pages::queue::aside))
        .route("/queues/{store}/{queue}/jobs/{job}", get(Needs::View, pages::job::job))
        .route(
            "/queues/{store}/{queue}/act",
            get(Needs::View, pages::act::queue_form).post(Needs::Act, pages::act::queue),
        )
        .route(
            "/queues/{store}/{queue}/jobs/{job}/reveal",
            get(Needs::View, pages::act::reveal::ask).post(Needs::Act, pages::act::reveal::show),
        )
        .route(
            "/queues/{store}/{queue}/jobs/{job}/act",
            get(Needs::View, pages::act::job_form).post(Needs::Act, pages::act::job),
        )
        .route(
            "/schedules/{store}/{queue}/{key}/act",
            get(Needs::View, pages::act::schedule_form).post(Needs::Act, pages::act::schedule),
        )
        .route("/archive", get(Needs::View, pages::archive::list))
        .route("/archive/jobs/{id}", get(Needs::View, pages::archive::one))
        .route(
            "/archive/jobs/{id}/restore",
            get(Needs::View, pages::archive::restore_form).post(Needs::Act, pages::archive::restore),
        )
        .route(
            "/archive/restore",
            get(Needs::View, pages::archive::to_list).post(Needs::Act, pages::archive::restore_many),
        )
        .route("/archive/policies", get(Needs::View, pages::policies::all))
        .route(
            "/archive/policies/{id}/{word}",
            get(Needs::View, pages::policies::to_all).post(Needs::Act, pages::policies::act),
        )
        .route("/audit", get(Needs::AuditRead, pages::audit::audit))
        .route("/workers", get(Needs::View, pages::workers::workers))
        .route("/schedules", get(Needs::View, pages::schedules::schedules))
        .route("/stores/{store}", get(Needs::View, pages::store::store))
        .route("/stores/{store}/charts/{series}", get(Needs::View, pages::store::chart))
        .route("/operations", get(Needs::View, pages::operations::all))
        .route("/operations/new", get(Needs::View, pages::operations::new))
        .route(
            "/operations/preview",
            get(Needs::View, pages::operations::to_new).post(Needs::View, pages::operations::preview),
        )
        .route(
            "/operations/start",
            get(Needs::View, pages::operations::to_new).post(Needs::Act, pages::operations::start),
        )
        .route("/operations/{id}", get(Needs::View, pages::operations::one))
        .route(
            "/operations/{id}/{control}",
            get(Needs::View, pages::operations::to_one).post(Needs::Act, pages::operations::control),
        )
        .route(
            "/sign-in",
            get(Needs::Nothing, pages::sign_in::form).post(Needs::Nothing, pages::sign_in::sign_in),
        )
        .route("/sign-out", post(Needs::Nothing, pages::sign_in::sign_out))
        .route("/theme", post(Needs::Nothing, pages::theme::choose))
        .route("/time", post(Needs::Nothing, pages::theme::choose_time))
        .route("/pins", post(Needs::View, pages::pins::change))
        // what the pages are made of
        .route("/pkg/{file}", get(Needs::Nothing, assets::pkg))
        .route("/{file}", get(Needs::Nothing, assets::root))
        // API
        .route(
            "/api/v1/stores",
            get(Needs::View, api::stores).answers::<api::Listing<StoreSummary>>("All stores"),
        )
        .route(
            "/api/v1/stores/{store}",
            get(Needs::View, api::store).answers::<StoreDetail>("One store in full"),
        )
        .route(
            "/api/v1/stores/{store}/memory",
            get(Needs::View, api::store_memory)
                .answers::<Answered<MemoryByQueue>>("The estimated memory of a store's queues")
                .query(&["sample"]),
        )
        .route(
            "/api/v1/systems",
            get(Needs::View, api::systems)
                .answers::<api::Listing<Capabilities>>("What each system at each generation can do"),
        )
        .route(
            "/api/v1/queues",
            get(Needs::View, api::queues::queues)
                .answers::<api::queues::QueueList<'static>>("The queues, trouble first; many of them in pages")
                .query(&["q", "level", "state", "sort", "limit", "cursor"]),
        )
        .route(
            "/api/v1/queues/{store}/{queue}",
            get(Needs::View, api::queue).answers::<api::QueueInFull>("One queue in full"),
        )
        .route(
            "/api/v1/queues/{store}/{queue}/jobs",
            get(Needs::View, api::jobs)
                .answers::<JobPageRows>("A page of jobs, without their data")
                .query(&["state", "order", "q", "cursor", "limit"])
                .post(Needs::Act, api::act::add),
        )
        .route(
            "/api/v1/queues/{store}/{queue}/jobs/{job}",
            get(Needs::View, api::job).answers::<JobDetail>("One job"),
        )
        .route(
            "/api/v1/queues/{store}/{queue}/jobs/{job}/reveal",
            post(Needs::Act, api::reveal::job)
                .takes::<api::reveal::RevealBody>()
                .answers::<JobDetail>("Shows a job with its hidden values, and records who looked and why"),
        )
        .route(
            "/api/v1/workers",
            get(Needs::View, pages::workers::workers_json)
                .answers::<WorkersPage>("Workers by queue")
                .query(&["q", "queue"]),
        )
        .route(
            "/api/v1/schedules",
            get(Needs::View, pages::schedules::schedules_json)
                .answers::<SchedulesPage>("Schedules")
                .query(&["q", "queue"]),
        )
        .route(
            "/api/v1/queues/{store}/{queue}/jobs/{job}/logs",
            get(Needs::View, api::job::logs)
                .answers::<LogPage>("A part of a job's log")
                .query(&["from", "limit", "q"]),
        )
        .route(
            "/api/v1/queues/{store}/{queue}/jobs/{job}/flow",
            get(Needs::View, api::job::flow)
                .answers::<Flow>("A job's parents and children")
                .query(&["children", "from", "limit"]),
        )
        .route(
            "/api/v1/queues/{store}/{queue}/jobs/{job}/fields/{field}",
            get(Needs::View, api::job::field).answers_bytes("A field of a job's record, byte by byte"),
        )
        .route(
            "/api/v1/queues/{store}/{queue}/{action}",
            post(Needs::Act, api::act::queue),
        )
        .route(
            "/api/v1/queues/{store}/{queue}/jobs/{job}/{action}",
            post(Needs::Act, api::act::job),
        )
        .route(
            "/api/v1/schedules/{store}/{queue}/{key}/{action}",
            post(Needs::Act, api::act::schedule),
        )
        .route(
            "/api/v1/operations",
            get(Needs::View, api::operations::all)
                .answers::<api::operations::All>("Operations over many jobs, newest first")
                .post(Needs::Act, api::operations::order),
        )
        .route(
            "/api/v1/operations/{id}",
            get(Needs::View, api::operations::one).answers::<Operation>("One operation"),
        )
        .route(
            "/api/v1/operations/{id}/results",
            get(Needs::View, api::operations::results)
                .answers::<api::operations::Results>("Its jobs with their results")
                .query(&["result", "offset", "limit"]),
        )
        .route(
            "/api/v1/operations/{id}/results.ndjson",
            get(Needs::View, api::operations::download).answers_bytes("Its jobs as a file, one line each"),
        )
        .route(
            "/api/v1/operations/{id}/{control}",
            post(Needs::Act, api::operations::control),
        )
        .route(
            "/api/v1/archive/jobs",
            get(Needs::View, api::archive::list)
                .answers::<ArchivePage>("A page of archived jobs, last finished first")
                .query(&ARCHIVE),
        )
        .route(
            "/api/v1/archive/jobs.ndjson",
            get(Needs::View, api::archive::ndjson)
                .answers_bytes("All matching archived jobs, a JSON object on each line")
                .query(&ARCHIVE),
        )
        .route(
            "/api/v1/archive/jobs.csv",
            get(Needs::View, api::archive::csv)
                .answers_bytes("All matching archived jobs as CSV, in which no cell is a formula")
                .query(&ARCHIVE),
        )
        .route(
            "/api/v1/archive/jobs/{id}",
            get(Needs::View, api::archive::one).answers::<ArchivedJob>("One archived job"),
        )
        .route(
            "/api/v1/archive/jobs/{id}/fields/{field}",
            get(Needs::View, api::archive::field)
                .answers_bytes("A field of an archived job, byte by byte; its log as :logs"),
        )
        .route(
            "/api/v1/archive/jobs/{id}/restore",
            post(Needs::Act, api::archive::restore)
                .takes::<api::archive::RestoreBody>()
                .answers::<ActAnswer>("Queues an archived job again, once"),
        )
        .route(
            "/api/v1/archive/jobs/{id}/reveal",
            post(Needs::Act, api::reveal::archived)
                .takes::<api::reveal::RevealBody>()
                .answers::<ArchivedJob>("Shows a job with its hidden values, and records who looked and why"),
        )
        .route(
            "/api/v1/archive/restore",
            post(Needs::Act, api::archive::restore_many)
                .takes::<api::archive::RestoreManyBody>()
                .answers::<api::archive::RestoredMany>("Queues archived jobs again, one after the other"),
        )
        .route(
            "/api/v1/archive/policies",
            get(Needs::View, api::policies::list).answers::<api::policies::All>("The archive policies with their runs"),
        )
        .route(
            "/api/v1/archive/policies/{id}/run",
            post(Needs::Act, api::policies::run)
                .takes::<api::policies::RunBody>()
                .answers::<api::policies::Answer>("Runs a policy now, or shows what it would do (dry_run)"),
        )
        .route(
            "/api/v1/audit",
            get(Needs::AuditRead, api::act::audit)
                .answers::<AuditPage>("The audit log, newest first")
                .query(&["queue", "job", "cursor", "limit"]),
        )
        .route(
            "/api/v1/openapi.json",
            get(Needs::Nothing, openapi::document).answers::<Map<String, Value>>("This document"),
        )
        // `to` is resolved before anything is routed.
        .route(
            "/api/v1/at",
            get(Needs::Nothing, problem::nowhere).post(Needs::Nothing, problem::nowhere),
        )
        .route("/api/{*rest}", any(Needs::Nothing, problem::no_such_route))
        // streams
        .route("/events", get(Needs::View, events::stream))
        // Drover itself
        .route("/livez", get(Needs::Nothing, health::live))
        .route("/readyz", get(Needs::Nothing, health::ready))
        .route("/metrics", get(Needs::View, metrics::metrics))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::permission::{Role, Verb};

    /// What may be had without a permission: how pages look, the description of the API, whether Drover lives.
    const OPEN: [&str; 11] = [
        "/sign-in",
        "/sign-out",
        "/theme",
        "/time",
        "/pkg/{file}",
        "/{file}",
        "/api/v1/openapi.json",
        "/api/v1/at",
        "/api/{*rest}",
        "/livez",
        "/readyz",
    ];

    #[test]
    fn what_needs_nothing_is_listed_here_and_what_is_sent_acts() {
        let mut odd = vec![];
        let routes = routes();
        for Declared {
            path, method, needs, ..
        } in routes.declared()
        {
            let fits = match (*needs, *method) {
                (Needs::Nothing, _) => OPEN.contains(path),
                (Needs::Status, _) => path.starts_with("/status"),
                (Needs::AuditRead, _) => path.ends_with("/audit"),
                // One changes only what a browser keeps, the other only tells what would be done.
                (Needs::View, "POST") => matches!(*path, "/pins" | "/operations/preview"),
                (Needs::View, method) => method == "GET",
                (Needs::Act, method) => method == "POST",
            };
            if !fits || (path.ends_with("/audit") && *needs != Needs::AuditRead) {
                odd.push((path, method, needs));
            }
        }
        assert!(odd.is_empty(), "{odd:#?}");
    }

    #[test]
    fn whoever_only_looks_may_not_read_the_record() {
        let denied: Vec<&str> = routes()
            .declared()
            .iter()
            .filter(|route| route.needs.verb().is_some_and(|verb| !Role::Viewer.holds(verb)))
            .map(|route| route.path)
            .collect();
        assert_eq!(denied, ["/audit", "/api/v1/audit"]);
        // The service checks the verb of the action itself.
        assert!(!Role::Viewer.holds(Verb::Retry) && Needs::Act.verb() == Some(Verb::View));
    }
}
