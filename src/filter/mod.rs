//! Parts of the filter that are the same in every host: putting a policy or a kill list in force, and writing the
//! results of an exchange. Each host connects them to its proxy's calls.

mod admin;
mod evaluate;
mod kill;
mod kill_feed;

pub use admin::{Administered, administer, is_admin};
pub use evaluate::{MAX_EXCHANGE_BYTES, evaluate, missing_exchange};
pub use kill::{KILL_FILTER, KillConfiguration, kill_list_missing};
pub use kill_feed::{FEED_TIMEOUT_S, FeedReader, MAX_FEED_BYTES};

use crate::diag::Severity;
use crate::flow::{Action, End, Flow, Guard, HostEnvironment, Step};
use crate::policy;
use crate::wire::protobuf::struct_to_json;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Level of a line in the proxy's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// An ordinary event.
    Info,
    /// A condition that an operator should check.
    Warn,
    /// A failure.
    Error,
}

/// Function that writes a line to the proxy's log.
pub type Log = fn(LogLevel, &str);

/// Returns a configuration's text: JSON as it arrived, or the JSON of a Protobuf Struct, which some hosts pass
/// serialised.
///
/// # Errors
/// There is no configuration, or it is neither.
pub fn configuration_text(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    match bytes.first() {
        None => Err("AG1003: the plugin has no configuration; put the policy there".to_owned()),
        Some(b'{') => Ok(bytes),
        // A Struct starts with the tag 0x0A, which is also a line feed, and its length may look like a brace. Only
        // parsing the whole distinguishes them.
        Some(_) => struct_to_json(&bytes).or_else(|error| match bytes.trim_ascii_start().first() {
            Some(b'{') => Ok(bytes),
            _ => Err(format!(
                "AG1001: the configuration is {error}; write YAML as JSON with `agentguard build`"
            )),
        }),
    }
}

/// Compiles a policy's text to a guard. Its errors and warnings are written to the log.
///
/// # Errors
/// The policy can't be put in force. The proxy must reject the configuration.
pub fn put_in_force(
    text: Result<Vec<u8>, String>,
    surroundings: &HostEnvironment<'_>,
    log: Log,
) -> Result<Guard, Rejected> {
    match compile(text, surroundings, log) {
        Ok(guard) => {
            let document = &guard.policy.document;
            log(
                LogLevel::Info,
                &format!(
                    "agentguard: policy {} {} with {} rules is in force",
                    document.name,
                    guard.policy.version,
                    guard.policy.rules().len()
                ),
            );
            if let Some(what) = guard.policy.denied_for_want() {
                log(LogLevel::Warn, &format!("agentguard: AG1017 {what}"));
            }
            Ok(guard)
        }
        Err(errors) => {
            for error in errors {
                log(
                    LogLevel::Error,
                    &format!("agentguard: configuration rejected: {error}"),
                );
            }
            Err(Rejected)
        }
    }
}

/// Configuration that can't be put in force. The log has the reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected;

fn compile(
    text: Result<Vec<u8>, String>,
    surroundings: &HostEnvironment<'_>,
    log: Log,
) -> Result<Guard, Vec<String>> {
    let text = text.map_err(|error| vec![error])?;
    let loaded = policy::load_json(&text);
    for diagnostic in &loaded.diagnostics {
        if diagnostic.severity != Severity::Error {
            log(LogLevel::Warn, &format!("agentguard: {diagnostic}"));
        }
    }
    let Some(policy) = loaded.policy else {
        return Err(loaded
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .map(ToString::to_string)
            .collect());
    };
    Guard::new(policy, surroundings)
        .map_err(|error| vec![format!("{} {}", error.code, error.message)])
}

/// Returns random bytes from the hasher's seed, the only source of randomness in the standard library.
pub fn seed() -> [u8; 40] {
    let random = RandomState::new();
    let mut seed = [0; 40];
    for (number, block) in (0u64..).zip(seed.chunks_mut(8)) {
        let mut hasher = random.build_hasher();
        hasher.write_u64(number);
        block.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    seed
}

/// Runs a part of a flow and measures its time by the host's clock.
pub fn timed(flow: &mut Flow, now: fn() -> u64, run: impl FnOnce(&mut Flow, u64) -> Step) -> Step {
    let start = now();
    let step = run(flow, start);
    // Holding more bytes costs too little to read the clock.
    if step.action != Action::Hold || !step.calls.is_empty() {
        flow.spent(now().saturating_sub(start));
    }
    step
}

/// Function that writes the filter state of an exchange. The host prefixes the name with `wasm.`.
pub type WriteState<'w> = &'w mut dyn FnMut(&'static str, &[u8]);

/// Writes the decision so far with its rule, if it differs from what was written before. Envoy ends its span before the
/// exchange, so that a decision is written as soon as it is made.
pub fn publish_decision(flow: &mut Flow, is_end: bool, write: WriteState<'_>) {
    let Some(decision) = flow.new_decision(is_end) else {
        return;
    };
    write("agentguard.decision", decision.word.as_bytes());
    write("agentguard.rule", decision.rule.as_bytes());
    if decision.is_first {
        let version = flow.policy_version();
        write("agentguard.policy_version", version.as_bytes());
    }
}

/// Finishes an exchange, and writes its filter state for access logs.
pub fn finish(flow: &mut Flow, end: &End<'_>, write: WriteState<'_>) {
    let finished = flow.finish(end);
    write("agentguard", &finished.line);
    let tokens = finished.tokens_total.to_string();
    write("agentguard.tokens_total", tokens.as_bytes());
    publish_decision(flow, true, write);
}
