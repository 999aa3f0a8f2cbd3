//! State that all exchanges under one policy share.

use super::approval::Approvals;
use super::name_masker::NameMasker;
use super::target_uri::TargetUris;
use super::work::Allowance;
use crate::approval::{MIN_SECRET, SecretError, VerifyingKeys};
use crate::audit::{Chain, ChainKey};
use crate::diag::codes;
use crate::event::{Facts, Known, Reading};
use crate::identity::{KeyError, KeyTable};
use crate::limits::Limits;
use crate::policy::{
    Context, EnvironmentSource, HeaderMode, KillSwitch, Policy, ScanScratch, Scans,
};
use crate::protocol::Bounds;
use crate::proxy::{SharedData, UnsharedWrites};
use crate::redact::RedactionKeys;
use crate::wire::json::JsonBody;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Maximum bytes of copies that one VM holds at a time. A VM has at most 1 GiB; beyond that it fails with all its
/// exchanges.
const VM_MEMORY: usize = 256 << 20;

/// Environment of a policy, which only the host can provide.
pub struct HostEnvironment<'a> {
    /// Reads an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Reads the environment's name from the node metadata.
    pub node_environment: &'a dyn Fn() -> Option<String>,
    /// Random bytes: eight for the chain's id, the others for a secret.
    pub seed: [u8; 40],
    /// Data that all workers share.
    pub shared_data: Rc<dyn SharedData>,
    /// Kill list of this VM.
    pub kill: Rc<KillSwitch>,
}

/// Error that prevents a policy from being put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardError {
    /// Stable code.
    pub code: &'static str,
    /// Message with a suggested fix.
    pub message: String,
}

/// Policy in force.
#[derive(Debug)]
pub struct Guard {
    /// Policy.
    pub policy: Rc<Policy>,
    /// Audit chain.
    pub chain: RefCell<Chain>,
    /// Whether the chain's first event was counted.
    pub(super) has_counted_chain: Cell<bool>,
    /// Chain of the interim events, which are written before their exchange ends.
    pub(super) interim_chain: RefCell<Chain>,
    pub(super) scratch: RefCell<ScanScratch>,
    /// Counters of the policy's limits.
    pub(super) limits: Limits,
    /// Masks names.
    pub(super) name_masker: NameMasker,
    /// Target URIs of the last requests.
    pub(super) targets: TargetUris,
    pub(super) environment: Known<Box<str>>,
    /// Hashes of the API keys.
    pub(super) keys: KeyTable,
    /// Keys of the hashes and pseudonyms in redacted text.
    pub(super) redaction_keys: RedactionKeys,
    pub(super) approvals: Approvals,
    /// Work budget of an exchange.
    pub(super) allowance: Allowance,
    /// Kill list of this VM.
    pub kill: Rc<KillSwitch>,
    held: Cell<usize>,
    /// Number in the next id of an exchange without request id.
    next_id: Cell<u64>,
    /// Number that no other policy of the process has.
    pub(super) number: u64,
}

/// Number of the next policy.
static NUMBERED: AtomicU64 = AtomicU64::new(0);

/// Returns the error of a secret that the proxy does not provide.
fn missing_secret(key: &str, name: &str) -> GuardError {
    GuardError {
        code: codes::AG1022,
        message: format!(
            "{key}: the environment variable `{name}` is not set; list it under \
             `vm_config.environment_variables.host_env_keys`"
        ),
    }
}

/// Returns the key for one use of a secret. A key reveals nothing about the keys of other uses.
fn derived(secret: &[u8], purpose: &str) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(secret) {
        Ok(mut mac) => {
            mac.update(b"agentguard v1 ");
            mac.update(purpose.as_bytes());
            mac.finalize().into_bytes().into()
        }
        Err(_) => [0; 32],
    }
}

impl Guard {
    /// Puts a policy in force.
    ///
    /// # Errors
    /// A secret that the policy names does not exist, or a rule requires a function that this version lacks.
    pub fn new(policy: Policy, surroundings: &HostEnvironment<'_>) -> Result<Guard, GuardError> {
        if let Some((rule, what)) = policy.unenforceable().next() {
            return Err(GuardError {
                code: codes::AG1017,
                message: format!(
                    "rule `{}` needs what this version does not provide: {what}",
                    rule.id
                ),
            });
        }
        let (id, secret) = surroundings.seed.split_at_checked(8).unwrap_or_default();
        let salt = secret.first_chunk().copied().unwrap_or_default();
        let limits = Limits::new(&policy, &surroundings.shared_data, salt);
        let seed = secret.to_vec();
        let mut secret = seed.clone();
        let key = match &policy.document.audit.key {
            None => None,
            Some(name) => {
                let value = (surroundings.variable)(name).filter(|value| !value.is_empty());
                let Some(value) = value else {
                    return Err(missing_secret("audit.key", name));
                };
                secret = value.as_bytes().to_vec();
                ChainKey::new(value.as_bytes())
            }
        };
        let or = |value: Option<String>, otherwise: &Option<Box<str>>| match value {
            Some(value) if !value.is_empty() => Known::Is(value.into()),
            _ => otherwise.clone().map_or(Known::Unknown, Known::Is),
        };
        let environment = match &policy.document.environment {
            EnvironmentSource::Absent => Known::Unknown,
            EnvironmentSource::Value(value) => Known::Is(value.clone()),
            EnvironmentSource::Node { otherwise } => {
                or((surroundings.node_environment)(), otherwise)
            }
            EnvironmentSource::Variable { name, otherwise } => {
                or((surroundings.variable)(name), otherwise)
            }
            // Each request determines its own environment.
            EnvironmentSource::Principal { otherwise } => or(None, otherwise),
        };
        let keys = KeyTable::new(&policy.document.principals, surroundings.variable);
        let keys = keys.map_err(|error| GuardError {
            code: codes::AG1022,
            message: match error {
                KeyError::Absent(name) => return missing_secret("principals", &name),
                KeyError::Short(name) => format!(
                    "principals: the environment variable `{name}` is too short for a key; `agentguard keygen` makes one"
                ),
            },
        })?;
        let verifying = VerifyingKeys::new(&policy.document.approvers, surroundings.variable);
        let verifying = verifying.map_err(|error| match error {
            SecretError::Missing(name) => missing_secret("approvers", &name),
            SecretError::Short(name) => GuardError {
                code: codes::AG1022,
                message: format!(
                    "approvers: the environment variable `{name}` is shorter than {MIN_SECRET} bytes: a short secret \
                     can be found by trying, and signs approvals; `openssl rand -base64 32` makes one"
                ),
            },
        })?;
        let approvals = Approvals::new(
            verifying,
            Rc::clone(&surroundings.shared_data),
            derived(&seed, "ids of approval requests"),
            &policy,
        );
        let interim_id = derived(&seed, "chain of interim events");
        let interim_id = interim_id.first_chunk().copied().unwrap_or_default();
        Ok(Guard {
            limits,
            interim_chain: RefCell::new(Chain::new(interim_id, key.clone())),
            chain: RefCell::new(Chain::new(id.try_into().unwrap_or_default(), key)),
            has_counted_chain: Cell::new(false),
            scratch: RefCell::new(ScanScratch::new(&derived(&seed, "hashes of scanned texts"))),
            name_masker: NameMasker::default(),
            targets: TargetUris::default(),
            environment,
            keys,
            // Only the audit chain's key is the secret itself: other programs verify with it.
            redaction_keys: RedactionKeys {
                hashes: derived(&secret, "hashes in redacted text"),
                pseudonyms: derived(&secret, "pseudonyms"),
            },
            approvals,
            allowance: Allowance::of(&policy),
            kill: Rc::clone(&surroundings.kill),
            held: Cell::new(0),
            next_id: Cell::new(0),
            number: NUMBERED.fetch_add(1, Ordering::Relaxed),
            policy: Rc::new(policy),
        })
    }

    /// Returns the same policy with the same keys, for exchanges that are only evaluated. It reads the counters of
    /// limits and the spent approvals, but its own changes to them, and its audit events, stay invisible.
    pub fn apart(&self) -> Guard {
        let shared: Rc<dyn SharedData> = Rc::new(UnsharedWrites::over(self.approvals.data()));
        Guard {
            limits: Limits::new(&self.policy, &shared, [0; 16]),
            approvals: self.approvals.over(shared),
            interim_chain: RefCell::new(Chain::new([0; 8], None)),
            chain: RefCell::new(Chain::new([0; 8], None)),
            has_counted_chain: Cell::new(true),
            scratch: RefCell::default(),
            name_masker: NameMasker::default(),
            targets: TargetUris::default(),
            environment: self.environment.clone(),
            keys: self.keys.clone(),
            redaction_keys: self.redaction_keys.clone(),
            allowance: self.allowance,
            kill: Rc::clone(&self.kill),
            held: Cell::new(0),
            next_id: Cell::new(0),
            number: NUMBERED.fetch_add(1, Ordering::Relaxed),
            policy: Rc::clone(&self.policy),
        }
    }

    /// Sets the initial value of the counters of a rule's limit.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn begin_with(&self, rule: &str, used: &crate::wire::json::Decimal) {
        self.limits.begin_with(&self.policy, rule, used);
    }

    /// Returns whether request headers are held until the body is evaluated.
    pub fn holds_headers(&self) -> bool {
        self.policy.document.headers == HeaderMode::Hold
    }

    /// Returns the context in which events of a body are evaluated.
    pub(super) fn context<'a>(
        &'a self,
        facts: &'a Facts,
        reading: &'a Reading,
        json: &'a JsonBody<'a>,
        scans: &'a RefCell<Scans>,
    ) -> Context<'a> {
        Context {
            policy: &self.policy,
            facts,
            reading,
            json,
            scans,
            scratch: &self.scratch,
        }
    }

    /// Returns the bounds of reading a body.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            max_depth: self.policy.document.inspect.max_depth,
            nested_json: self.policy.document.inspect.nested_json,
            results: self.policy.needs.results,
            result_args: self.policy.needs.result_args,
            repeats: None,
        }
    }

    pub(super) fn max_body(&self) -> usize {
        usize::try_from(self.policy.document.inspect.max_body).unwrap_or(usize::MAX)
    }

    /// Takes bytes from the VM's memory budget. Returns `false` if it is exhausted.
    pub(super) fn reserve(&self, bytes: usize) -> bool {
        let held = self.held.get().saturating_add(bytes);
        if held > VM_MEMORY {
            return false;
        }
        self.held.set(held);
        true
    }

    /// Returns bytes to the VM's memory budget.
    pub(super) fn release(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_sub(bytes));
    }

    /// Returns the bytes taken from the budget.
    #[cfg(test)]
    pub(super) fn taken_memory(&self) -> usize {
        self.held.get()
    }

    /// Returns a new id for an exchange without request id.
    pub(super) fn fresh_id(&self) -> String {
        let number = self.next_id.get();
        self.next_id.set(number.saturating_add(1));
        format!("{}-{number}", self.chain.borrow().id())
    }
}
