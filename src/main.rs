//! The `agentguard` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    agentguard::cli::main()
}
