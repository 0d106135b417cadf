//! `[archive]`: whether and how finished jobs are kept.
//!
//! It lives in the Postgres that is configured; without one there is none.

use super::{Reader, file};
use crate::server::archive::Settings;

/// Reads the settings; `None` for no archive.
pub(super) fn read(
    r: &mut Reader<'_>,
    raw: Option<file::Archive>,
    url: Option<String>,
    warnings: &mut Vec<String>,
) -> Option<Settings> {
    let raw = raw.unwrap_or_default();
    let mut switch = |name: &'static str, what: &str, in_file: Option<bool>, usual: bool| {
        let value = r.pick(name, in_file.map(|b| b.to_string()), &usual.to_string());
        r.read(&format!("archive.{what}: true or false"), value, usual)
    };
    let enabled = switch("DROVER_ARCHIVE", "enabled", raw.enabled, true);
    let migrate = switch("DROVER_ARCHIVE_MIGRATE", "migrate", raw.migrate, true);
    let allow_unsafe = switch("DROVER_ARCHIVE_ALLOW_UNSAFE", "allow_unsafe", raw.allow_unsafe, false);
    let url = url.filter(|_| enabled)?;
    if allow_unsafe {
        warnings.push(
            "archive.allow_unsafe is on: an archive on a server with fsync=off loses jobs in a crash. It is for servers whose \
             jobs nobody needs."
                .into(),
        );
    }
    Some(Settings {
        url,
        migrate,
        allow_unsafe,
    })
}
