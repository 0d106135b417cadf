//! Metrics of Drover itself.

use super::caller::Caller;
use super::problem::refuse;
use crate::model::store::Reach;
use crate::server::http::state::App;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

/// The recorder is one per process; so is its handle.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

fn recorder() -> Option<&'static PrometheusHandle> {
    RECORDER
        .get_or_init(|| {
            let handle = PrometheusBuilder::new().install_recorder().ok();
            describe_gauge!("drover_store_up", "1 while the store answers");
            describe_gauge!("drover_queues", "Queues known in the store");
            describe_gauge!("drover_streams", "Event streams being served");
            describe_counter!("drover_store_commands_total", "Commands sent to the store");
            describe_counter!("drover_http_requests_total", "Requests answered, by status class");
            handle
        })
        .as_ref()
}

/// Counts an answered request.
pub fn count_request(status: u16) {
    if recorder().is_some() {
        let class = match status / 100 {
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        counter!("drover_http_requests_total", "status" => class).increment(1);
    }
}

fn render(app: &App) -> Option<String> {
    let handle = recorder()?;
    #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
    gauge!("drover_streams").set(app.streams() as f64);
    for (id, collector) in app.collectors() {
        let up = app.board().store(id).is_some_and(|store| store.reach == Reach::Live);
        gauge!("drover_store_up", "store" => id.to_owned()).set(f64::from(u8::from(up)));
        // Without a count there is no sample: unknown is not zero.
        if let Some(queues) = app.board().store(id).and_then(|store| store.queues) {
            gauge!("drover_queues", "store" => id.to_owned()).set(f64::from(queues));
        }
        counter!("drover_store_commands_total", "store" => id.to_owned()).absolute(collector.source().sent());
    }
    handle.run_upkeep();
    Some(handle.render())
}

/// Metrics in the Prometheus text format, for callers who see everything: they cover every store.
pub async fn metrics(State(app): State<App>, caller: Caller) -> Response {
    if !caller.who.sees_all() {
        let detail =
            "Metrics cover every store, so they need access to all queues. Give the scraper a token with view.";
        return refuse(StatusCode::FORBIDDEN, "denied", "Not permitted", detail).into_response();
    }
    match render(&app) {
        Some(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "another recorder is installed\n").into_response(),
    }
}
