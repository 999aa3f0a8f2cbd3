//! Command line: one file per subcommand. The only layer that prints.
//!
//! Exit codes: 0 success; 1 findings (an error, a denial, a difference); 2 usage error, unreadable input, or an invalid
//! policy for a subcommand that needs a valid one.

mod approve;
mod audit;
mod build;
mod check;
mod check_result;
mod ci;
mod completions;
mod content_encoding;
mod diff;
mod doctor;
mod event;
mod exchange;
mod explain;
mod explain_record;
mod fmt;
mod init;
mod inspect;
mod keygen;
mod kill;
mod man;
mod output;
mod render;
mod replay;
mod scan;
mod schema;
mod signing_key;
mod source;
mod test;
mod validate;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use source::Source;
use std::io::Write;
use std::process::ExitCode;

/// Result of a subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExitStatus {
    /// No findings.
    Clean,
    /// Findings.
    Found,
}

/// Failure of the subcommand, whose message has been printed.
#[derive(Clone, Copy, Debug)]
struct Failed;

/// Enforces policies on AI traffic inside Envoy.
#[derive(Debug, Parser)]
#[command(
    name = "agentguard",
    version,
    after_help = "Exit status: 0 all is well; 1 something was found (an error, a denial, a difference); 2 wrong use, \
                  unreadable input, or an invalid policy for a command that needs a valid one: `validate` and `lint` find its \
                  errors, which is 1."
)]
struct Arguments {
    /// Print one JSON object per line instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check policies: report every error with its location and a suggested fix.
    Validate(validate::Validate),
    /// Check policies, and warn about valid but probably wrong rules.
    Lint(validate::Validate),
    /// Evaluate events with a policy.
    Check(check::Check),
    /// Run the tests of a policy and the examples of its rules.
    Test(test::Test),
    /// Show the events that a protocol parser finds in recorded exchanges.
    Inspect(inspect::Inspect),
    /// Find personal data, secrets and signs of prompt injection in texts.
    Scan(scan::Scan),
    /// Evaluate recorded exchanges, and compare with the recorded decisions.
    Replay(replay::Replay),
    /// Show the effect of a policy change, with a proof or a sample event.
    Diff(diff::Diff),
    /// Verify, search, report and prune audit trails.
    Audit(audit::Audit),
    /// Create a folder with a policy, its tests and what a proxy needs.
    Init(init::Init),
    /// Write the configuration for Envoy, Kubernetes, Istio or Envoy Gateway.
    Build(build::Build),
    /// Examine an Envoy's configuration: find what makes traffic pass uninspected, break or go untold.
    Doctor(doctor::Doctor),
    /// Stop agents, clients, tenants, principals or tools at once, or show what is stopped.
    Kill(kill::KillCommand),
    /// Make a key, and its entry in a policy.
    Keygen(keygen::Keygen),
    /// Format policies.
    Fmt(fmt::Fmt),
    /// Print the JSON Schema of policies, test files, or audit events.
    Schema(schema::Schema),
    /// Explain a policy's decision on an event, an audit event, or a stable code.
    Explain(explain::Explain),
    /// Show what a denied call asks an approval for, and make the token that gives it.
    Approve(approve::Approve),
    /// Print the completions of a shell.
    Completions(completions::Completions),
    /// Print or write the manual pages.
    Man(man::ManPages),
}

impl Command {
    /// Returns whether the exit status is the result of the command. Such a command reads a bounded input before it prints.
    fn has_verdict(&self) -> bool {
        matches!(
            self,
            Command::Validate(_)
                | Command::Lint(_)
                | Command::Check(_)
                | Command::Test(_)
                | Command::Replay(_)
                | Command::Diff(_)
                | Command::Audit(_)
                | Command::Doctor(_)
                | Command::Fmt(_)
        )
    }
}

/// Prints a usage error of the argument parser; help and versions are no errors. Usage errors have one form and one code,
/// whichever code finds them.
fn print_usage_error(error: &clap::Error) -> Option<Failed> {
    let text = error.render().to_string();
    let message = text.strip_prefix("error: ")?.trim_end();
    Some(output::print_misused(message))
}

/// Ends the program with a usage error, or with the requested help or version.
fn end_unparsed(error: &clap::Error) -> ! {
    if print_usage_error(error).is_some() {
        std::process::exit(error.exit_code());
    }
    let printed = error.print().and_then(|()| std::io::stdout().flush());
    match printed {
        Err(unwritten) if !error.use_stderr() => output::end_unwritten(&unwritten),
        _ => std::process::exit(error.exit_code()),
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let matches = Arguments::command()
        .try_get_matches()
        .unwrap_or_else(|error| end_unparsed(&error));
    let arguments =
        Arguments::from_arg_matches(&matches).unwrap_or_else(|error| end_unparsed(&error));
    let json = arguments.json;
    if arguments.command.has_verdict() {
        output::keep_verdict();
    }
    let outcome = match &arguments.command {
        Command::Validate(command) => command.run(json),
        Command::Lint(command) => command.run_lint(json),
        Command::Check(command) => command.run(json),
        Command::Test(command) => command.run(json),
        Command::Inspect(command) => command.run(json),
        Command::Scan(command) => command.run(json),
        Command::Replay(command) => command.run(json),
        Command::Diff(command) => command.run(json),
        Command::Audit(command) => command.run(json),
        Command::Build(command) => command.run(json, matches.subcommand_matches("build")),
        Command::Doctor(command) => command.run(json),
        Command::Kill(command) => command.run(json),
        Command::Fmt(command) => command.run(json),
        Command::Schema(command) => command.run(json),
        Command::Explain(command) => command.run(json),
        Command::Approve(command) => command.run(json),
        Command::Keygen(command) => command.run(json),
        Command::Init(command) => command.run(json),
        Command::Completions(command) => command.run(json),
        Command::Man(command) => command.run(json),
    };
    match outcome {
        Ok(ExitStatus::Clean) => ExitCode::SUCCESS,
        Ok(ExitStatus::Found) => ExitCode::from(1),
        Err(Failed) => ExitCode::from(2),
    }
}
