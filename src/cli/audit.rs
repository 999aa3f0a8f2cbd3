//! `agentguard audit verify FILE…`: checks the chain of audit records.

use super::{ExitStatus, Failed, output};
use crate::audit::{ChainId, ChainKey, Head, Place, Report, Verifier, parse_chain_id};
use crate::wire::hex;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// Maximum bytes of a line. Records are far shorter; anything longer is no record and is not kept.
const MAX_LINE: u64 = 16 << 20;

/// Maximum faults that are printed as text.
const MAX_PRINTED: usize = 100;

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Find every record that was changed, removed, inserted, moved or cut off.
    Verify(Verify),
}

/// Arguments of `audit verify`.
#[derive(Debug, Args)]
struct Verify {
    /// Audit logs, in any order: plain, gzip or zstd. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// The key of the MACs: `env:NAME` as in the policy, or `file:PATH`. May be repeated after a rotation. Without a key,
    /// MACs are not checked.
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// Start behind the records that an earlier run has verified: the file that its `--write-heads` wrote.
    #[arg(long, value_name = "FILE")]
    heads: Option<String>,
    /// Write the last record of each chain, to go on from it later and to keep it where nobody can change it.
    #[arg(long, value_name = "FILE")]
    write_heads: Option<String>,
}

impl Audit {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        match &self.command {
            AuditCommand::Verify(command) => command.run(json),
        }
    }
}

impl Verify {
    fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let keys = self.key.iter().map(|key| read_key(key));
        let mut verifier = Verifier::new(keys.collect::<Result<_, _>>()?);
        if let Some(file) = &self.heads {
            verifier = verifier.behind(read_heads(file)?);
        }
        for (file, name) in self.files.iter().enumerate() {
            read_records(name, file, &mut verifier)
                .map_err(|error| output::print_error(&format!("{name} can't be read: {error}")))?;
        }
        let report = verifier.finish();
        if let (Some(file), true) = (&self.write_heads, report.faults.is_empty()) {
            let text = format!("{:#}\n", heads_as_json(&report.heads));
            output::replace_file(file, text.as_bytes())?;
        }
        if json {
            self.print_json(&report);
        } else {
            self.print(&report);
        }
        Ok(match report.faults.is_empty() && !report.is_incomplete {
            true => ExitStatus::Clean,
            false => ExitStatus::Found,
        })
    }

    /// `audit.jsonl.1:42`
    fn name(&self, place: Place) -> String {
        let file = self.files.get(place.file).map_or("", |name| name);
        format!("{file}:{}", place.line)
    }

    fn print_json(&self, report: &Report) {
        for fault in &report.faults {
            let place = fault.place();
            output::line(
                &json!({
                    "file": self.files.get(place.file), "line": place.line, "fault": fault.word(),
                    "message": fault.describe(&|place| self.name(place)),
                })
                .to_string(),
            );
        }
        output::line(
            &json!({
                "records": report.records, "not_evaluated": report.not_evaluated,
                "faults": report.faults.len(), "macs_checked": report.authenticated,
                "incomplete": report.is_incomplete, "heads": heads_as_json(&report.heads),
            })
            .to_string(),
        );
    }

    fn print(&self, report: &Report) {
        for fault in report.faults.iter().take(MAX_PRINTED) {
            let message = fault.describe(&|place| self.name(place));
            output::line(&format!("{}: {message}", self.name(fault.place())));
        }
        let left_out = report.faults.len().saturating_sub(MAX_PRINTED);
        if left_out > 0 {
            output::line(&format!("{left_out} more are not shown; --json lists all"));
        }
        let count = |count: u64, one: &str, several: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {several}"),
        };
        let chains = u64::try_from(report.heads.len()).unwrap_or(u64::MAX);
        let faults = u64::try_from(report.faults.len()).unwrap_or(u64::MAX);
        output::line(&format!(
            "{} in {}, {}: {}",
            count(report.records, "record", "records"),
            count(chains, "chain", "chains"),
            count(
                report.not_evaluated,
                "exchange not evaluated",
                "exchanges not evaluated"
            ),
            match faults {
                0 => "no fault".to_owned(),
                faults => count(faults, "fault", "faults"),
            },
        ));
        if report.is_incomplete {
            output::line("There are too many faults to find all of them.");
        }
        if report.records == 0 {
            output::line("There is no record in these files, so that nothing was verified.");
        }
        if !report.authenticated && report.records > 0 {
            output::line(
                "No MAC was checked: give the key with --key env:NAME. Without it, whoever can write the files could have \
                 written the chains anew.",
            );
        }
        if report.records > 0 {
            output::line(
                "The chains don't tell whether records followed the last ones, nor whether whoever holds the key wrote them \
                 anew: compare their heads (--json, --write-heads) with those that you keep elsewhere.",
            );
        }
    }
}

/// Reads a key: `env:NAME` or `file:PATH`.
fn read_key(source: &str) -> Result<ChainKey, Failed> {
    let bytes = match source.split_once(':') {
        #[expect(
            clippy::disallowed_methods,
            reason = "the key of the chain is in the environment, as for the filter"
        )]
        Some(("env", name)) => std::env::var(name)
            .map_err(|_| output::print_error(&format!("--key {source}: the variable is not set")))?
            .into_bytes(),
        Some(("file", path)) => {
            let mut bytes = output::read(path)?;
            // An editor ends a file with a line feed, which is not part of a key.
            while bytes
                .last()
                .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
            {
                bytes.pop();
            }
            bytes
        }
        _ => {
            return Err(output::print_error(
                "--key: write `env:NAME` or `file:PATH`",
            ));
        }
    };
    ChainKey::new(&bytes)
        .ok_or_else(|| output::print_error(&format!("--key {source}: the key is empty")))
}

fn heads_as_json(heads: &BTreeMap<ChainId, Head>) -> Value {
    let heads = heads
        .iter()
        .map(|(id, head)| (hex::encode(id), json!(head.to_string())));
    Value::Object(heads.collect())
}

fn read_heads(file: &str) -> Result<BTreeMap<ChainId, Head>, Failed> {
    let wrong = || output::print_error(&format!("{file}: these are no heads of --write-heads"));
    let text = output::read(file)?;
    let heads: BTreeMap<String, String> = serde_json::from_slice(&text).map_err(|_| wrong())?;
    heads
        .iter()
        .map(|(id, head)| Some((parse_chain_id(id)?, Head::parse(head)?)))
        .collect::<Option<_>>()
        .ok_or_else(wrong)
}

/// Hands over the lines of a file.
fn read_records(name: &str, file: usize, verifier: &mut Verifier) -> std::io::Result<()> {
    let mut input: Box<dyn BufRead> = match name {
        output::STDIN => Box::new(BufReader::with_capacity(1 << 20, std::io::stdin().lock())),
        name => Box::new(BufReader::with_capacity(1 << 20, File::open(name)?)),
    };
    let start = input.fill_buf()?;
    if start.starts_with(&[0x1F, 0x8B]) {
        let decoder = flate2::bufread::MultiGzDecoder::new(input);
        input = Box::new(BufReader::with_capacity(1 << 20, decoder));
    } else if start.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
        let decoder =
            ruzstd::decoding::StreamingDecoder::new(input).map_err(std::io::Error::other)?;
        input = Box::new(BufReader::with_capacity(1 << 20, decoder));
    }
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let size = (&mut input).take(MAX_LINE).read_until(b'\n', &mut line)?;
        if size == 0 {
            break;
        }
        let is_complete = line.last() == Some(&b'\n');
        if is_complete {
            line.pop();
        }
        let at = Place { file, line: number };
        verifier.line(&line, at, is_complete);
        if u64::try_from(size).unwrap_or(u64::MAX) >= MAX_LINE && !is_complete {
            skip_line(&mut *input)?;
        }
    }
    Ok(())
}

/// Passes over the rest of a line.
fn skip_line(input: &mut dyn BufRead) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |end| end.saturating_add(1));
        input.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}
