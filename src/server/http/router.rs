//! Every route on one screen, with what it needs. All of them also answer below the base path.

use super::route::{Declared, Needs, Routes, any, get, post};
use super::{api, assets, events, health, openapi, pages, problem, security, status};
use crate::server::state::App;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn_with_state, map_response};

/// The board, rooted at `/`.
pub fn router(app: App) -> Router {
    status::routes(routes(), app.status().map(|status| &**status))
        .into_router()
        .fallback(pages::not_found)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(api::act::FORM_MAX))
        .layer(map_response(security::cache_nothing_by_default))
        .layer(from_fn_with_state(app.clone(), security::guard))
        .layer(map_response(status::dress))
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
            get(Needs::View, pages::archive::to_one).post(Needs::Act, pages::archive::restore),
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
        .route("/api/v1/stores", get(Needs::View, api::stores))
        .route("/api/v1/stores/{store}", get(Needs::View, api::store))
        .route("/api/v1/stores/{store}/memory", get(Needs::View, api::store_memory))
        .route("/api/v1/queues", get(Needs::View, api::queues))
        .route("/api/v1/queues/{store}/{queue}", get(Needs::View, api::queue))
        .route(
            "/api/v1/queues/{store}/{queue}/jobs",
            get(Needs::View, api::jobs).post(Needs::Act, api::act::add),
        )
        .route("/api/v1/queues/{store}/{queue}/jobs/{job}", get(Needs::View, api::job))
        .route(
            "/api/v1/queues/{store}/{queue}/jobs/{job}/reveal",
            post(Needs::Act, api::reveal::job),
        )
        .route("/api/v1/workers", get(Needs::View, pages::workers::workers_json))
        .route("/api/v1/schedules", get(Needs::View, pages::schedules::schedules_json))
        .route(
            "/api/v1/queues/{store}/{queue}/jobs/{job}/logs",
            get(Needs::View, api::job::logs),
        )
        .route(
            "/api/v1/queues/{store}/{queue}/jobs/{job}/flow",
            get(Needs::View, api::job::flow),
        )
        .route(
            "/api/v1/queues/{store}/{queue}/jobs/{job}/fields/{field}",
            get(Needs::View, api::job::field),
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
            get(Needs::View, api::operations::all).post(Needs::Act, api::operations::order),
        )
        .route("/api/v1/operations/{id}", get(Needs::View, api::operations::one))
        .route(
            "/api/v1/operations/{id}/results",
            get(Needs::View, api::operations::results),
        )
        .route(
            "/api/v1/operations/{id}/results.ndjson",
            get(Needs::View, api::operations::download),
        )
        .route(
            "/api/v1/operations/{id}/{control}",
            post(Needs::Act, api::operations::control),
        )
        .route("/api/v1/archive/jobs", get(Needs::View, api::archive::list))
        .route("/api/v1/archive/jobs.ndjson", get(Needs::View, api::archive::ndjson))
        .route("/api/v1/archive/jobs.csv", get(Needs::View, api::archive::csv))
        .route("/api/v1/archive/jobs/{id}", get(Needs::View, api::archive::one))
        .route(
            "/api/v1/archive/jobs/{id}/fields/{field}",
            get(Needs::View, api::archive::field),
        )
        .route(
            "/api/v1/archive/jobs/{id}/restore",
            post(Needs::Act, api::archive::restore),
        )
        .route(
            "/api/v1/archive/jobs/{id}/reveal",
            post(Needs::Act, api::reveal::archived),
        )
        .route("/api/v1/archive/restore", post(Needs::Act, api::archive::restore_many))
        .route("/api/v1/archive/policies", get(Needs::View, api::policies::list))
        .route(
            "/api/v1/archive/policies/{id}/run",
            post(Needs::Act, api::policies::run),
        )
        .route("/api/v1/audit", get(Needs::AuditRead, api::act::audit))
        .route("/api/v1/openapi.json", get(Needs::Nothing, openapi::document))
        .route("/api/{*rest}", any(Needs::Nothing, problem::no_such_route))
        // streams
        .route("/events", get(Needs::View, events::stream))
        // Drover itself
        .route("/livez", get(Needs::Nothing, health::live))
        .route("/readyz", get(Needs::Nothing, health::ready))
        .route("/metrics", get(Needs::View, health::metrics))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::auth::who::{Role, Verb};

    /// What may be had without a permission: how pages look, the description of the API, whether Drover lives.
    const OPEN: [&str; 10] = [
        "/sign-in",
        "/sign-out",
        "/theme",
        "/time",
        "/pkg/{file}",
        "/{file}",
        "/api/v1/openapi.json",
        "/api/{*rest}",
        "/livez",
        "/readyz",
    ];

    #[test]
    fn every_route_says_what_it_needs() {
        // The types do not let one be added without; this finds one that is added past them.
        let text = include_str!("router.rs").split("#[cfg(test)]").next().unwrap();
        let bare: Vec<&str> = text
            .split(".route(")
            .skip(1)
            .filter(|route| {
                let handlers =
                    route.matches("get(").count() + route.matches("post(").count() + route.matches("any(").count();
                handlers == 0 || route.matches("Needs::").count() != handlers
            })
            .collect();
        assert!(bare.is_empty(), "these declare nothing: {bare:#?}");
        let routes = routes();
        let paths: std::collections::BTreeSet<_> = routes.declared().iter().map(|(path, ..)| path).collect();
        assert_eq!(paths.len(), text.matches(".route(").count());
        assert_eq!(
            text.matches("Router::new").count(),
            0,
            "a router beside the declared one"
        );
    }

    #[test]
    fn what_needs_nothing_is_listed_here_and_what_is_sent_acts() {
        let mut odd = vec![];
        let routes = routes();
        for (path, method, needs) in routes.declared() {
            let fits = match (*needs, *method) {
                (Needs::Nothing, _) => OPEN.contains(path),
                (Needs::Status, _) => path.starts_with("/status"),
                (Needs::AuditRead, _) => path.ends_with("/audit"),
                // Neither changes anything but what a browser keeps, or tells what would be done.
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
            .filter(|(.., needs)| needs.verb().is_some_and(|verb| !Role::Viewer.holds(verb)))
            .map(|(path, ..)| *path)
            .collect();
        assert_eq!(denied, ["/audit", "/api/v1/audit"]);
        // What is done is asked for by the service, with its own verb.
        assert!(!Role::Viewer.holds(Verb::Retry) && Needs::Act.verb() == Some(Verb::View));
    }
}
