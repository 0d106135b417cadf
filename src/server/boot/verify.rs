//! `drover audit verify`: the chain of the audit log, in the file and in Postgres.

use crate::model::format;
use crate::server::archive::Archive;
use crate::server::audit::chain::{self, Verified};
use crate::server::config::Config;
use std::process::ExitCode;

/// Follows the chain of the audit log through all its files, and through the table that replicas share.
pub(super) fn verify(config: &Config, expect: Option<&str>) -> ExitCode {
    let files = chain::files(&config.audit_file);
    if files.is_empty() && config.archive.is_none() {
        say_error!("drover: there is no audit log at {}", config.audit_file.display());
        return ExitCode::FAILURE;
    }
    let mut good = true;
    let mut expected = expect.is_none();
    if !files.is_empty() {
        match chain::verify(&files, expect) {
            Ok(found) => {
                say!(
                    "{} in {}",
                    format::counted(found.lines, "line", "lines"),
                    format::counted(found.files, "file", "files")
                );
                expected |= found.expected;
                good &= tell(&found);
            }
            Err(error) => {
                say_error!(
                    "drover: the audit log at {} cannot be read: {error}",
                    config.audit_file.display()
                );
                good = false;
            }
        }
    }
    if let Some(settings) = config.archive.clone() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let found = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
            runtime.block_on(async {
                let archive = Archive::new(settings)?;
                let found = archive.verify_record(expect).await;
                Ok((archive.address().to_owned(), found))
            })
        });
        match found {
            Ok((address, Ok(found))) => {
                say!(
                    "{} in the table drover.audit at {address}",
                    format::counted(found.lines, "line", "lines")
                );
                expected |= found.expected;
                good &= tell(&found);
            }
            Ok((address, Err(why))) => {
                say_error!("drover: the table drover.audit at {address} cannot be read: {why}");
                good = false;
            }
            Err(why) => {
                say_error!("drover: the table drover.audit cannot be read: {why}");
                good = false;
            }
        }
    }
    if !expected {
        say_error!("drover: no line has the hash that was expected: lines at the end were cut off or changed");
    }
    if good && expected {
        say!("no line was changed or removed");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints what was found; returns whether the chain is whole.
fn tell(found: &Verified) -> bool {
    if found.begins_later {
        say!("the first line follows one that is missing: older files were removed");
    }
    if found.unlinked > 0 {
        say!(
            "{} at the beginning from a version that did not chain lines",
            format::counted(found.unlinked, "line", "lines")
        );
    }
    if found.torn > 0 {
        say!(
            "{} torn by a crash",
            format::counted(found.torn, "line was", "lines were")
        );
    }
    say!("the last line is {}", found.head);
    for broken in &found.broken {
        say_error!("drover: {broken}");
    }
    found.broken.is_empty()
}
