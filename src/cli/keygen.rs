//! `agentguard keygen`: creates keys. A client's key is printed once; the policy contains its hash. `signing_key` creates the keys
//! of approvers and checkpoints.

use super::{ExitStatus, Failed, output, signing_key};
use crate::identity::key_in_file;
use crate::policy::digest;
use crate::wire::hex;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::json;

/// Prefix of a client's key: secret scanners recognise it, and `starts_with: agk_` distinguishes it from other keys.
const PREFIX: &str = "agk_";

/// Random bytes of a key: 256 bits.
const KEY_BYTES: usize = 32;

/// Arguments of `keygen`.
#[derive(Debug, Args)]
pub(super) struct Keygen {
    /// The client application that gets the key.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Its agent.
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Its tenant.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// A role; may be given several times.
    #[arg(long = "role", value_name = "NAME")]
    roles: Vec<String>,
    /// When the key expires, RFC 3339.
    #[arg(long, value_name = "RFC3339")]
    not_after: Option<String>,
    /// Print what belongs to an existing key, read from this file (`-`: standard input), instead of making one: its entry, or with
    /// `--approver` and `--checkpoint` its public half.
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    key: Option<String>,
    /// Make the key of an approver with this role instead: writes `ROLE.key`, and prints the line for `approvers`.
    #[arg(long, value_name = "ROLE", conflicts_with_all = ["client", "agent", "tenant", "roles", "not_after"])]
    approver: Option<String>,
    /// Make the key that signs checkpoints of audit trails: writes `checkpoint.key`, and prints the public half.
    #[arg(long, conflicts_with_all = ["client", "agent", "tenant", "roles", "not_after", "approver"])]
    checkpoint: bool,
    /// The file of an approver's or a checkpoint's key. `ROLE.key` or `checkpoint.key` if absent.
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,
}

impl Keygen {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        if let Some(role) = &self.approver {
            return signing_key::approver(role, self.output.as_deref(), self.key.as_deref(), json);
        }
        if self.checkpoint {
            return signing_key::checkpoint(self.output.as_deref(), self.key.as_deref(), json);
        }
        if self.output.is_some() {
            return Err(output::print_misused(
                "--output is for --approver and --checkpoint; the key of a client is printed",
            ));
        }
        let names = [&self.client, &self.agent, &self.tenant];
        if names.into_iter().all(Option::is_none) {
            return Err(output::print_misused(
                "whose key is it? give --client, --agent, --tenant, --approver or --checkpoint",
            ));
        }
        let mut given = names.into_iter().flatten().chain(&self.roles);
        if given.any(|name| name.trim().is_empty()) {
            return Err(output::print_misused(
                "a name is empty; give it, or leave its option out",
            ));
        }
        if let Some(time) = &self.not_after {
            output::future_moment("--not-after", time)?;
        }
        let (key, is_new) = match &self.key {
            Some(file) => (existing_key(file)?, false),
            None => (new_key()?, true),
        };
        let hash = hex::encode(&digest(key.as_bytes()));
        let entry = self.entry(&hash);
        if json {
            let mut told = json!({"sha256": hash, "entry": entry});
            if let (true, Some(members)) = (is_new, told.as_object_mut()) {
                members.insert("key".to_owned(), json!(key));
            }
            output::json_line(&told.to_string());
            return Ok(ExitStatus::Clean);
        }
        if is_new {
            output::line("The key, shown once. Give it to the client over a safe channel:\n");
            output::line(&format!("  {key}\n"));
        }
        output::line("The entry for `principals[].api_key.keys`:\n");
        output::line(&format!("  - {entry}"));
        Ok(ExitStatus::Clean)
    }

    /// Returns the key's entry in a policy.
    fn entry(&self, hash: &str) -> String {
        let mut members = vec![format!("sha256: {hash}")];
        let named = [
            ("client", &self.client),
            ("agent", &self.agent),
            ("tenant", &self.tenant),
        ];
        for (member, name) in named {
            members.extend(
                name.as_ref()
                    .map(|name| format!("{member}: {}", quoted(name))),
            );
        }
        if !self.roles.is_empty() {
            let roles: Vec<String> = self.roles.iter().map(|role| quoted(role)).collect();
            members.push(format!("roles: [{}]", roles.join(", ")));
        }
        members.extend(
            self.not_after
                .as_ref()
                .map(|time| format!("not_after: {}", quoted(time))),
        );
        format!("{{ {} }}", members.join(", "))
    }
}

/// Returns a text in YAML. A JSON string is valid YAML, and never a number or a boolean.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

fn new_key() -> Result<String, Failed> {
    let mut random = [0; KEY_BYTES];
    getrandom::fill(&mut random)
        .map_err(|error| output::print_error(&format!("no randomness: {error}")))?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}

/// Reads a key in the form that the filter sees: without the line end of its file.
fn existing_key(file: &str) -> Result<String, Failed> {
    let text = String::from_utf8(output::read(file)?)
        .map_err(|_| output::print_foreign(&format!("{file}: a key is ASCII")))?;
    key_in_file(&text)
        .map(str::to_owned)
        .map_err(|why| output::print_foreign(&format!("{file}: {why}")))
}
