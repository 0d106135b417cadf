//! The command line.

use super::auth::who::QueueGlob;
use crate::model::permission::{Role, Verb};
use clap::{CommandFactory as _, Parser, Subcommand};
use std::net::IpAddr;
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

/// The environment variables that replace an argument.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    let command: &'static clap::Command = {
        static COMMAND: std::sync::OnceLock<clap::Command> = std::sync::OnceLock::new();
        COMMAND.get_or_init(Args::command)
    };
    command
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str())
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
    /// Who can sign in with a password (auth.mode = "password").
    User {
        /// What to do with them.
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Tokens of programs that call the API.
    Token {
        /// What to do with them.
        #[command(subcommand)]
        command: TokenCommand,
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

/// What `drover user` can do. A running Drover knows of every change at once.
#[derive(Clone, Debug, Subcommand)]
pub enum UserCommand {
    /// Add somebody. Without --password-stdin a password is made up and printed.
    Add {
        /// The name to sign in with.
        name: String,
        /// status, viewer, operator or admin; without it, what [[auth.grant]] gives them.
        #[arg(long)]
        role: Option<Role>,
        /// Where the role holds, such as redis/bull:mail*; may be given many times. Everywhere if left out.
        #[arg(long = "queues", value_name = "GLOB")]
        queues: Vec<QueueGlob>,
        /// A group for [[auth.grant]]; may be given many times.
        #[arg(long = "group", value_name = "NAME")]
        groups: Vec<String>,
        /// Read the password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Give somebody another password, which ends their sessions.
    Password {
        /// Who.
        name: String,
        /// Read the password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Take somebody out, which ends their sessions.
    Remove {
        /// Who.
        name: String,
    },
    /// Lift the lock that too many wrong passwords put on a name.
    Unlock {
        /// Who.
        name: String,
        /// An address that the user signs in from: wrong passwords from other addresses do not count there.
        #[arg(long, value_name = "ADDRESS")]
        from: Option<IpAddr>,
    },
    /// Show everybody, with role, queues and groups.
    List,
}

/// What `drover token` can do. A running Drover knows of every change at once.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, this once.
    Add {
        /// What it is for.
        name: String,
        /// Everything that a role may: status, viewer, operator or admin.
        #[arg(long)]
        role: Option<Role>,
        /// Permissions, such as view,retry.
        #[arg(long, value_delimiter = ',')]
        allow: Vec<Verb>,
        /// Where, such as redis/bull:mail*; may be given many times. Everywhere if left out.
        #[arg(long = "queues", value_name = "GLOB")]
        queues: Vec<QueueGlob>,
        /// For how many days, up to 90.
        #[arg(long, default_value_t = 30)]
        days: u32,
    },
    /// Take one away, by its id or its name.
    Revoke {
        /// Which.
        which: String,
    },
    /// Show all, with what they may and when they end.
    List,
}

/// What `drover config` can do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Report every problem; exit code 0 if there is none, 78 otherwise.
    Check,
    /// Print what is in force, with secrets masked.
    Print,
}
