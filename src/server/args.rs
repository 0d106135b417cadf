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
    /// Check or print the configuration without starting anything.
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Check or export the audit log.
    Audit {
        /// What to do with it.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Manage the users who sign in with a password (auth.mode = "password").
    User {
        /// What to do with them.
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Manage the tokens of programs that call the API.
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
    /// Check whether a line was changed or removed; exit code 0 if none was, 1 otherwise.
    Verify {
        /// The hash of a last line, as an earlier run printed it: also check that this line still exists.
        #[arg(long, value_name = "HASH")]
        expect: Option<String>,
    },
    /// Print all lines as they are stored, one JSON object each, the oldest first; exit code 1 if they cannot be read.
    Export {
        /// Then print new ones as they are added, until stopped.
        #[arg(long)]
        follow: bool,
    },
}

/// What `drover user` can do. A running Drover applies every change at once.
#[derive(Clone, Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user. Without --password-stdin, generate a password and print it.
    Add {
        /// The name to sign in with.
        name: String,
        /// status, viewer, operator or admin; without it the user has only what [[auth.grant]] gives.
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
    /// Set a user's password and end their sessions.
    Password {
        /// The user's name.
        name: String,
        /// Read the password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Remove a user and end their sessions.
    Remove {
        /// The user's name.
        name: String,
    },
    /// Lift the lock that too many wrong passwords put on a name.
    Unlock {
        /// The user's name.
        name: String,
        /// An address that the user signs in from: wrong passwords from other addresses do not count there.
        #[arg(long, value_name = "ADDRESS")]
        from: Option<IpAddr>,
    },
    /// List all users, with role, queues and groups.
    List,
}

/// What `drover token` can do. A running Drover applies every change at once.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it; it is not shown again.
    Add {
        /// What it is for.
        name: String,
        /// Everything that a role permits: status, viewer, operator or admin.
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
    /// Revoke a token, by its id or its name.
    Revoke {
        /// The token's id or name.
        which: String,
    },
    /// List all tokens, with their permissions and when they expire.
    List,
}

/// What `drover config` can do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Report every problem; exit code 0 if there is none, 78 otherwise.
    Check,
    /// Print the configuration in force, with secrets masked.
    Print,
}
