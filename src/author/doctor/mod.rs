//! Doctor: checks of a proxy's configuration. They find what makes the filter not see traffic, not decide on it, or not
//! report it.
//!
//! A check is one entry of [`CHECKS`]: a code, explained by `agentguard explain`, and a function that examines one subject
//! and reports each problem with the YAML that fixes it.

mod filters;
mod listeners;
mod names;
mod proxy;
mod surroundings;

pub use filters::CLAIMS_FOR_MODULE;
pub use proxy::{Files, ModuleFile, Proxy};

use crate::diag::codes;
use proxy::{HttpManager, Listener};

/// Problem in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationProblem {
    /// Stable code.
    pub code: &'static str,
    /// Position: `listener agents, route /v1`.
    pub place: String,
    /// Description.
    pub what: String,
    /// YAML of Envoy's configuration, or of the policy, that fixes the problem.
    pub fix: String,
}

/// Policy of a listener's filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyInUse {
    /// The listener.
    pub listener: String,
    /// `metadata.name`.
    pub policy: String,
    /// The version.
    pub version: String,
    /// File or address of the module.
    pub module: String,
}

/// Result of an examination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examination {
    /// Problems, by code.
    pub problems: Vec<ConfigurationProblem>,
    /// Policies in the configuration.
    pub policies: Vec<PolicyInUse>,
}

/// Subject of a check.
enum Subject {
    /// The whole proxy, once.
    Proxy(fn(&Proxy, &mut Report)),
    /// Each listener.
    Listener(fn(&Proxy, &Listener, &mut Report)),
    /// Each HTTP connection manager.
    Manager(fn(&Proxy, &HttpManager, &mut Report)),
}

/// Check: the code of its problems, and its function.
struct Check {
    code: &'static str,
    subject: Subject,
}

const fn check(code: &'static str, subject: Subject) -> Check {
    Check { code, subject }
}

/// All checks, in the order of their codes.
const CHECKS: &[Check] = &[
    check(codes::AG6001, Subject::Listener(listeners::uninspected)),
    check(codes::AG6002, Subject::Manager(filters::late_decompressor)),
    check(
        codes::AG6003,
        Subject::Manager(filters::response_decompressor),
    ),
    check(
        codes::AG6004,
        Subject::Manager(filters::late_authentication),
    ),
    check(codes::AG6004, Subject::Manager(filters::claims_not_handed)),
    check(
        codes::AG6005,
        Subject::Manager(filters::change_after_inspection),
    ),
    check(codes::AG6006, Subject::Manager(filters::fail_open)),
    check(codes::AG6007, Subject::Manager(filters::unpinned_module)),
    check(codes::AG6008, Subject::Manager(filters::upgrade_around)),
    check(
        codes::AG6009,
        Subject::Manager(listeners::disabled_on_route),
    ),
    check(codes::AG6010, Subject::Manager(listeners::small_buffer)),
    check(codes::AG6011, Subject::Manager(filters::held_without_flag)),
    check(codes::AG6012, Subject::Manager(listeners::short_timeout)),
    check(
        codes::AG6013,
        Subject::Manager(listeners::short_idle_timeout),
    ),
    check(codes::AG6014, Subject::Proxy(surroundings::missing_tags)),
    check(codes::AG6014, Subject::Proxy(surroundings::no_metrics)),
    check(codes::AG6015, Subject::Manager(surroundings::no_audit_log)),
    check(codes::AG6016, Subject::Manager(surroundings::no_line_end)),
    check(codes::AG6017, Subject::Proxy(surroundings::nameless_node)),
    check(codes::AG6018, Subject::Manager(filters::no_policy)),
    check(codes::AG6018, Subject::Proxy(filters::rejected_update)),
    check(codes::AG6019, Subject::Manager(filters::kill_filter)),
    check(codes::AG6020, Subject::Manager(listeners::client_address)),
    check(codes::AG6021, Subject::Manager(listeners::circuit_breaker)),
    check(codes::AG6022, Subject::Proxy(surroundings::open_admin)),
    check(codes::AG6023, Subject::Manager(filters::old_envoy)),
    check(
        codes::AG6024,
        Subject::Manager(listeners::unverified_certificates),
    ),
    check(codes::AG6025, Subject::Manager(filters::second_policy)),
    check(codes::AG6026, Subject::Manager(filters::early_cache)),
];

/// Problems of one check.
struct Report<'r> {
    code: &'static str,
    problems: &'r mut Vec<ConfigurationProblem>,
}

impl Report<'_> {
    fn add(&mut self, place: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) {
        let problem = ConfigurationProblem {
            code: self.code,
            place: place.into(),
            what: what.into(),
            fix: fix.into(),
        };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

/// Runs all checks.
pub fn examine(proxy: &Proxy) -> Examination {
    let mut problems = Vec::new();
    for check in CHECKS {
        let mut report = Report {
            code: check.code,
            problems: &mut problems,
        };
        match check.subject {
            Subject::Proxy(run) => run(proxy, &mut report),
            Subject::Listener(run) => {
                for listener in &proxy.listeners {
                    run(proxy, listener, &mut report);
                }
            }
            Subject::Manager(run) => {
                for manager in proxy.managers() {
                    run(proxy, manager, &mut report);
                }
            }
        }
    }
    let policies = proxy
        .managers()
        .flat_map(|manager| manager.policies().map(move |filter| (manager, filter)))
        .filter_map(|(manager, filter)| {
            let policy = filter.valid_policy()?;
            Some(PolicyInUse {
                listener: manager.listener.clone(),
                policy: policy.document.name.to_string(),
                version: policy.version.clone(),
                module: filter.module(),
            })
        })
        .collect();
    Examination { problems, policies }
}
