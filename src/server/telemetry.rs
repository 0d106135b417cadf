//! Log lines of Drover itself.
//!
//! A log line reads without its fields; fields have dotted names (`store.id`) and units in their
//! names (`duration_ms`). Payloads and secrets are never logged. One line per request at `debug`,
//! failures at `warn` if the operator can fix them and at `error` if they need a change of Drover.

use super::config::LogFormat;
use super::redact::Mask;
use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::io::{IsTerminal as _, Write};
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{self, Writer};

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
        // They go to the same standard error by `eprintln!`, which panics when the pipe is closed.
        .log_internal_errors(false)
        .with_writer(move || Line { format, colours });
    // The message of a panic is a log line too: one line, without secrets.
    std::panic::set_hook(Box::new(|panic| tracing::error!("a part of Drover panicked: {panic}")));
    // A second start in one process (tests) keeps the first subscriber.
    let _ = match format {
        LogFormat::Text => lines.fmt_fields(format::debug_fn(field).delimited(" ")).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}

/// Writes a field of an event. Its name is ours and hides nothing; its value comes from a store, or from a library.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let value = format!("{value:?}");
    let shown = Mask::default().text(&value);
    match field.name() {
        "message" => writer.write_str(&shown),
        name if writer.has_ansi_escapes() => write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{shown}"),
        name => write!(writer, "{name}={shown}"),
    }
}

/// Bytes of a stranger's name in a log line.
const NAME_MAX: usize = 200;

/// A name from a store or an address for a log line: cut, and on one line.
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
    format: LogFormat,
    colours: bool,
}

impl Write for Line {
    /// One event, whole. When the pipe is closed (a closed terminal, a log shipper that died) the line is lost, and the
    /// task that wrote it goes on.
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let line = line(event, self.format, self.colours);
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An event as it is written.
fn line(event: &[u8], format: LogFormat, colours: bool) -> String {
    let text = String::from_utf8_lossy(event);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let shown = match format {
        // Each field is masked where it is written.
        LogFormat::Text => Cow::Borrowed(text),
        LogFormat::Json => Mask::default().fields(text).into_owned().into(),
    };
    format!("{}\n", one_line(&shown, colours))
}

/// A text with visible escapes in place of all characters that would begin another line or control a terminal.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_secrets_whatever_is_in_it() {
        let shown =
            log(|| tracing::info!(queue = %"a\n{\"level\":\"error\"}\u{1b}[31m", cause = "password=hunter2", "new"));
        assert!(
            shown.ends_with("new queue=a\\n{\"level\":\"error\"}\\u{1b}[31m cause=\"password=[redacted]\"\n"),
            "{shown}"
        );
        assert_eq!(shown.lines().count(), 1);
        let json = br#"{"level":"INFO","fields":{"cause":"redis://u:hunter2@h"}}"#;
        let line = line(json, LogFormat::Json, false);
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }

    /// What is logged in text.
    fn log(event: impl FnOnce()) -> String {
        use std::io::{Read as _, Seek as _};
        let mut file = tempfile::tempfile().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .fmt_fields(format::debug_fn(field).delimited(" "))
            .with_writer(std::sync::Mutex::new(file.try_clone().unwrap()))
            .finish();
        tracing::subscriber::with_default(subscriber, event);
        let mut event = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut event).unwrap();
        line(&event, LogFormat::Text, false)
    }

    #[test]
    fn the_fields_of_an_event_are_never_hidden_by_their_names() {
        let shown = log(|| tracing::info!(auth = "x9k2", token = 4_817_263, session = "none", "listening"));
        assert!(
            shown.ends_with("listening auth=\"x9k2\" token=4817263 session=\"none\"\n"),
            "{shown}"
        );
        let json = r#"{"level":"INFO","fields":{"message":"listening","auth":"x9k2","token":4817263},"target":"drover::server::boot"}"#;
        assert_eq!(line(json.as_bytes(), LogFormat::Json, false), format!("{json}\n"));
    }

    #[test]
    fn a_name_in_a_line_is_cut() {
        assert_eq!(named("a\nb"), "a\\nb");
        assert_eq!(named(&"é".repeat(200)).len(), 200 + "…".len());
    }
}
