//! `drover audit export`: the lines of the audit log on standard output, for log shippers.

use crate::model::format;
use crate::server::archive::Archive;
use crate::server::audit::chain;
use crate::server::audit::export::{Batch, Files, Source, Table, Unread};
use crate::server::config::Config;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::sleep;

/// How often new lines are looked for.
const LOOK: Duration = Duration::from_millis(500);

/// Prints all lines of the audit log, the oldest first: those of the table that replicas share, or without one those of the
/// files. With `follow`, new ones too until the process is ended.
pub(super) fn export(config: &Config, follow: bool) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime
        .map_err(|error| format!("the runtime cannot start: {error}"))
        .and_then(|runtime| {
            // Its pools want a runtime from the moment they are made.
            runtime.block_on(async {
                let mut source = source(config, follow)?;
                pass_on(&mut source, follow).await
            })
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say_error!("drover: {why}");
            ExitCode::FAILURE
        }
    }
}

fn source(config: &Config, follow: bool) -> Result<Source, String> {
    if let Some(settings) = config.archive.clone() {
        return Ok(Source::Table(Box::new(Table::new(Archive::new(settings)?))));
    }
    if !follow && chain::files(&config.audit_file).is_empty() {
        return Err(format!("there is no audit log at {}", config.audit_file.display()));
    }
    Ok(Source::Files(Files::new(&config.audit_file)))
}

async fn pass_on(source: &mut Source, follow: bool) -> Result<(), String> {
    let mut told = None;
    loop {
        match source.next().await {
            Ok(batch) if batch.is_end() && !follow => return Ok(()),
            Ok(batch) => {
                told = None;
                let (end, written) = (batch.is_end(), print(&batch));
                match written {
                    // The reader has gone: that is no failure of ours.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                    written => written.map_err(|error| format!("standard output cannot be written: {error}"))?,
                }
                if !end {
                    continue;
                }
            }
            Err(Unread::Away(why)) if follow => {
                if told.as_ref() != Some(&why) {
                    say_error!("drover: {why}; waiting for it");
                }
                told = Some(why);
            }
            Err(Unread::Away(why) | Unread::Gone(why)) => return Err(why),
        }
        sleep(LOOK).await;
    }
}

fn print(batch: &Batch) -> io::Result<()> {
    if batch.odd > 0 {
        say_error!(
            "drover: left out {} that cannot be read as a record of an action",
            format::counted(batch.odd, "line", "lines")
        );
    }
    let mut out = io::stdout().lock();
    out.write_all(&batch.bytes)?;
    out.flush()
}
