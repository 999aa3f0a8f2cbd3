//! Filter whose virtual machine traps: counts stay right, and reserved capacity is released.
//!
//! The filter has no known way to trap, so these tests use a copy of the module in which the callback for a request's
//! trailers is only `unreachable`.

use crate::scene::{Mode, answers, in_mode, policy, says, with};
use harness::{Gate, Http, Request, Response, Setup, Site, Version, module, wait_for};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;

in_both_envoys![counts_stay_right_and_places_come_back];

/// Reads a number in LEB128.
fn number(bytes: &[u8], at: &mut usize) -> usize {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[*at];
        *at += 1;
        number |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

/// Replaces the body of an exported function by one of the same length that traps.
fn with_trap(mut wasm: Vec<u8>, export: &str) -> Option<Vec<u8>> {
    const IMPORTS: u8 = 2;
    const EXPORTS: u8 = 7;
    const CODE: u8 = 10;
    const FUNCTION: u8 = 0;
    let (mut imported, mut wanted) = (0, None);
    let mut at = 8;
    while at < wasm.len() {
        let section = wasm[at];
        at += 1;
        let size = number(&wasm, &mut at);
        let end = at + size;
        match section {
            // Only functions are imported: two names, a kind and a type.
            IMPORTS => {
                for _ in 0..number(&wasm, &mut at) {
                    for _ in 0..2 {
                        at += number(&wasm, &mut at);
                    }
                    assert_eq!(wasm[at], FUNCTION, "only functions are imported");
                    at += 1;
                    number(&wasm, &mut at);
                    imported += 1;
                }
            }
            EXPORTS => {
                for _ in 0..number(&wasm, &mut at) {
                    let length = number(&wasm, &mut at);
                    let is_wanted = &wasm[at..at + length] == export.as_bytes();
                    at += length;
                    let kind = wasm[at];
                    at += 1;
                    let index = number(&wasm, &mut at);
                    if is_wanted && kind == FUNCTION {
                        wanted = Some(index - imported);
                    }
                }
            }
            CODE => {
                let wanted = wanted.expect("the module exports the callback");
                number(&wasm, &mut at);
                for _ in 0..wanted {
                    at += number(&wasm, &mut at);
                }
                let length = number(&wasm, &mut at);
                let body = &mut wasm[at..at + length];
                // No locals, `unreachable`, `nop`s, `end`.
                body.fill(0x01);
                body[..2].fill(0x00);
                body[length - 1] = 0x0B;
                return Some(wasm);
            }
            _ => {}
        }
        at = end;
    }
    None
}

/// Module that traps, in a file.
struct Trap(PathBuf);

impl Trap {
    fn new(version: Version) -> Trap {
        let name = format!("agentguard-trap-{version:?}-{}.wasm", std::process::id());
        let file = std::env::temp_dir().join(name);
        let wasm = std::fs::read(module()).expect("the module");
        let trap = with_trap(wasm, "proxy_on_request_trailers").expect("the module has code");
        std::fs::write(&file, trap).expect("a file");
        Trap(file)
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Returns the number of threads whose machine trapped, from lines such as
/// `[2026-11-23 02:09:52.338][13138][error][wasm] … Function: proxy_on_request_trailers failed: …`.
fn trapped_threads(log: &str) -> usize {
    let traps = log
        .lines()
        .filter(|line| line.contains("proxy_on_request_trailers failed"));
    let threads: BTreeSet<_> = traps.filter_map(|line| line.split("][").nth(1)).collect();
    threads.len()
}

fn counts_stay_right_and_places_come_back(version: Version) {
    let trap = Trap::new(version);
    let limit = |id: &str, limit| json!({"id": id, "action": "deny", "limit": limit});
    let rules = json!([
        limit(
            "many",
            json!({"count": "requests", "max": 14, "window": "24h"})
        ),
        limit(
            "running",
            json!({"count": "concurrent_requests", "max": 4, "window": {"sliding": "4s"}})
        ),
    ]);
    let policy = in_mode(&with(policy(rules), json!({"require": "none"})), Mode::Hold);
    let envoy = Setup::new(
        version,
        vec![Site::new("hold", &policy).module(trap.0.clone())],
    )
    .labels(vec!["name", "version"])
    .workers(2)
    .start();
    envoy.provider.answer_always(answers("Hello"));
    let site = envoy.site("hold");
    let hello = Request::chat(says("hi"));
    let ask = || site.send(Http::One, &hello).status;
    let roots = || {
        let samples = envoy.samples();
        let of = |name: &str| -> f64 {
            let samples = samples.iter().filter(|sample| sample.name == name);
            samples.map(|sample| sample.value).sum()
        };
        (
            of("agentguard_policy_info"),
            of("agentguard_policy_workers"),
        )
    };
    // Two workers and the main thread.
    wait_for("the policy to be in force", || {
        (roots() == (1.0, 3.0)).then_some(())
    });
    assert_eq!((0..4).map(|_| ask()).collect::<Vec<u16>>(), [200; 4]);

    let gate = Gate::default();
    envoy.provider.answer_always(answers("Hello").after(&gate));
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| site.try_send(Http::One, &hello)))
            .collect();
        wait_for("three requests at the provider", || {
            (envoy.provider.count() == 7).then_some(())
        });
        let bomb = hello.clone().trailer("x-check", "7");
        wait_for("each worker to trap", || {
            let _ = site.try_send(Http::Two, &bomb);
            (trapped_threads(&envoy.printed()) == 2).then_some(())
        });
        // An exchange in a machine that trapped is cut off as soon as its response arrives.
        gate.open();
        for request in running {
            let answer: Result<Response, String> = request.join().expect("a client");
            assert!(answer.map_or(true, |answer| answer.status >= 500));
        }
    });
    envoy.provider.answer_always(answers("Hello"));
    // Without the machine nothing passes, and nothing is counted. Seven requests were counted, and those cut off stay
    // counted.
    wait_for("a new machine", || (ask() == 200).then_some(()));
    assert!(envoy.stat("wasm.agentguard-hold.vm_reload_success") > 0);
    // The places of the requests that were cut off are free again after the limit's window. Denials until then are not
    // counted.
    let gate = Gate::default();
    envoy.provider.answer_always(answers("Hello").after(&gate));
    let before = envoy.provider.count();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| wait_for("a place", || (ask() == 200).then_some(())));
        }
        wait_for("four requests to run", || {
            (envoy.provider.count() == before + 4).then_some(())
        });
        gate.open();
    });
    envoy.provider.answer_always(answers("Hello"));
    // A worker without a machine responds with 503, and counts nothing.
    let asked = std::iter::repeat_with(ask).filter(|status| *status != 503);
    let statuses: Vec<u16> = asked.take(4).collect();
    assert_eq!(statuses, [200, 200, 403, 403]);
    // The roots of the machines that trapped are no longer counted. A worker gets a new machine with its next request.
    wait_for("the gauges to be right again", || {
        let _ = ask();
        (roots() == (1.0, 3.0)).then_some(())
    });
}
