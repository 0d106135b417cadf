//! Every route on one screen. All of them also answer below the base path.

use super::{api, assets, events, health, openapi, pages, problem, security};
use crate::server::state::App;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{any, get, post};

/// The board, rooted at `/`.
pub fn router(app: App) -> Router {
    Router::new()
        // pages
        .route("/", get(pages::overview::overview))
        .route("/queues/{store}/{queue}", get(pages::queue::queue))
        .route("/queues/{store}/{queue}/find", get(pages::queue::find_job))
        .route("/queues/{store}/{queue}/chart.svg", get(pages::queue::chart))
        .route("/queues/{store}/{queue}/aside", get(pages::queue::aside))
        .route("/queues/{store}/{queue}/jobs/{job}", get(pages::job::job))
        .route(
            "/queues/{store}/{queue}/act",
            get(pages::act::queue_form).post(pages::act::queue),
        )
        .route(
            "/queues/{store}/{queue}/jobs/{job}/act",
            get(pages::act::job_form).post(pages::act::job),
        )
        .route(
            "/schedules/{store}/{queue}/{key}/act",
            get(pages::act::schedule_form).post(pages::act::schedule),
        )
        .route("/audit", get(pages::audit::audit))
        .route("/workers", get(pages::workers::workers))
        .route("/schedules", get(pages::schedules::schedules))
        .route("/stores/{store}", get(pages::store::store))
        .route("/stores/{store}/charts/{series}", get(pages::store::chart))
        .route("/operations", get(pages::operations::all))
        .route("/operations/new", get(pages::operations::new))
        .route(
            "/operations/preview",
            get(pages::operations::to_new).post(pages::operations::preview),
        )
        .route(
            "/operations/start",
            get(pages::operations::to_new).post(pages::operations::start),
        )
        .route("/operations/{id}", get(pages::operations::one))
        .route(
            "/operations/{id}/{control}",
            get(pages::operations::to_one).post(pages::operations::control),
        )
        .route("/theme", post(pages::theme::choose))
        .route("/time", post(pages::theme::choose_time))
        .route("/pins", post(pages::pins::change))
        // what the pages are made of
        .route("/pkg/{file}", get(assets::pkg))
        .route("/{file}", get(assets::root))
        // API
        .route("/api/v1/stores", get(api::stores))
        .route("/api/v1/stores/{store}", get(api::store))
        .route("/api/v1/stores/{store}/memory", get(api::store_memory))
        .route("/api/v1/queues", get(api::queues))
        .route("/api/v1/queues/{store}/{queue}", get(api::queue))
        .route(
            "/api/v1/queues/{store}/{queue}/jobs",
            get(api::jobs).post(api::act::add),
        )
        .route("/api/v1/queues/{store}/{queue}/jobs/{job}", get(api::job))
        .route("/api/v1/workers", get(pages::workers::workers_json))
        .route("/api/v1/schedules", get(pages::schedules::schedules_json))
        .route("/api/v1/queues/{store}/{queue}/jobs/{job}/logs", get(api::job::logs))
        .route("/api/v1/queues/{store}/{queue}/jobs/{job}/flow", get(api::job::flow))
        .route(
            "/api/v1/queues/{store}/{queue}/jobs/{job}/fields/{field}",
            get(api::job::field),
        )
        .route("/api/v1/queues/{store}/{queue}/{action}", post(api::act::queue))
        .route(
            "/api/v1/queues/{store}/{queue}/jobs/{job}/{action}",
            post(api::act::job),
        )
        .route(
            "/api/v1/schedules/{store}/{queue}/{key}/{action}",
            post(api::act::schedule),
        )
        .route(
            "/api/v1/operations",
            get(api::operations::all).post(api::operations::order),
        )
        .route("/api/v1/operations/{id}", get(api::operations::one))
        .route("/api/v1/operations/{id}/results", get(api::operations::results))
        .route("/api/v1/operations/{id}/results.ndjson", get(api::operations::download))
        .route("/api/v1/operations/{id}/{control}", post(api::operations::control))
        .route("/api/v1/audit", get(api::act::audit))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/api/{*rest}", any(problem::no_such_route))
        // streams
        .route("/events", get(events::stream))
        // Drover itself
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(pages::not_found)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(api::act::FORM_MAX))
        .layer(map_response(security::cache_nothing_by_default))
        .layer(from_fn_with_state(app.clone(), security::guard))
        .with_state(app)
}
