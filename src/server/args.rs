//! The command line.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Operations dashboard for job queues and the Redis they live in.
#[derive(Debug, Parser)]
#[command(name = "drover", version, about, disable_help_subcommand = true)]
pub struct Args {
    /// The configuration file; Leptos.toml in the current directory if there is one.
    #[arg(long, global = true, env = "DROVER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do; `serve` if left out.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What `drover` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve the board until told to stop.
    Serve,
    /// Look at the configuration without starting anything.
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look at the record of actions.
    Audit {
        /// What to do with it.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Make Drover's own tables in Postgres, or bring them up to date.
    Migrate,
    /// Ask the running server whether it is ready; exit code 0 if it is.
    Healthcheck,
}

/// What `drover audit` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// Tell whether a line was changed or taken out; exit code 0 if none was, 1 otherwise.
    Verify {
        /// The hash of a last line, as an earlier run printed it: also tell whether that line is still there.
        #[arg(long, value_name = "HASH")]
        expect: Option<String>,
    },
}

/// What `drover config` can do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Report every problem; exit code 0 if there is none, 78 otherwise.
    Check,
    /// Print what is in force, with secrets masked.
    Print,
}
