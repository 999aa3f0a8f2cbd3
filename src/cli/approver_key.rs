//! `agentguard keygen --approver ROLE`: makes the key of one who approves.

use super::{ExitStatus, Failed, output};
use crate::approval::SigningKey;
use serde_json::json;
use std::io::Write;

/// Makes the key of an approver.
pub(super) fn make(role: &str, file: Option<&str>, json: bool) -> Result<ExitStatus, Failed> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if role.is_empty() || role.starts_with('.') || !role.chars().all(is_name) {
        return Err(output::print_error(
            "--approver: a role has letters, digits, `-`, `_` and `.`",
        ));
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| output::print_error(&format!("no randomness: {error}")))?;
    let key = SigningKey::from_seed(role, seed);
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

/// Writes a new file that only its owner reads. An existing one is never replaced: it may be the only copy of a key.
fn write_secret(name: &str, contents: &[u8]) -> Result<(), Failed> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(name)
        .and_then(|mut file| file.write_all(contents).and_then(|()| file.sync_all()))
        .map_err(|error| output::print_error(&format!("{name} can't be written: {error}")))
}
