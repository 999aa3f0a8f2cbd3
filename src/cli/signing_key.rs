//! `agentguard keygen --approver ROLE`, `--checkpoint`: creates Ed25519 keys, or reads them from their files. The secret half is
//! written to a file, the public half is printed.

use super::audit::read_signing_key;
use super::{ExitStatus, Failed, output};
use crate::approval::SigningKey;
use crate::audit::CheckpointKey;
use serde_json::json;
use std::io::{ErrorKind, Write};

/// Creates the key of an approver, or reads it from the file `existing`. Prints its line for `approvers`.
pub(super) fn approver(
    role: &str,
    file: Option<&str>,
    existing: Option<&str>,
    json: bool,
) -> Result<ExitStatus, Failed> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if role.is_empty() || role.starts_with('.') || !role.chars().all(is_name) {
        return Err(output::print_misused(
            "--approver: a role has letters, digits, `-`, `_` and `.`",
        ));
    }
    let key = match existing {
        Some(name) => SigningKey::from_file(&String::from_utf8_lossy(&output::read(name)?))
            .map_err(|error| output::print_foreign(&format!("{name}: {error}")))?,
        None => SigningKey::from_seed(role, seed()?),
    };
    let (Some(text), Some(public)) = (key.to_file(), key.public()) else {
        return Err(Failed);
    };
    let name = existing
        .or(file)
        .map_or_else(|| format!("{role}.key"), str::to_owned);
    let secret = Secret {
        name: &name,
        text: existing.is_none().then_some(&*text),
    };
    let of_another = *key.role != *role;
    if of_another {
        output::note(&format!(
            "{name}: the key was made for the role `{}`; it gives the role under which the policy has it",
            key.role
        ));
    }
    let told = match json {
        true => json!({"role": role, "file": name, "public": public}).to_string(),
        false => format!("approvers: {{ {role}: [\"{public}\"] }}"),
    };
    let beside = format!("{name}: the secret half, for the approver alone. In the policy:");
    secret.keep_and_tell(&told, (!json).then_some(&*beside))
}

/// Creates the key that signs checkpoints, or reads it from the file `existing`. Prints its public half.
pub(super) fn checkpoint(
    file: Option<&str>,
    existing: Option<&str>,
    json: bool,
) -> Result<ExitStatus, Failed> {
    let key = match existing {
        Some(name) => read_signing_key(name)?,
        None => CheckpointKey::from_seed(seed()?),
    };
    let text = key.to_file();
    let name = existing.or(file).unwrap_or("checkpoint.key");
    let secret = Secret {
        name,
        text: existing.is_none().then_some(&*text),
    };
    let told = match json {
        true => json!({"file": name, "public": key.public()}).to_string(),
        false => key.public(),
    };
    let beside = format!(
        "{name}: the secret half, for `agentguard audit checkpoint --key`. For `agentguard audit verify --checkpoint-key`:"
    );
    secret.keep_and_tell(&told, (!json).then_some(&*beside))
}

/// Secret half of a key: the name of its file, and the text of a new one.
struct Secret<'k> {
    name: &'k str,
    text: Option<&'k str>,
}

impl Secret<'_> {
    /// Writes the file and prints the public half. If that can't be printed, the file of a new key is deleted, because the public
    /// half would be unknown.
    fn keep_and_tell(&self, told: &str, beside: Option<&str>) -> Result<ExitStatus, Failed> {
        if let Some(text) = self.text {
            write_secret(self.name, text.as_bytes())?;
        }
        if let Some(beside) = beside {
            output::note(beside);
        }
        output::line_or_else(told, || {
            if self.text.is_some() && std::fs::remove_file(self.name).is_ok() {
                output::note(&format!("{}: the key was not kept", self.name));
            }
        });
        Ok(ExitStatus::Clean)
    }
}

fn seed() -> Result<[u8; 32], Failed> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| output::print_error(&format!("no randomness: {error}")))?;
    Ok(seed)
}

/// Writes a new file that only its owner can read. An existing file is never replaced: it may be the only copy of a key.
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
            // A truncated file could pass for the only copy of a key.
            written.inspect_err(|_| drop(std::fs::remove_file(name)))
        })
        .map_err(|error| {
            let why = match error.kind() {
                ErrorKind::AlreadyExists if std::path::Path::new(name).is_dir() => {
                    "it is a folder; name a file".to_owned()
                }
                ErrorKind::AlreadyExists => {
                    "it exists, and may be the only copy of a key, whose public half --key FILE prints. Write to another file \
                     with --output FILE, or move this one away"
                        .to_owned()
                }
                _ => output::unwritable(&error),
            };
            output::print_unwritten(name, &why)
        })
}
