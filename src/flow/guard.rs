//! What all exchanges under one configuration share.

use super::discreet::Discretion;
use super::work::Allowance;
use crate::audit::{Chain, ChainKey};
use crate::diag::codes;
use crate::event::Known;
use crate::metrics::LabelValues;
use crate::policy::{EnvironmentSource, HeaderMode, Policy, ScanScratch};
use crate::protocol::Bounds;
use std::cell::{Cell, RefCell};

/// Most bytes that one VM holds copies of at the same time. A VM has at most 1 GiB and dies beyond it with every exchange.
const VM_MEMORY: usize = 256 << 20;

/// What only the host knows.
pub struct HostEnvironment<'a> {
    /// An environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The environment's name in the node's metadata.
    pub node_environment: &'a dyn Fn() -> Option<String>,
    /// Random bytes: eight for the chain's id, the rest for a secret.
    pub seed: [u8; 40],
}

/// A policy that can't be put in force here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardError {
    /// Stable code.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// A policy in force.
#[derive(Debug)]
pub struct Guard {
    /// The policy.
    pub policy: Policy,
    /// The record's chain.
    pub chain: RefCell<Chain>,
    /// Keeps labels of metrics bounded.
    pub names: RefCell<LabelValues>,
    pub(super) scratch: RefCell<ScanScratch>,
    /// What names may tell.
    pub(super) discretion: Discretion,
    pub(super) environment: Known<Box<str>>,
    /// Key of hashes in redacted text.
    pub(super) secret: Vec<u8>,
    /// What inspecting an exchange may cost.
    pub(super) allowance: Allowance,
    held: Cell<usize>,
    /// Ids for exchanges that came without one.
    next_id: Cell<u64>,
}

impl Guard {
    /// Puts a policy in force.
    ///
    /// # Errors
    /// A secret that the policy names is not there, or a rule asks for what this version can't enforce.
    pub fn new(policy: Policy, surroundings: &HostEnvironment<'_>) -> Result<Guard, GuardError> {
        if let Some(rule) = policy.unenforceable().next() {
            return Err(GuardError {
                code: codes::AG1017,
                message: format!(
                    "rule `{}` has a limit, and nothing counts between requests yet; use Envoy's rate limit filters until it does",
                    rule.id
                ),
            });
        }
        let (id, secret) = surroundings.seed.split_at_checked(8).unwrap_or_default();
        let mut secret = secret.to_vec();
        let key = match &policy.document.audit.key {
            None => None,
            Some(name) => {
                let value = (surroundings.variable)(name).filter(|value| !value.is_empty());
                let Some(value) = value else {
                    return Err(GuardError {
                        code: codes::AG1022,
                        message: format!(
                            "audit.key: the environment variable `{name}` is not set; list it under \
                             `vm_config.environment_variables.host_env_keys`"
                        ),
                    });
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
            // No source of principals is read yet, so that nobody has said anything.
            EnvironmentSource::Principal { otherwise } => or(None, otherwise),
        };
        Ok(Guard {
            chain: RefCell::new(Chain::new(id.try_into().unwrap_or_default(), key)),
            names: RefCell::default(),
            scratch: RefCell::default(),
            discretion: Discretion::default(),
            environment,
            secret,
            allowance: Allowance::of(&policy),
            held: Cell::new(0),
            next_id: Cell::new(0),
            policy,
        })
    }

    /// Whether request headers wait for the evaluated body.
    pub fn holds_headers(&self) -> bool {
        self.policy.document.headers == HeaderMode::Hold
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            max_depth: self.policy.document.inspect.max_depth,
            nested_json: self.policy.document.inspect.nested_json,
            results: self.policy.needs.results,
            result_args: self.policy.needs.result_args,
        }
    }

    pub(super) fn max_body(&self) -> usize {
        usize::try_from(self.policy.document.inspect.max_body).unwrap_or(usize::MAX)
    }

    /// Takes bytes from the VM's budget; `false` if it is used up.
    pub(super) fn reserve(&self, bytes: usize) -> bool {
        let held = self.held.get().saturating_add(bytes);
        if held > VM_MEMORY {
            return false;
        }
        self.held.set(held);
        true
    }

    /// Gives bytes back.
    pub(super) fn release(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_sub(bytes));
    }

    /// Bytes that are taken.
    #[cfg(test)]
    pub(super) fn taken_memory(&self) -> usize {
        self.held.get()
    }

    /// An id for an exchange that came without one.
    pub(super) fn fresh_id(&self) -> String {
        let number = self.next_id.get();
        self.next_id.set(number.saturating_add(1));
        format!("{}-{number}", self.chain.borrow().id())
    }
}
