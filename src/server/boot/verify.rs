//! `drover audit verify`: the chain of the record, in the file and in Postgres.

use crate::server::archive::Archive;
use crate::server::audit::chain::{self, Verified};
use crate::server::config::Config;
use std::process::ExitCode;

/// Follows the chain of the record through all its files, and through the table that replicas share.
pub(super) fn verify(config: &Config, expect: Option<&str>) -> ExitCode {
    let files = chain::files(&config.audit_file);
    if files.is_empty() && config.archive.is_none() {
        eprintln!("drover: there is no record at {}", config.audit_file.display());
        return ExitCode::FAILURE;
    }
    let mut good = true;
    let mut expected = expect.is_none();
    if !files.is_empty() {
        match chain::verify(&files, expect) {
            Ok(found) => {
                println!("{} line(s) in {} file(s)", found.lines, found.files);
                expected |= found.expected;
                good &= tell(&found);
            }
            Err(error) => {
                eprintln!(
                    "drover: the record at {} cannot be read: {error}",
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
                println!("{} line(s) in the table drover.audit at {address}", found.lines);
                expected |= found.expected;
                good &= tell(&found);
            }
            Ok((address, Err(why))) => {
                eprintln!("drover: the table drover.audit at {address} cannot be read: {why}");
                good = false;
            }
            Err(why) => {
                eprintln!("drover: the table drover.audit cannot be read: {why}");
                good = false;
            }
        }
    }
    if !expected {
        eprintln!("drover: no line has the hash that was expected: lines at the end were cut off or changed");
    }
    if good && expected {
        println!("no line was changed or taken out");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Tells what was found; whether it is good.
fn tell(found: &Verified) -> bool {
    if found.begins_later {
        println!("the first line follows one that is not here: older files were taken away");
    }
    if found.unlinked > 0 {
        println!(
            "{} line(s) at the beginning are from a version that did not chain them",
            found.unlinked
        );
    }
    if found.torn > 0 {
        println!("{} line(s) were torn by a crash", found.torn);
    }
    println!("the last line is {}", found.head);
    for broken in &found.broken {
        eprintln!("drover: {broken}");
    }
    found.broken.is_empty()
}
