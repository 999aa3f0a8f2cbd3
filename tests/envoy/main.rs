//! The filter in real Envoys. See `README.md` beside this file.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::arithmetic_side_effects,
    reason = "test code: a surprise is a failing test"
)]

/// Runs each of these functions in the newest and in the oldest Envoy, as separate tests; with `natively:`, only
/// under `make test-native`.
macro_rules! in_both_envoys {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[test]
            fn newest() {
                super::$name(harness::Version::Newest);
            }

            #[test]
            fn oldest() {
                super::$name(harness::Version::Oldest);
            }
        }
    )+};
    (natively: $($name:ident),+ $(,)?) => {
        in_both_envoys!(ignore = "only the native module has it: make test-native" => $($name),+);
    };
    (with_go: $($name:ident),+ $(,)?) => {
        in_both_envoys!(ignore = "Go builds its packages: make test-go" => $($name),+);
    };
    ($ignored:meta => $($name:ident),+) => {$(
        mod $name {
            #[test]
            #[$ignored]
            fn newest() {
                super::$name(harness::Version::Newest);
            }

            #[test]
            #[$ignored]
            fn oldest() {
                super::$name(harness::Version::Oldest);
            }
        }
    )+};
}

mod agent_sessions;
mod agents;
mod approval_service;
mod approvals;
mod audit_endings;
mod audit_secrets;
mod audit_trail;
mod bad_input;
mod beyond_limits;
mod clock;
mod collector;
mod compressed;
mod configuration;
mod console_blocks;
mod denial;
mod disguise;
mod doctor;
mod endurance;
mod evaluate;
mod examples;
mod headers;
mod health;
mod identity;
mod kill;
mod kill_feed;
mod limits;
mod live_sessions;
mod mesh;
mod metrics;
mod native;
mod observability;
mod observe;
mod packages;
mod policies;
mod redaction;
mod reload;
mod responses;
mod scene;
mod script;
mod sdk;
mod sdk_answers;
mod sdk_streams;
mod several;
mod signed;
mod sinks;
mod soak;
mod tenants;
mod tools;
mod traffic;
mod trapped;
mod untouched;
