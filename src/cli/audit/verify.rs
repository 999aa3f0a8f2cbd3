//! `agentguard audit verify FILE…`: verifies the chains of audit records.

use super::super::{ExitStatus, Failed, output};
use super::source::note_no_record;
use super::trail::{
    Files, counted, heads_as_json, read_checkpoint, read_checkpoint_keys, read_heads, read_keys,
    refuse_to_replace,
};
use crate::audit::{Checkpoint, Fault, Report, Verifier};
use clap::Args;
use serde_json::json;

/// Arguments of `audit verify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  agentguard audit verify /var/log/agentguard/audit.jsonl* --key env:AUDIT_KEY
  agentguard audit verify audit.jsonl --heads heads.json --write-heads heads.json
  agentguard audit verify audit.jsonl* --strict --key env:AUDIT_KEY --json | tail -n 1
  agentguard audit verify audit.jsonl* --checkpoint monday.checkpoint --checkpoint-key ed25519:…

Exit status: 0 no fault; 1 faults, with --strict also if something was not proven; 2 a file or a key can't be read.")]
pub(super) struct Verify {
    /// Audit logs, in any order: plain, gzip or zstd. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// The key of the MACs: `env:NAME` as in the policy, or `file:PATH`. May be repeated after a rotation. Without a key,
    /// MACs are not checked.
    #[arg(long, visible_alias = "mac-key", value_name = "KEY")]
    key: Vec<String>,
    /// Start behind the records that an earlier run has verified: the file that its `--write-heads` or `audit prune`
    /// wrote, or a checkpoint.
    #[arg(long, value_name = "FILE")]
    heads: Option<String>,
    /// Write the last record of each chain, to go on from it later and to keep it where nobody can change it.
    #[arg(long, value_name = "FILE")]
    write_heads: Option<String>,
    /// A checkpoint that was kept elsewhere: prove that nothing before it was changed or cut. May be repeated.
    #[arg(long, value_name = "FILE", requires = "checkpoint_key")]
    checkpoint: Vec<String>,
    /// The public key of checkpoints: `ed25519:…`, or a file with it. May be repeated.
    #[arg(long, value_name = "KEY")]
    checkpoint_key: Vec<String>,
    /// Also end with 1 if something was not proven: records whose MACs were not checked, or that have none, heads of a
    /// checkpoint from before the start, or files without a record. `unproven` in the JSON output lists it.
    #[arg(long)]
    strict: bool,
}

/// What a trail without faults does not prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unproven {
    /// No key was given, so that nobody knows what was in the records.
    UncheckedMacs,
    /// Records have no MAC, so that whoever can write the files can write the chains anew.
    NoMacs,
    /// Heads of a checkpoint are from before the start, and the records before it are not all present.
    CheckpointBeforeStart,
    /// There is no record.
    NoRecord,
}

impl Unproven {
    /// Returns what the report does not prove.
    fn of(report: &Report) -> Vec<Unproven> {
        let candidates = [
            (Unproven::UncheckedMacs, report.unchecked_macs > 0),
            (
                Unproven::NoMacs,
                !report.authenticated && report.unchecked_macs < report.records,
            ),
            (Unproven::CheckpointBeforeStart, report.before_start > 0),
            (Unproven::NoRecord, report.records == 0),
        ];
        let found = candidates.into_iter().filter(|(_, is_so)| *is_so);
        found.map(|(unproven, _)| unproven).collect()
    }

    /// Word in the JSON output.
    const fn word(self) -> &'static str {
        match self {
            Unproven::UncheckedMacs => "unchecked_macs",
            Unproven::NoMacs => "no_macs",
            Unproven::CheckpointBeforeStart => "checkpoint_before_start",
            Unproven::NoRecord => "no_record",
        }
    }
}

impl Verify {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        self.write_heads
            .as_deref()
            .map_or(Ok(()), refuse_to_replace)?;
        let mut verifier = Verifier::new(read_keys(&self.key)?);
        let keys = read_checkpoint_keys(&self.checkpoint_key)?;
        if let Some(file) = &self.heads {
            verifier = verifier.behind(read_heads(file, &keys)?);
        }
        let mut checkpoints = Vec::new();
        for file in &self.checkpoint {
            let checkpoint = read_checkpoint(file, &keys)?;
            verifier = verifier.anchored(&checkpoint.heads);
            checkpoints.push((file, checkpoint));
        }
        let files = Files::new(&self.files)?;
        files.read_into(&mut verifier);
        let report = verifier.finish();
        let is_sound = report.faults.is_empty() && !report.is_incomplete;
        if let (Some(file), true) = (&self.write_heads, is_sound) {
            let text = format!("{:#}\n", heads_as_json(&report.heads));
            output::replace_file(file, text.as_bytes())?;
        } else if let Some(file) = &self.write_heads {
            output::note(&format!("{file} was not written, because of the faults"));
        }
        let unproven = Unproven::of(&report);
        let is_ok = is_sound && (!self.strict || unproven.is_empty());
        if json {
            files.print_faults_as_json(&report);
            print_summary_as_json(&report, &unproven, is_ok);
            if report.records == 0 && report.faults.is_empty() {
                note_no_record();
            }
        } else {
            files.print_faults(&report);
            print_summary(&report, &checkpoints);
            if is_sound && !is_ok {
                output::line("Not proven, which --strict requires: see above.");
            }
        }
        Ok(match is_ok {
            true => ExitStatus::Clean,
            false => ExitStatus::Found,
        })
    }
}

fn print_summary_as_json(report: &Report, unproven: &[Unproven], is_ok: bool) {
    let unproven: Vec<&str> = unproven.iter().map(|unproven| unproven.word()).collect();
    output::json_line(
        &json!({
            "records": report.records, "chains": report.heads.len(), "not_evaluated": report.not_evaluated,
            "faults": report.faults.len(), "macs_checked": report.authenticated,
            "unchecked_macs": report.unchecked_macs, "checkpoint_heads": {
                "found": report.anchored, "before_start": report.before_start,
            },
            "incomplete": report.is_incomplete, "heads": heads_as_json(&report.heads),
            "unproven": unproven, "ok": is_ok,
        })
        .to_string(),
    );
}

fn print_summary(report: &Report, checkpoints: &[(&String, Checkpoint)]) {
    let chains = u64::try_from(report.heads.len()).unwrap_or(u64::MAX);
    let faults = u64::try_from(report.faults.len()).unwrap_or(u64::MAX);
    output::line(&format!(
        "{} in {}, {}: {}",
        counted(report.records, "record", "records"),
        counted(chains, "chain", "chains"),
        counted(
            report.not_evaluated,
            "exchange not evaluated",
            "exchanges not evaluated"
        ),
        match faults {
            0 if report.is_incomplete => "not all was looked at".to_owned(),
            0 => "no fault".to_owned(),
            faults => counted(faults, "fault", "faults"),
        },
    ));
    let mut faulty = report.faults.iter();
    let is_every_mac_wrong = faulty.all(|fault| matches!(fault, Fault::Changed(_)))
        && (faults == report.records || report.is_incomplete);
    if is_every_mac_wrong && report.records > 1 {
        output::line("No MAC fits: this is probably not the key of this trail.");
    }
    if report.records == 0 {
        output::line("There is no record in these files, so that nothing was verified.");
    }
    if report.faults.is_empty() && !report.is_incomplete && report.before_start == 0 {
        for (file, checkpoint) in checkpoints {
            let records = counted(checkpoint.records(), "record", "records");
            let time = &checkpoint.time;
            output::line(&match report.unchecked_macs {
                0 => format!(
                    "The checkpoint {file} of {time} holds: nothing up to its {records} was changed or cut off."
                ),
                _ => format!(
                    "The checkpoint {file} of {time} holds for the order only: nothing up to its {records} was cut off."
                ),
            });
        }
    }
    if report.before_start > 0 {
        output::line(&format!(
            "{} of the checkpoints from before the start (--heads): these files can't prove them.",
            counted(report.before_start, "head is", "heads are"),
        ));
    }
    if !report.authenticated && report.records > 0 {
        output::line(match (checkpoints.is_empty(), report.unchecked_macs) {
            (true, 0) => {
                "The records have no MACs: whoever can write the files could have written the chains anew."
            }
            (true, _) => {
                "No MAC was checked: give the key with --key env:NAME. Without it, whoever can write the files could have changed \
                 what is in any record, and it would not be seen."
            }
            (false, 0) => {
                "The records have no MACs: those after the checkpoint could have been written anew."
            }
            (false, _) => {
                "No MAC was checked: give the key with --key env:NAME. Without it, the checkpoint proves that no record is \
                 missing, and not what is in the records. If the filter has no key, the MACs are forged."
            }
        });
    }
    if report.records > 0 {
        output::line(match checkpoints.is_empty() {
            true => {
                "The chains don't tell whether records followed the last ones, nor whether whoever holds the key wrote them \
                 anew: compare their heads (--json, --write-heads) with those that you keep elsewhere."
            }
            false => {
                "After the checkpoint, the chains don't tell whether records followed the last ones, nor whether whoever holds \
                 the key of the MACs wrote them anew."
            }
        });
    }
}
