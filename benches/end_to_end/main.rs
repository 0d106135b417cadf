//! The budgets of the design, measured from outside: `make bench`.
//!
//! A real Redis and the real binary run as processes of their own on free ports of this machine; this process queries
//! them over sockets, as a browser or a script would. Load and clients share the machine's cores with what they
//! measure, so the figures are those of a small machine that does everything at once.
//!
//! ```text
//! make bench                                  everything: about 20 minutes, 5 GB of memory
//! make bench ARGS=--quick                     a smoke run: shorter windows, a tenth of the jobs
//! make bench ARGS='freshness jobs'            only these
//! make bench ARGS='--out report.md'           the table also as a file
//! TESTED_DROVER=/path/to/drover make bench       another build
//! ```
//!
//! Reading order: [`rows`] has one module for each part of the table; [`ground`] writes the data, [`load`] changes it,
//! [`watchers`] follow it. A line that cannot be measured says so in the table.

mod ground;
mod http;
mod load;
mod measure;
mod postgres;
mod process;
mod rows;
mod table;
mod watchers;

use rows::{Bench, abuse, act, archive, commands, floors, footprint, freshness, jobs, many, pages, pgboss};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// The result of a step; an error is a sentence.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The measurements, in their order: neighbours share their data where they can.
const NAMES: [&str; 21] = [
    "freshness",
    "lone",
    "overview",
    "commands",
    "idle",
    "unwatched",
    "cpu",
    "workers",
    "memory",
    "start",
    "wire",
    "tenants",
    "jobs",
    "search",
    "million",
    "ten-million",
    "large",
    "act",
    "archive",
    "pgboss",
    "abuse",
];

#[derive(Debug, Default)]
struct Args {
    names: Vec<String>,
    quick: bool,
    out: Option<PathBuf>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args = Args::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            // Cargo passes this to every benchmark.
            "--bench" => {}
            "--quick" => args.quick = true,
            "--out" => args.out = Some(words.next().ok_or("--out needs the name of a file")?.into()),
            name if NAMES.contains(&name) => args.names.push(word),
            other => {
                return Err(format!(
                    "{other:?} is not known; there are --quick, --out FILE and {}",
                    NAMES.join(", ")
                ));
            }
        }
    }
    Ok(args)
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(why) => {
            eprintln!("bench: {why}");
            return ExitCode::from(2);
        }
    };
    // Dropping the run ends the processes it started.
    let outcome = tokio::select! {
        outcome = run(&args) => outcome,
        () = told_to_stop() => Err("stopped".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn told_to_stop() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

async fn run(args: &Args) -> Outcome<()> {
    let drover = process::find_drover()?;
    eprintln!("measuring {}", drover.display());
    let began = Instant::now();
    let mut bench = Bench {
        drover,
        quick: args.quick,
        ground: ground::Ground::default(),
        floors: floors::Floors::default(),
        table: table::Table::default(),
    };
    floors::measure(&mut bench).await?;
    for name in NAMES
        .into_iter()
        .filter(|name| args.names.is_empty() || args.names.iter().any(|asked| asked == name))
    {
        let since = Instant::now();
        eprintln!("{name}");
        let outcome = match name {
            "freshness" => freshness::freshness(&mut bench).await,
            "lone" => freshness::lone(&mut bench).await,
            "overview" => pages::overview(&mut bench).await,
            "commands" => commands::watchers(&mut bench).await,
            "idle" => commands::idle(&mut bench).await,
            "unwatched" => commands::unwatched(&mut bench).await,
            "cpu" => commands::cpu(&mut bench).await,
            "workers" => many::workers(&mut bench).await,
            "memory" => footprint::memory(&mut bench).await,
            "start" => footprint::start_up(&mut bench).await,
            "wire" => footprint::wire(&mut bench).await,
            "tenants" => footprint::tenants(&mut bench).await,
            "jobs" => jobs::jobs(&mut bench).await,
            "search" => many::search(&mut bench).await,
            "ten-million" => many::ten_million(&mut bench).await,
            "million" => pages::million(&mut bench).await,
            "act" => act::act(&mut bench).await,
            "archive" => archive::archive(&mut bench).await,
            "pgboss" => pgboss::pgboss(&mut bench).await,
            "abuse" => abuse::abuse(&mut bench).await,
            _ => footprint::large(&mut bench).await,
        };
        if let Err(error) = outcome {
            bench.table.not_measured(name, error.to_string());
        }
        eprintln!("  ({:.0} s)", since.elapsed().as_secs_f64());
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    bench.table.remark(format!(
        "{} cores, load {} at the end, {:.0} s in all{}.",
        std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        load.split(' ').next().unwrap_or_default(),
        began.elapsed().as_secs_f64(),
        if args.quick {
            "; a quick run: short windows, a tenth of the jobs"
        } else {
            ""
        }
    ));
    let report = bench.table.markdown();
    println!("{report}");
    if let Some(path) = &args.out {
        std::fs::write(path, &report).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    eprintln!("{} budget(s) missed or not measured", bench.table.open());
    Ok(())
}
