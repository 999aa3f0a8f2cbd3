//! `agentguard audit checkpoint FILE…`: signs the current heads of a trail.

use super::super::{ExitStatus, Failed, output};
use super::trail::{Files, read_checkpoint_keys, read_heads, read_keys, refuse_to_replace};
use crate::audit::{Checkpoint, CheckpointKey, Verifier};
use crate::diag::codes;
use clap::Args;

/// Arguments of `audit checkpoint`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  agentguard keygen --checkpoint
  agentguard audit checkpoint audit.jsonl* --key checkpoint.key --mac-key env:AUDIT_KEY -o monday.checkpoint
  agentguard audit verify audit.jsonl* --checkpoint monday.checkpoint --checkpoint-key ed25519:…

Keep the checkpoint and its key where those who can write the trail can't: another host, a bucket with object lock, a mail.")]
pub(super) struct WriteCheckpoint {
    /// Audit logs, in any order: plain, gzip or zstd. `-` is standard input. They are verified first.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// The key that signs: the file that `agentguard keygen --checkpoint` wrote.
    #[arg(long, value_name = "FILE")]
    key: String,
    /// The key of the MACs, as for `audit verify`.
    #[arg(long, value_name = "KEY")]
    mac_key: Vec<String>,
    /// Start behind these heads, as for `audit verify`.
    #[arg(long, value_name = "FILE")]
    heads: Option<String>,
    /// The public key, if `--heads` is a checkpoint.
    #[arg(long, value_name = "KEY")]
    checkpoint_key: Vec<String>,
    /// Where the checkpoint is written. Standard output if absent.
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,
}

impl WriteCheckpoint {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        self.output.as_deref().map_or(Ok(()), refuse_to_replace)?;
        let key = read_signing_key(&self.key)?;
        let mut verifier = Verifier::new(read_keys(&self.mac_key)?);
        if let Some(file) = &self.heads {
            let keys = read_checkpoint_keys(&self.checkpoint_key)?;
            verifier = verifier.behind(read_heads(file, &keys)?);
        }
        let files = Files::new(&self.files)?;
        files.read_into(&mut verifier);
        let report = verifier.finish();
        if !report.faults.is_empty() || report.is_incomplete {
            match json {
                true => files.print_faults_as_json(&report),
                false => files.print_faults(&report),
            }
            output::print_coded(
                codes::AG9014,
                "the trail has faults: nothing was signed. Mend what is named above first",
            );
            return Ok(ExitStatus::Found);
        }
        if report.heads.is_empty() {
            return Err(output::print_coded(
                codes::AG9014,
                "there is no record in these files: nothing was signed. Name the files that Envoy's access log writes",
            ));
        }
        if report.unchecked_macs > 0 {
            output::note(
                "No MAC was checked: --mac-key env:NAME checks them before they are signed for.",
            );
        }
        let checkpoint = Checkpoint {
            time: jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string(),
            heads: report.heads,
        };
        let line = checkpoint.sign(&key);
        match self.output.as_deref() {
            None | Some(output::STDIN) => output::verbatim_line(&line),
            Some(file) => output::replace_file(file, format!("{line}\n").as_bytes())?,
        }
        Ok(ExitStatus::Clean)
    }
}

/// Reads the key file that signs checkpoints.
pub(in crate::cli) fn read_signing_key(file: &str) -> Result<CheckpointKey, Failed> {
    let text = output::read(file)?;
    CheckpointKey::from_file(&String::from_utf8_lossy(&text)).ok_or_else(|| {
        output::print_coded(
            codes::AG9013,
            &format!(
                "{file}: this is no key of checkpoints; `agentguard keygen --checkpoint` makes one"
            ),
        )
    })
}
