//! `agentguard audit prune`: deletes old files of a trail, and keeps the rest verifiable.
//!
//! The deleted records must be the beginning of each chain. Their heads are written to a file first, at which
//! `audit verify` starts. A crash between the two steps leaves more files than needed, never fewer heads.

use super::super::{ExitStatus, Failed, output};
use super::checkpoint::read_signing_key;
use super::filter::{read_duration, written_time};
use super::lines::{Lines, fault_of};
use super::members::visit;
use super::trail::{Files, counted, heads_as_json, read_checkpoint_keys, read_heads, read_keys};
use crate::audit::{ChainId, Checkpoint, Fault, Head, Place, Report, Verifier};
use crate::diag::codes;
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Arguments of `audit prune`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  agentguard audit prune /var/log/agentguard/audit.jsonl* --older-than 90d --heads /var/lib/agentguard/heads.json --key env:AUDIT_KEY
  agentguard audit verify /var/log/agentguard/audit.jsonl* --heads /var/lib/agentguard/heads.json --key env:AUDIT_KEY

A file is deleted when all its records are older; rotate the log so that there are such files. Name all files of the trail.")]
pub(super) struct Prune {
    /// All audit logs of the trail: plain, gzip or zstd.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Delete files whose records are all older: `90d`, `12w`, `24h`.
    #[arg(long, value_name = "AGE")]
    older_than: String,
    /// The last deleted record of each chain: read if the file exists, and written before anything is deleted. Give it to
    /// `audit verify --heads`.
    #[arg(long, value_name = "FILE")]
    heads: String,
    /// The key of the MACs, as for `audit verify`.
    #[arg(long, visible_alias = "mac-key", value_name = "KEY")]
    key: Vec<String>,
    /// Sign the heads as a checkpoint with this key of `keygen --checkpoint`.
    #[arg(long, value_name = "FILE")]
    sign: Option<String>,
    /// The public key, if the file of `--heads` is a checkpoint.
    #[arg(long, value_name = "KEY")]
    checkpoint_key: Vec<String>,
    /// Delete although the trail has faults: what is deleted can't be looked into any more.
    #[arg(long)]
    force: bool,
    /// Only say what would be deleted.
    #[arg(long)]
    dry_run: bool,
}

/// Result of reading a file.
struct Seen {
    /// Time of its newest record.
    newest: Option<String>,
    /// Whether the age of one of its lines is unknown.
    is_unclear: bool,
    /// Size and modification time, to detect a file that is still written.
    state: Option<(u64, SystemTime)>,
}

/// Heads after which a trail starts.
type Heads = BTreeMap<ChainId, Head>;

impl Prune {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let age = read_duration(&self.older_than).ok_or_else(|| {
            output::print_coded(
                codes::AG9012,
                &format!(
                    "--older-than {}: write `90d`, `12w` or `24h`",
                    self.older_than
                ),
            )
        })?;
        let limit = jiff::Timestamp::now()
            .checked_sub(age)
            .map(written_time)
            .map_err(|_| {
                output::print_coded(
                    codes::AG9012,
                    &format!(
                        "--older-than {}: that is before all times; write `90d`",
                        self.older_than
                    ),
                )
            })?;
        if self.files.iter().any(|name| name == output::STDIN) {
            return Err(output::print_coded(
                codes::AG9012,
                "-: standard input can't be deleted; name files",
            ));
        }
        let keys = read_keys(&self.key)?;
        let signing = self.sign.as_deref().map(read_signing_key).transpose()?;
        let start = match std::path::Path::new(&self.heads).exists() {
            true => read_heads(&self.heads, &read_checkpoint_keys(&self.checkpoint_key)?)?,
            false => Heads::new(),
        };
        let files = Files::new(&without_links(&self.files))?;

        // The whole trail must be sound, because deleted files can't be examined later.
        let mut whole = Verifier::new(keys.clone()).behind(start.clone());
        let seen = read_and_date(&files, &mut whole);
        let report = whole.finish();
        if !self.force && self.has_faults(&files, &report, json) {
            output::print_coded(
                codes::AG9014,
                "the trail has faults: nothing was deleted. Mend it, or keep a copy and delete with --force",
            );
            return Ok(ExitStatus::Found);
        }
        let newest_of = |number: &usize| seen.get(*number).and_then(|file| file.newest.clone());
        let (mut old, mut kept): (Vec<usize>, Vec<usize>) = (0..seen.len()).partition(|number| {
            seen.get(*number).is_some_and(|file| {
                !file.is_unclear && file.newest.as_ref().is_some_and(|newest| *newest < limit)
            })
        });
        // The oldest goes first, so that a failure in between leaves the ends of the chains, which reach to the heads.
        old.sort_by_key(newest_of);
        if kept.is_empty()
            && let Some(last) = old.pop()
        {
            // Envoy has one of the files open. What it writes to a deleted file is lost.
            output::note(&format!(
                "{} has the newest record, and Envoy may have it open: it is kept. Rotate the log to delete it",
                files.0.get(last).map_or("", |name| name)
            ));
            kept.push(last);
        }
        if report.unchecked_macs > 0 {
            output::note(
                "No MAC was checked: --key env:NAME checks them before anything is deleted.",
            );
        }
        let old_files = subset(&files, &old);
        let mut verifier = Verifier::new(keys.clone()).behind(start);
        old_files.read_into(&mut verifier);
        let deleted = verifier.finish();
        // The deleted records must be the beginnings of the chains without gaps, and the kept ones must be sound from
        // there on.
        let kept_files = subset(&files, &kept);
        let mut verifier = Verifier::new(keys).behind(deleted.heads.clone());
        kept_files.read_into(&mut verifier);
        let is_sound = !self.has_faults(&old_files, &deleted, json)
            && !self.has_faults(&kept_files, &verifier.finish(), json);
        if !self.force && !is_sound {
            output::print_coded(
                codes::AG9014,
                "without the old files the rest could not be verified (do they overlap with newer ones?): nothing was deleted",
            );
            return Ok(ExitStatus::Found);
        }
        if !self.dry_run && !old.is_empty() {
            self.write_heads(&deleted.heads, signing.as_ref())?;
        }
        let mut deleted = 0_u64;
        for (number, name) in old.iter().zip(&old_files.0) {
            if !self.dry_run {
                let state = seen.get(*number).and_then(|file| file.state);
                if state.is_none() || state_of(name) != state {
                    output::note(&format!(
                        "{name} was written to just now: it is kept, and so are newer ones"
                    ));
                    break;
                }
                std::fs::remove_file(name).map_err(|error| {
                    output::print_coded(
                        codes::AG9011,
                        &format!("{name} can't be deleted: {}", output::unwritable(&error)),
                    )
                })?;
            }
            deleted = deleted.saturating_add(1);
            let newest = seen.get(*number).and_then(|file| file.newest.as_deref());
            match json {
                true => output::json_line(
                    &json!({"file": name, "newest": newest, "deleted": !self.dry_run}).to_string(),
                ),
                false => {
                    let word = if self.dry_run {
                        "would be deleted"
                    } else {
                        "deleted"
                    };
                    output::line(&format!(
                        "{name}: {word}, its newest record is of {}",
                        newest.unwrap_or_default()
                    ));
                }
            }
        }
        if !json {
            let kept = u64::try_from(files.0.len())
                .unwrap_or(u64::MAX)
                .saturating_sub(deleted);
            output::line(&format!(
                "{} older than {limit}, {} kept",
                counted(deleted, "file", "files"),
                counted(kept, "file", "files")
            ));
            if deleted > 0 && !self.dry_run {
                output::line(&format!(
                    "From now on: agentguard audit verify FILE… --heads {}",
                    self.heads
                ));
            }
        }
        Ok(ExitStatus::Clean)
    }

    fn has_faults(&self, files: &Files, report: &Report, json: bool) -> bool {
        let has_faults = !report.faults.is_empty() || report.is_incomplete;
        if has_faults {
            match json {
                true => files.print_faults_as_json(report),
                false => files.print_faults(report),
            }
        }
        has_faults
    }

    fn write_heads(
        &self,
        heads: &Heads,
        key: Option<&crate::audit::CheckpointKey>,
    ) -> Result<(), Failed> {
        let text = match key {
            Some(key) => Checkpoint {
                time: jiff::Timestamp::now()
                    .strftime("%Y-%m-%dT%H:%M:%SZ")
                    .to_string(),
                heads: heads.clone(),
            }
            .sign(key),
            None => format!("{:#}", heads_as_json(heads)),
        };
        output::replace_file(&self.heads, format!("{text}\n").as_bytes())
    }
}

/// Returns the names with each symbolic link replaced by the file that it leads to. Otherwise only the link would be deleted.
fn without_links(names: &[String]) -> Vec<String> {
    let target = |name: &String| {
        let is_link = std::fs::symlink_metadata(name).is_ok_and(|file| file.is_symlink());
        let target = is_link.then(|| std::fs::canonicalize(name).ok()).flatten();
        target.and_then(|file| file.to_str().map(str::to_owned))
    };
    names
        .iter()
        .map(|name| target(name).unwrap_or_else(|| name.clone()))
        .collect()
}

fn subset(files: &Files, numbers: &[usize]) -> Files {
    let names = numbers.iter().filter_map(|number| files.0.get(*number));
    Files(names.cloned().collect())
}

fn state_of(name: &str) -> Option<(u64, SystemTime)> {
    let file = std::fs::metadata(name).ok()?;
    Some((file.len(), file.modified().ok()?))
}

/// Reads all files into a verifier, and determines their ages.
fn read_and_date(files: &Files, verifier: &mut Verifier) -> Vec<Seen> {
    let mut all = Vec::new();
    for (number, name) in files.0.iter().enumerate() {
        let mut seen = Seen {
            newest: None,
            is_unclear: false,
            state: state_of(name),
        };
        let read = |seen: &mut Seen, verifier: &mut Verifier| -> Result<(), Fault> {
            let at = Place {
                file: number,
                line: 1,
            };
            let mut lines = Lines::open(name, number).map_err(|error| fault_of(&error, at))?;
            while let Some(line) = lines.next()? {
                verifier.line(line.bytes, line.at, line.is_complete);
                seen.date(line.bytes);
            }
            Ok(())
        };
        if let Err(fault) = read(&mut seen, verifier) {
            seen.is_unclear = true;
            verifier.fault(fault);
        }
        all.push(seen);
    }
    all
}

impl Seen {
    fn date(&mut self, line: &[u8]) {
        if super::source::is_no_exchange(line) {
            return;
        }
        let mut time = None;
        let read = visit(line, &mut |path, value| {
            if path == "ts" {
                time = Some(value.to_owned());
            }
        });
        match (read, time) {
            (Some(()), Some(time)) => self.newest = self.newest.take().max(Some(time)),
            _ => self.is_unclear = true,
        }
    }
}
