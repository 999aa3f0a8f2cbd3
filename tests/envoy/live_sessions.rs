//! A hundred thousand live sessions in one Envoy: its memory is bounded, and evictions are reported. Run by
//! `make test-sessions`.

use crate::scene::{Mode, answers, in_mode, policy, says, with};
use harness::{Envoy, Http, Raw, Request, Setup, Site, Version, wait_for};
use serde_json::{Value, json};

const SESSIONS: usize = 100_000;
const CLIENTS: usize = 8;

/// Limits for each session: more counters than the table holds.
const LIMITS: usize = 6;

/// Maximum growth of Envoy's memory in bytes: the table itself, and what a hundred thousand requests leave anyway.
const MARGIN: u64 = (16 + 8) << 20;

fn hello(session: usize) -> Request {
    Request::chat(says("hi")).header("x-session-id", format!("s{session}"))
}

fn ask(raw: &mut Raw, session: usize) -> u16 {
    raw.send(&hello(session).bytes());
    raw.response().expect("a response").status
}

fn evictions(envoy: &Envoy) -> f64 {
    let samples = envoy.samples();
    let evictions = samples
        .iter()
        .find(|sample| sample.name == "agentguard_limit_evictions_total");
    evictions.map_or(0.0, |sample| sample.value)
}

#[test]
#[ignore = "takes minutes: make test-sessions"]
fn memory_is_bounded_and_evictions_are_told() {
    let for_each = |number: usize| {
        json!({"id": format!("session-{number}"), "action": "deny",
               "limit": {"count": "requests", "per": "session", "session": "header:x-session-id", "max": 1, "window": "24h"}})
    };
    let all = json!({"id": "all", "action": "deny", "limit": {"count": "requests", "max": 1_000_000, "window": "24h"}});
    let rules: Vec<Value> = (0..LIMITS).map(for_each).chain([all]).collect();
    let policy = in_mode(
        &with(policy(json!(rules)), json!({"require": "none"})),
        Mode::Portable,
    );
    let envoy = Setup::new(Version::Newest, vec![Site::new("portable", &policy)])
        .workers(2)
        .start();
    envoy.provider.answer_always(answers("Hello"));
    let site = envoy.site("portable");
    let sweep = |from: usize, to: usize| {
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                scope.spawn(move || {
                    let mut raw = site.raw();
                    for session in (from..to).skip(client).step_by(CLIENTS) {
                        assert_eq!(ask(&mut raw, session), 200, "session {session}");
                    }
                });
            }
        });
        envoy.provider.forget();
    };
    // Connections, buffers and the VMs' own memory are allocated before the measurement.
    sweep(SESSIONS, SESSIONS + 2_000);
    let (before, resident_before) = envoy.memory();
    sweep(0, SESSIONS);
    let (after, resident) = envoy.memory();
    let evicted = evictions(&envoy);
    eprintln!(
        "{SESSIONS} sessions, {LIMITS} counters each: {} KiB allocated, {} KiB resident more, {evicted} evictions",
        after.saturating_sub(before) >> 10,
        resident.saturating_sub(resident_before) >> 10,
    );
    assert!(after.saturating_sub(before) < MARGIN);
    assert!(resident.saturating_sub(resident_before) < 2 * MARGIN);
    // The table has room for half a million counters, and 612,000 were used.
    assert!(evicted > 50_000.0, "{evicted}");
    // The most recent sessions are all known.
    let mut raw = site.raw();
    for session in SESSIONS - 500..SESSIONS {
        assert_eq!(ask(&mut raw, session), 403, "session {session}");
    }
    // Sessions evict only sessions, and not the counter for all.
    site.send(Http::One, &hello(SESSIONS + 5_000));
    let used = wait_for("the last audit event", || {
        let lines = site.records.lines();
        let record: Value = serde_json::from_str(lines.last()?).ok()?;
        let limits = record["limits"].as_array()?;
        let all = limits.iter().find(|limit| limit["id"] == "all")?;
        (lines.len() == SESSIONS + 2_501).then(|| all["used"].clone())
    });
    assert_eq!(used, SESSIONS + 2_001);
}
