//! `[archive]`: whether and how finished jobs are kept.
//!
//! It lives in one of the Postgres stores that are configured; without one there is none.

use super::{Reader, Store, StoreKind, file};
use crate::server::archive::Settings;

/// Reads the settings; `None` for no archive.
pub(super) fn read(
    r: &mut Reader<'_>,
    raw: Option<file::Archive>,
    stores: &[Store],
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
    let (wanted, source) = r.pick("DROVER_ARCHIVE_STORE", raw.store, "");
    let mut all = stores.iter().filter(|store| store.kind == StoreKind::Postgres);
    let store = match wanted.as_str() {
        "" => all.next(),
        id => {
            let found = all.find(|store| store.id == id);
            if found.is_none() && enabled {
                r.problems.push(format!(
                    "{source}: archive.store: no Postgres is configured with the id {id:?}"
                ));
            }
            found
        }
    };
    let url = store.filter(|_| enabled)?.url.clone();
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
