//! The command line: one file for each subcommand. The only place that prints.
//!
//! Exit status: 0 all is well; 1 what the subcommand looks for was found (an error, a denial, a difference); 2 wrong use,
//! unreadable input, or an invalid policy given to a subcommand that needs a valid one.

mod build;
mod check;
mod diff;
mod event;
mod exchange;
mod explain;
mod fmt;
mod inspect;
mod output;
mod render;
mod replay;
mod scan;
mod schema;
mod source;
mod test;
mod validate;
mod verdict;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// What a subcommand found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExitStatus {
    /// Nothing to complain of.
    Clean,
    /// What it looks for.
    Found,
}

/// The subcommand could not do its work; the message has been said.
#[derive(Clone, Copy, Debug)]
struct Failed;

/// Policies for AI agents, models and tools, enforced inside Envoy.
#[derive(Debug, Parser)]
#[command(
    name = "agentguard",
    version,
    after_help = "Exit status: 0 all is well; 1 something was found (an error, a denial, a difference); 2 wrong use, \
                  unreadable input, or an invalid policy."
)]
struct Arguments {
    /// One JSON object a line instead of text for people.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check policies: every mistake with its place and a way out.
    Validate(validate::Validate),
    /// Also find what is legal and probably wrong.
    Lint(validate::Validate),
    /// Judge events with a policy.
    Check(check::Check),
    /// Run a policy's tests and the examples of its rules.
    Test(test::Test),
    /// Show the events that a protocol's reader sees in recorded exchanges.
    Inspect(inspect::Inspect),
    /// Find personal data, secrets and signs of injection in texts.
    Scan(scan::Scan),
    /// Judge what was recorded, and tell what differs from then.
    Replay(replay::Replay),
    /// Tell what a change of a policy changes: proved, or shown by an event.
    Diff(diff::Diff),
    /// Write the configuration that Envoy is given.
    Build(build::Build),
    /// Write a policy in its usual form.
    Fmt(fmt::Fmt),
    /// Print the JSON Schema of policies, of test files, or of audit lines.
    Schema(schema::Schema),
    /// Say why a policy decides an event as it does, or what a stable code means.
    Explain(explain::Explain),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    let outcome = match &arguments.command {
        Command::Validate(command) => command.run(json),
        Command::Lint(command) => command.run_lint(json),
        Command::Check(command) => command.run(json),
        Command::Test(command) => command.run(json),
        Command::Inspect(command) => command.run(json),
        Command::Scan(command) => command.run(json),
        Command::Replay(command) => command.run(json),
        Command::Diff(command) => command.run(json),
        Command::Build(command) => command.run(json),
        Command::Fmt(command) => command.run(json),
        Command::Schema(command) => command.run(json),
        Command::Explain(command) => command.run(json),
    };
    match outcome {
        Ok(ExitStatus::Clean) => ExitCode::SUCCESS,
        Ok(ExitStatus::Found) => ExitCode::from(1),
        Err(Failed) => ExitCode::from(2),
    }
}
