//! Files, keys and heads of a trail, as arguments of the commands about trails.

use super::super::{Failed, output};
use super::index::Index;
use super::lines::{Line, Lines, fault_of};
use crate::audit::{
    ChainId, ChainKey, Checkpoint, CheckpointVerifier, Fault, Head, Place, Report, Verifier,
    parse_chain_id,
};
use crate::diag::codes;
use crate::wire::hex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// Maximum faults that are printed as text.
const MAX_PRINTED: usize = 100;

/// Callback for a line, or for the fault that ends its file. Returns whether to continue.
pub(super) type TakeLine<'t> = &'t mut dyn FnMut(Result<&Line<'_>, Fault>) -> ControlFlow<()>;

/// Readable files, each once.
pub(super) struct Files(pub(super) Vec<String>);

impl Files {
    /// Checks all files first, so that a wrong name is reported before an hour of reading.
    pub(super) fn new(names: &[String]) -> Result<Files, Failed> {
        let (mut seen, mut files) = (BTreeSet::new(), Vec::new());
        let mut is_wrong = false;
        for name in names {
            if name != output::STDIN {
                let problem = match std::fs::metadata(name) {
                    Ok(file) if file.is_dir() => Some("it is a folder; name its files".to_owned()),
                    // A pipe can be opened only once, to read it.
                    Ok(file) if !file.is_file() => None,
                    Ok(_) => std::fs::File::open(name)
                        .err()
                        .map(|error| output::unreadable(&error)),
                    Err(error) => Some(output::unreadable(&error)),
                };
                if let Some(problem) = problem {
                    output::print_unread(name, &problem);
                    is_wrong = true;
                    continue;
                }
                if Index::is_database(name) {
                    output::print_coded(
                        codes::AG9013,
                        &format!(
                            "{name}: this is a database, as `audit index` makes it; name the audit logs"
                        ),
                    );
                    is_wrong = true;
                    continue;
                }
            }
            let file = std::fs::canonicalize(name).unwrap_or_else(|_| name.into());
            match seen.insert(file) {
                true => files.push(name.clone()),
                false => output::note(&format!("{name} is named twice and read once")),
            }
        }
        match is_wrong {
            true => Err(Failed),
            false => Ok(Files(files)),
        }
    }

    /// Passes the lines of all files to the callback, and a fault for each file that can't be read to its end.
    pub(super) fn each_line(&self, take: TakeLine<'_>) -> ControlFlow<()> {
        for (number, name) in self.0.iter().enumerate() {
            let mut lines = match Lines::open(name, number) {
                Ok(lines) => lines,
                Err(error) => {
                    let at = Place {
                        file: number,
                        line: 1,
                    };
                    take(Err(fault_of(&error, at)))?;
                    continue;
                }
            };
            loop {
                match lines.next() {
                    Ok(Some(line)) => take(Ok(&line))?,
                    Ok(None) => break,
                    Err(fault) => {
                        take(Err(fault))?;
                        break;
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Passes all lines to a verifier. A file that can't be read to its end is a fault, and the others are
    /// read.
    pub(super) fn read_into(&self, verifier: &mut Verifier) {
        let _ = self.each_line(&mut |line| {
            match line {
                Ok(line) => verifier.line(line.bytes, line.at, line.is_complete),
                Err(fault) => verifier.fault(fault),
            }
            ControlFlow::Continue(())
        });
    }

    /// Formats a place: `audit.jsonl.1:42`.
    pub(super) fn name(&self, place: Place) -> String {
        let file = self.0.get(place.file).map_or("", |name| name);
        format!("{file}:{}", place.line)
    }

    /// Prints the faults as text, and their number.
    pub(super) fn print_faults(&self, report: &Report) {
        for fault in report.faults.iter().take(MAX_PRINTED) {
            let message = fault.describe(&|place| self.name(place));
            output::line(&match fault.place() {
                Some(place) => format!("{}: {message}", self.name(place)),
                None => message,
            });
        }
        let left_out = report.faults.len().saturating_sub(MAX_PRINTED);
        if left_out > 0 {
            output::line(&format!("{left_out} more are not shown; --json lists all"));
        }
        if report.is_incomplete {
            output::line("There are too many faults to find all of them.");
        }
    }

    /// Prints each fault as a JSON object.
    pub(super) fn print_faults_as_json(&self, report: &Report) {
        for fault in &report.faults {
            let place = fault.place();
            output::json_line(
                &json!({
                    "file": place.and_then(|place| self.0.get(place.file)),
                    "line": place.map(|place| place.line), "fault": fault.word(),
                    "message": fault.describe(&|place| self.name(place)),
                })
                .to_string(),
            );
        }
    }
}

/// Reads the keys of MACs.
pub(super) fn read_keys(sources: &[String]) -> Result<Vec<ChainKey>, Failed> {
    let mut keys = Vec::new();
    for source in sources {
        keys.extend(read_key(source)?);
    }
    Ok(keys)
}

/// Reads a key: `env:NAME` or `file:PATH`. An editor ends a file with a line feed, which a secret of Kubernetes has as well, and
/// a shell takes away. The filter's key is the variable as it is, so the key is returned with and without its line end.
fn read_key(source: &str) -> Result<Vec<ChainKey>, Failed> {
    let bytes = match source.split_once(':') {
        #[expect(
            clippy::disallowed_methods,
            reason = "the key of the chain is in the environment, as for the filter"
        )]
        Some(("env", name)) => std::env::var(name)
            .map_err(|_| {
                output::print_coded(
                    codes::AG9012,
                    &format!(
                        "--key {source}: the variable is not set; set it, or write `file:PATH`"
                    ),
                )
            })?
            .into_bytes(),
        Some(("file", path)) => output::read(path)?,
        _ => {
            return Err(output::print_coded(
                codes::AG9012,
                "--key: write `env:NAME` or `file:PATH`",
            ));
        }
    };
    let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte));
    let inner = end.and_then(|end| bytes.get(..=end)).unwrap_or_default();
    if inner.is_empty() {
        return Err(output::print_coded(
            codes::AG9012,
            &format!("--key {source}: the key is empty; give the one that the filter has"),
        ));
    }
    let with_end = [inner, b"\n"].concat();
    let is_other = bytes != inner && bytes != with_end;
    let forms = [
        Some(inner),
        Some(&with_end),
        Some(&*bytes).filter(|_| is_other),
    ];
    Ok(forms
        .into_iter()
        .flatten()
        .filter_map(ChainKey::new)
        .collect())
}

/// Returns heads in the form of `--write-heads`.
pub(super) fn heads_as_json(heads: &BTreeMap<ChainId, Head>) -> Value {
    let heads = heads
        .iter()
        .map(|(id, head)| (hex::encode(id), json!(head.to_string())));
    Value::Object(heads.collect())
}

/// Reads the file of `--write-heads`, or a checkpoint, whose signature is verified.
pub(super) fn read_heads(
    file: &str,
    keys: &[CheckpointVerifier],
) -> Result<BTreeMap<ChainId, Head>, Failed> {
    let text = output::read(file)?;
    let wrong = || {
        output::print_coded(
            codes::AG9013,
            &format!(
                "{file}: these are no heads, and no checkpoint; `audit verify --write-heads` and `audit checkpoint` write them"
            ),
        )
    };
    let members: BTreeMap<String, Value> = serde_json::from_slice(&text).map_err(|_| wrong())?;
    if members.contains_key("kind") {
        return Ok(read_checkpoint(file, keys)?.heads);
    }
    members
        .iter()
        .map(|(id, head)| Some((parse_chain_id(id)?, Head::parse(head.as_str()?)?)))
        .collect::<Option<_>>()
        .ok_or_else(wrong)
}

/// Rejects a file in which heads or a checkpoint can't be written, because it holds something else: a trail or a key, of which it may be
/// the only copy. A pattern of the shell puts a log in the place of the file: `--write-heads audit.jsonl*`.
pub(super) fn refuse_to_replace(file: &str) -> Result<(), Failed> {
    // Opening a named pipe would wait for whoever writes to it.
    let is_file = std::fs::metadata(file).is_ok_and(|existing| existing.is_file());
    if !is_file || output::read_start(file, 256).is_some_and(|start| is_start_of_heads(&start)) {
        return Ok(());
    }
    Err(output::print_unwritten(
        file,
        "it exists and holds neither heads nor a checkpoint; name another file",
    ))
}

/// Returns whether a file that begins with these bytes is empty, or holds heads or a checkpoint.
fn is_start_of_heads(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    let text: String = text.split_ascii_whitespace().collect();
    let first = text.strip_prefix("{\"").and_then(|rest| rest.get(..16));
    text.is_empty()
        || text.starts_with("{}")
        || text.contains("\"kind\":\"agentguard-checkpoint\"")
        || first.is_some_and(|id| parse_chain_id(id).is_some())
}

/// Reads a checkpoint, and verifies its signature.
pub(super) fn read_checkpoint(
    file: &str,
    keys: &[CheckpointVerifier],
) -> Result<Checkpoint, Failed> {
    if keys.is_empty() {
        return Err(output::print_coded(
            codes::AG9012,
            &format!(
                "{file} is a checkpoint: give the public key that verifies it with --checkpoint-key ed25519:…"
            ),
        ));
    }
    let text = String::from_utf8_lossy(&output::read(file)?).into_owned();
    Checkpoint::read(&text, keys)
        .map_err(|error| output::print_coded(codes::AG9013, &format!("{file}: {error}")))
}

/// Reads public keys: `ed25519:…`, or a file with one.
pub(super) fn read_checkpoint_keys(sources: &[String]) -> Result<Vec<CheckpointVerifier>, Failed> {
    let keys = sources.iter().map(|source| {
        let text = match source.starts_with("ed25519:") {
            true => source.clone(),
            false => String::from_utf8_lossy(&output::read(source)?).into_owned(),
        };
        CheckpointVerifier::parse(text.trim()).ok_or_else(|| {
            output::print_coded(codes::AG9012, &format!(
                "--checkpoint-key {source}: this is no public key; `agentguard keygen --checkpoint` prints one: ed25519:…"
            ))
        })
    });
    keys.collect()
}

/// Formats a count: `1 record`, `2 records`.
pub(super) fn counted(count: u64, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {several}"),
    }
}
