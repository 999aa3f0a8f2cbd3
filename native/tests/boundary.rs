//! Sequences of hooks of the native module, called as Envoy calls them and chosen by a fixed series of numbers: bodies
//! cut anywhere and damaged, exchanges that end anywhere, callbacks that fail, replies that end the exchange before
//! they return. No Envoy is needed. `FUZZ_CASES=100000` runs more of them; `make test-boundary` runs them under
//! AddressSanitizer.
#![expect(
    unsafe_code,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "test code: a failure is a panic, and the ABI is pointers"
)]

#[path = "../src/abi/mod.rs"]
mod abi;
#[path = "../src/admin.rs"]
mod admin;
#[path = "../src/configuration.rs"]
mod configuration;
#[path = "../src/counted.rs"]
mod counted;
#[path = "driver/mod.rs"]
mod driver;
#[path = "envoy/mod.rs"]
mod envoy;
#[path = "../src/exchange.rs"]
mod exchange;
#[path = "../src/feed.rs"]
mod feed;
#[path = "../src/process.rs"]
mod process;

use agentguard::policy::KillState;
use configuration::RoutePolicy;
use driver::{Dice, InForce, exchange, exchange_as, exchange_before, policy};
use process::Kill;

/// After a panic, exchanges in flight have another guard than new ones. Both get every later kill list, whichever of
/// them asks first.
fn a_kill_list_reaches_the_guards_before_and_after_a_panic() {
    let route = RoutePolicy::new(policy("hold").to_string().as_bytes()).expect("a policy");
    let policy = RoutePolicy::at(std::ptr::from_ref(&*route).addr()).expect("its route");
    let guard = || policy.guard().expect("a guard");
    let before = guard();
    policy.forget_guard();
    let after = guard();
    let is_absent = |state| matches!(state, KillState::Absent);
    assert!(is_absent(before.kill.state()) && is_absent(after.kill.state()));
    let owner = process::stop(Kill::Unreadable, 0, 0);
    // A part of an exchange in flight, and then a new exchange.
    policy.refresh();
    for guard in [before, after, guard()] {
        assert!(matches!(guard.kill.state(), KillState::Unreadable));
    }
    process::lift(owner);
    assert!(is_absent(guard().kill.state()));
}

fn bytes_choose_an_exchange_as_well() {
    let in_force = InForce::new(&policy("hold").to_string());
    for seed in 0..=u8::MAX {
        let bytes: Vec<u8> = (0..200)
            .map(|at: u8| at.wrapping_mul(seed | 1) ^ seed)
            .collect();
        exchange(&in_force, &mut Dice::Bytes(bytes.iter()));
    }
    // Without bytes, the exchange is an ordinary one and passes.
    let ordinary = exchange(&in_force, &mut Dice::Bytes([].iter()));
    assert!(ordinary.request.is_some());
}

/// All filters of a stream share one buffer. What a later one holds there was evaluated before, and is not taken out again.
fn bytes_that_a_later_filter_holds_are_not_read_again() {
    let mut observing = policy("portable");
    observing["mode"] = "observe".into();
    let mut answered = 0;
    for document in [policy("hold"), policy("portable"), observing] {
        let in_force = InForce::new(&document.to_string());
        for seed in 1..400 {
            let run = |is_held| exchange_before(&in_force, &mut Dice::Series(seed), is_held);
            let alone = run(false);
            answered += usize::from(alone.response.is_some());
            assert_eq!(run(true), alone, "{seed}");
        }
    }
    assert!(answered > 200, "{answered}");
}

/// A client of gRPC knows a denial by this header alone, here for status 415. Envoy's own is the one of success.
fn a_denied_grpc_request_has_failed() {
    let in_force = InForce::new(&policy("hold").to_string());
    for (content_type, status) in [
        ("application/grpc", Some(&b"2"[..])),
        ("application/grpc+proto", Some(b"2")),
        ("application/grpc-web", None),
        ("image/png", None),
    ] {
        let ended = exchange_as(&in_force, content_type);
        assert_eq!(ended.request, None, "{content_type}");
        assert_eq!(ended.grpc_status.as_deref(), status, "{content_type}");
    }
}

/// Clients choose label values. With every reload a policy accepts new ones; those that are kept are bounded.
fn label_values_of_clients_do_not_add_up_with_every_reload() {
    for number in 0..20_000 {
        process::note_counted("agentguard_requests_total", &[number.to_string()]);
    }
    let continued = std::cell::Cell::new(0);
    process::take_over_counters(|_, _| continued.set(continued.get() + 1));
    assert_eq!(continued.get(), 10_000);
}

#[test]
fn whatever_comes_and_wherever_it_ends_nothing_denied_gets_out() {
    let cases = std::env::var("FUZZ_CASES").ok();
    let cases = cases.map_or(600, |cases| cases.parse().expect("a number"));
    let mut dice = Dice::Series(0x9E37_79B9_7F4A_7C15);
    let mut passed = 0;
    for headers in ["hold", "portable"] {
        let in_force = InForce::new(&policy(headers).to_string());
        passed += (0..cases / 2)
            .filter(|_| exchange(&in_force, &mut dice).request.is_some())
            .count();
    }
    // If all requests were denied, nothing would have been tested.
    assert!(passed > cases / 20, "{passed} of {cases} requests passed");
    // This is not a test of its own, which would be another thread: this Envoy has one worker.
    bytes_choose_an_exchange_as_well();
    bytes_that_a_later_filter_holds_are_not_read_again();
    a_denied_grpc_request_has_failed();
    a_kill_list_reaches_the_guards_before_and_after_a_panic();
    label_values_of_clients_do_not_add_up_with_every_reload();
}
