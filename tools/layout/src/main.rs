//! Tool that counts the instructions of a filter and arranges its code accordingly.
//!
//! Between two exchanges a processor runs Envoy and the kernel, after which its caches contain little of the filter:
//! the cost of an exchange is mostly the number of cache lines of code. V8 places functions in their order, and moves
//! the unlikely side of a hinted branch behind the rest of its function. Neither changes the behaviour of the module.
//!
//! `layout instrument` writes a module that counts branches and first calls, `train.mjs` runs traffic through it, and
//! `layout apply` uses the counts. Each build makes them from the very module that they are used for, so they are never out of
//! date.
//!
//! `layout meter` writes a module that counts instructions and cache lines. `layout exchanges` prints the benchmarks' exchanges,
//! `count.mjs` runs them through the module, and `layout report` shows the cost of each and compares it with accepted figures.

use clap::{Args, Parser, Subcommand};
use counts::Metered;
use serde_json::{Value, json};
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

mod accepted;
mod apply;
mod blocks;
mod counts;
mod instrument;
mod meter;
mod profile;
mod report;

#[path = "../../../benches/exchanges.rs"]
mod exchanges;
#[expect(dead_code, reason = "the rest is for what is timed")]
#[path = "../../../benches/workload.rs"]
mod workload;

/// Counts what a WebAssembly filter runs, and arranges its code by that
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a module count branches, in a memory of its own that it exports as "profile"
    Instrument { module: PathBuf, output: PathBuf },
    /// Orders functions by their first call and hints at branches that nearly always go one way
    Apply {
        module: PathBuf,
        /// The exported memory after a run
        profile: PathBuf,
        output: PathBuf,
        /// Where the names of the functions are written, one a line in their new order
        names: PathBuf,
    },
    /// Makes a module count instructions and lines, in memories of its own that it exports as "counts" and "touched"
    Meter { module: PathBuf, output: PathBuf },
    /// Prints the exchanges that are counted
    Exchanges,
    /// Prints what each exchange cost
    Report(Report),
}

#[derive(Args)]
struct Report {
    module: PathBuf,
    /// The names of its functions, one a line
    names: PathBuf,
    /// What count.mjs wrote
    runs: PathBuf,
    /// Holds the figures against this file's, and fails where one is more than 2 % above
    #[arg(long, value_name = "FILE", requires = "compiler")]
    accepted: Option<PathBuf>,
    /// Writes the file instead
    #[arg(long, requires = "accepted")]
    accept: bool,
    /// What compiled the module, as it tells its version
    #[arg(long, value_name = "VERSION")]
    compiler: Option<String>,
    /// Also prints this many functions of each exchange, by instructions and by lines of code
    #[arg(long, value_name = "NUMBER")]
    functions: Option<usize>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    match Arguments::parse().command {
        Command::Instrument { module, output } => {
            fs::write(output, instrument::instrument(&fs::read(module)?)?)?;
        }
        Command::Apply {
            module,
            profile,
            output,
            names,
        } => {
            let (module, ordered) = apply::apply(&fs::read(module)?, &fs::read(profile)?)?;
            fs::write(names, ordered.join("\n"))?;
            fs::write(output, module)?;
        }
        Command::Meter { module, output } => {
            fs::write(output, meter::meter(&fs::read(module)?)?)?;
        }
        Command::Exchanges => println!("{}", exchanges_as_json()?),
        Command::Report(report) => return report.run(),
    }
    Ok(ExitCode::SUCCESS)
}

impl Report {
    fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let names = fs::read_to_string(self.names)?;
        let metered = Metered::new(&fs::read(self.module)?, &names)?;
        let written: Value = serde_json::from_slice(&fs::read(self.runs)?)?;
        let exchanges = metered.exchanges(&written)?;
        let counts: Vec<_> = exchanges
            .iter()
            .map(|exchange| metered.counts(exchange))
            .collect();
        print!("{}", report::exchanges(&counts));
        if let Some(most) = self.functions {
            for (exchange, counts) in exchanges.iter().zip(&counts) {
                let functions = metered.functions(exchange);
                print!("{}", report::functions(&counts.name, &functions, most));
            }
        }
        let (Some(file), Some(compiler)) = (self.accepted, self.compiler) else {
            return Ok(ExitCode::SUCCESS);
        };
        if self.accept {
            fs::write(&file, accepted::write(&counts, &compiler))?;
            println!("\n{} has these figures now.", file.display());
            return Ok(ExitCode::SUCCESS);
        }
        let accepted = serde_json::from_slice(&fs::read(file)?)?;
        let verdict = accepted::check(&counts, &compiler, &accepted);
        print!("\n{}", verdict.text);
        Ok(ExitCode::from(u8::from(verdict.failed)))
    }
}

/// Returns the exchanges in the form that `count.mjs` reads.
fn exchanges_as_json() -> Result<Value, Box<dyn Error>> {
    let mut all = Vec::new();
    for exchange in exchanges::exchanges() {
        let parts: Result<Vec<&str>, _> = exchange
            .answer
            .iter()
            .map(|part| str::from_utf8(part))
            .collect();
        all.push(json!({
            "name": exchange.name,
            "policy": exchange.policy,
            "outcome": exchange.outcome,
            "request": {
                "headers": texts(exchanges::REQUEST)?,
                "body": str::from_utf8(&exchange.question)?,
            },
            "response": { "headers": texts(exchange.head)?, "parts": parts? },
            "new_word": exchange.is_new.then_some(workload::NEW_WORD),
            "part": exchange.part,
        }));
    }
    Ok(all.into())
}

fn texts(headers: exchanges::Headers) -> Result<Vec<[&'static str; 2]>, Box<dyn Error>> {
    let mut texts = Vec::new();
    for (name, value) in headers {
        texts.push([str::from_utf8(name)?, str::from_utf8(value)?]);
    }
    Ok(texts)
}
