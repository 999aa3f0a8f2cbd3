//! Arranges the filter's code by what recorded traffic runs.
//!
//! Between two exchanges a processor runs Envoy and the kernel, after which little of the filter is in its caches: what an
//! exchange costs is mostly how many lines of code it touches. V8 lays functions out in their order, and moves the side of a
//! branch that a hint calls unlikely behind the rest of its function. Neither changes what a module does.
//!
//! `layout instrument` writes a module that counts, `train.mjs` runs traffic through it, `layout apply` uses the counts. They are
//! made at each build from the very module that they are for, so that none can be out of date.

use clap::{Parser, Subcommand};
use std::error::Error;
use std::fs;
use std::path::PathBuf;

mod apply;
mod instrument;
mod profile;

/// Arranges a WebAssembly module by a profile of its branches and functions
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a module count, in a memory of its own that it exports as "profile"
    Instrument { module: PathBuf, output: PathBuf },
    /// Orders functions by their first call and hints at branches that nearly always go one way
    Apply {
        module: PathBuf,
        /// The exported memory after a run
        profile: PathBuf,
        output: PathBuf,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    let (output, bytes) = match Arguments::parse().command {
        Command::Instrument { module, output } => {
            (output, instrument::instrument(&fs::read(module)?)?)
        }
        Command::Apply {
            module,
            profile,
            output,
        } => (
            output,
            apply::apply(&fs::read(module)?, &fs::read(profile)?)?,
        ),
    };
    fs::write(output, bytes)?;
    Ok(())
}
