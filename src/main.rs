//! The `drover` command.

use clap::Parser as _;
use drover::server::{args::Args, boot};
use std::process::ExitCode;

fn main() -> ExitCode {
    boot::run(&Args::parse())
}
