//! Log lines and metrics of Drover itself.
//!
//! A log line reads without its fields; fields have dotted names (`store.id`) and units in their
//! names (`duration_ms`). Payloads and secrets are never logged. One line per request at `debug`,
//! failures at `warn` if the operator can mend them and at `error` if we must.

use super::config::LogFormat;
use super::state::App;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error. Later calls change nothing.
///
/// # Errors
///
/// When `filter` is not a list of directives such as `info,drover=debug`.
pub fn init(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter: EnvFilter = filter
        .parse()
        .map_err(|e| format!("DROVER_LOG: {filter:?} is not a log filter: {e}"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first subscriber.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}

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

/// The metrics in the Prometheus text format.
#[must_use]
pub fn render(app: &App) -> Option<String> {
    let handle = recorder()?;
    #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
    gauge!("drover_streams").set(app.streams() as f64);
    for (id, collector) in app.collectors() {
        let up = app
            .board()
            .store(id)
            .is_some_and(|store| store.reach == crate::model::store::Reach::Live);
        gauge!("drover_store_up", "store" => id.to_owned()).set(f64::from(u8::from(up)));
        let queues = app.board().store(id).map_or(0, |store| store.queues);
        gauge!("drover_queues", "store" => id.to_owned()).set(f64::from(queues));
        counter!("drover_store_commands_total", "store" => id.to_owned()).absolute(collector.source().sent());
    }
    handle.run_upkeep();
    Some(handle.render())
}
