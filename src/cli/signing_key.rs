//! `agentguard keygen --approver ROLE`, `--checkpoint`: makes Ed25519 keys. The secret half goes to a file.

use super::{ExitStatus, Failed, output};
use crate::approval::SigningKey;
use crate::audit::CheckpointKey;
use serde_json::json;
use std::io::{ErrorKind, Write};

/// Makes the key of an approver.
pub(super) fn make_approver(
    role: &str,
    file: Option<&str>,
    json: bool,
) -> Result<ExitStatus, Failed> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if role.is_empty() || role.starts_with('.') || !role.chars().all(is_name) {
        return Err(output::print_error(
            "--approver: a role has letters, digits, `-`, `_` and `.`",
        ));
    }
    let key = SigningKey::from_seed(role, seed()?);
    let name = file.map_or_else(|| format!("{role}.key"), str::to_owned);
    let (Some(text), Some(public)) = (key.to_file(), key.public()) else {
        return Err(Failed);
    };
    write_secret(&name, text.as_bytes())?;
    match json {
        true => {
            output::line(&json!({"role": role, "file": name, "public": public}).to_string());
        }
        false => {
            output::note(&format!(
                "{name}: the secret half, for the approver alone. In the policy:"
            ));
            output::line(&format!("approvers: {{ {role}: [\"{public}\"] }}"));
        }
    }
    Ok(ExitStatus::Clean)
}

/// Makes the key that signs checkpoints.
pub(super) fn make_checkpoint(file: Option<&str>, json: bool) -> Result<ExitStatus, Failed> {
    let key = CheckpointKey::from_seed(seed()?);
    let name = file.unwrap_or("checkpoint.key");
    write_secret(name, key.to_file().as_bytes())?;
    match json {
        true => output::line(&json!({"file": name, "public": key.public()}).to_string()),
        false => {
            output::note(&format!(
                "{name}: the secret half, for `agentguard audit checkpoint --key`. For `agentguard audit verify --checkpoint-key`:"
            ));
            output::line(&key.public());
        }
    }
    Ok(ExitStatus::Clean)
}

fn seed() -> Result<[u8; 32], Failed> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| output::print_error(&format!("no randomness: {error}")))?;
    Ok(seed)
}

/// Writes a new file that only its owner reads. An existing one is never replaced: it may be the only copy of a key.
fn write_secret(name: &str, contents: &[u8]) -> Result<(), Failed> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    if name == output::STDIN {
        return Err(output::print_unwritten(
            name,
            "a key is written to a file only; for a file of this name write `./-`",
        ));
    }
    options
        .open(name)
        .and_then(|mut file| {
            let written = file.write_all(contents).and_then(|()| file.sync_all());
            // Half a key would be taken for the only copy of one.
            written.inspect_err(|_| drop(std::fs::remove_file(name)))
        })
        .map_err(|error| {
            let why = match error.kind() {
                ErrorKind::AlreadyExists => {
                    "it exists, and may be the only copy of a key. Write to another file with --output FILE, or move \
                     this one away"
                        .to_owned()
                }
                _ => output::unwritable(&error),
            };
            output::print_unwritten(name, &why)
        })
}
