//! Log lines and metrics of Drover itself.
//!
//! A log line reads without its fields; fields have dotted names (`store.id`) and units in their
//! names (`duration_ms`). Payloads and secrets are never logged. One line per request at `debug`,
//! failures at `warn` if the operator can mend them and at `error` if we must.

use super::config::LogFormat;
use super::redact::Mask;
use super::state::App;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::io::{IsTerminal as _, Write};
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
    let colours = format == LogFormat::Text && std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(move || Line { colours });
    // A second start in one process (tests) keeps the first subscriber.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}

/// Bytes of a stranger's name in a log line.
const NAME_MAX: usize = 200;

/// A name from a store or an address as it stands in a log line: cut, and on one line.
#[must_use]
pub fn named(name: &str) -> String {
    let mut end = name.len().min(NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let more = if end < name.len() { "…" } else { "" };
    format!("{}{more}", one_line(&name[..end], false))
}

/// Where log lines go. Whatever is in an event, it is one line, and without secrets: names and errors come from stores
/// (S-25).
#[derive(Debug)]
struct Line {
    colours: bool,
}

impl Write for Line {
    /// One event, whole.
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let line = line(event, self.colours);
        std::io::stderr().lock().write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// An event as it is written.
fn line(event: &[u8], colours: bool) -> String {
    let text = String::from_utf8_lossy(event);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let shown = Mask::default().text(text).into_owned();
    format!("{}\n", one_line(&shown, colours))
}

/// A text with visible escapes in the place of everything that would begin another line or rule a terminal.
fn one_line(text: &str, colours: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{1b}' if colours => out.push(c),
            '\u{2028}' | '\u{2029}' => out.extend(c.escape_unicode()),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_secrets_whatever_is_in_it() {
        let event = "INFO new queue=a\n{\"level\":\"error\"}\u{1b}[31m cause=login with password=hunter2 failed\n";
        assert_eq!(
            line(event.as_bytes(), false),
            "INFO new queue=a\\n{\"level\":\"error\"}\\u{1b}[31m cause=login with password=[redacted] failed\n"
        );
        let json = br#"{"level":"INFO","fields":{"cause":"redis://u:hunter2@h"}}"#;
        let line = line(json, false);
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }

    #[test]
    fn a_name_in_a_line_is_cut() {
        assert_eq!(named("a\nb"), "a\\nb");
        assert_eq!(named(&"é".repeat(200)).len(), 200 + "…".len());
    }
}
