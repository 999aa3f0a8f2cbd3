//! Soak: traffic of every kind for half an hour, while policies are replaced. Memory and open files settle, and each
//! exchange has one record, one count and its place in a chain. Run by `make soak`.

use crate::responses::no_delete;
use crate::scene::{
    Mode, answers, calls, in_mode, mask_cards, no_weapons, policy, refusal, says, with,
};
use harness::{Answer, Envoy, Host, Http, Raw, Received, Request, Setup, Site, Version, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Connections that are in use at the same time.
const CLIENTS: usize = 4;

/// Pause of a client between two exchanges: the soak is about time, not about load.
const PAUSE: Duration = Duration::from_millis(15);

/// Time that an impatient client waits.
const WAITS: Duration = Duration::from_millis(40);

/// Time between two samples, and between two policies.
const SAMPLE: Duration = Duration::from_secs(5);
const POLICY: Duration = Duration::from_secs(60);

/// Maximum growth of Envoy's memory, in bytes, from the third quarter of the time to the last. A leak of 64 bytes for each
/// exchange exceeds it in half an hour.
const MARGIN: u64 = 4 << 20;

/// Kind of exchange; the model of its request is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Allowed,
    Denied,
    Redacted,
    Streamed,
    CallDenied,
    Limited,
    Unreadable,
    ClientLeaves,
    ProviderLeaves,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::Allowed,
        Kind::Denied,
        Kind::Redacted,
        Kind::Streamed,
        Kind::CallDenied,
        Kind::Limited,
        Kind::Unreadable,
        Kind::ClientLeaves,
        Kind::ProviderLeaves,
    ];

    fn of(received: &Received) -> Kind {
        let name = received.header("x-soak").unwrap_or_default();
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| format!("{kind:?}") == name);
        kind.unwrap_or(Kind::Allowed)
    }

    fn request(self) -> Request {
        let body = match self {
            Kind::Unreadable => b"{\"model\": ".to_vec(),
            Kind::Denied => says("the forbidden word"),
            _ => says("hello"),
        };
        Request::chat(body).header("x-soak", format!("{self:?}"))
    }

    /// Returns the provider's answer.
    fn answer(self) -> Answer {
        match self {
            Kind::Redacted => answers("4111 1111 1111 1111"),
            Kind::Streamed => stream(),
            Kind::Limited => calls(&[("issue_refund", "{\"id\":7}")]),
            Kind::CallDenied => calls(&[("delete_customer", "{\"id\":7}")]),
            Kind::ClientLeaves => Answer::raw(Vec::new()).pause(10 * WAITS).hang_up(),
            Kind::ProviderLeaves => Answer::none(),
            _ => answers("Hello"),
        }
    }

    /// Returns whether the client got what this kind of exchange has to give.
    fn is_right(self, status: u16, body: &[u8]) -> bool {
        let has = |text: &str| String::from_utf8_lossy(body).contains(text);
        match self {
            Kind::Allowed => status == 200 && has("Hello"),
            Kind::Denied | Kind::Unreadable => status == 400,
            Kind::Redacted => status == 200 && has("[CREDIT_CARD]") && !has("4111"),
            Kind::Streamed => {
                status == 200 && has("[CREDIT_CARD]") && !has("1111 1111") && has("[DONE]")
            }
            Kind::CallDenied => status == 200 && !has("delete_customer\",\"arguments"),
            // A few are allowed.
            Kind::Limited => status == 200,
            Kind::ProviderLeaves => status == 503 || status == 502,
            Kind::ClientLeaves => false,
        }
    }
}

fn stream() -> Answer {
    let chunk = |text: &str| {
        let delta =
            json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
        format!("data: {delta}\n\n")
    };
    let head = Answer::chunked(200, &[("content-type", "text/event-stream")]);
    ["The card ", "is 4111 ", "1111 1111", " 1111, he ", "said."]
        .into_iter()
        .fold(head, |answer, text| answer.chunk(chunk(text).as_bytes()))
        .chunk(b"data: [DONE]\n\n")
        .end()
}

/// Exchanges by the status that the client got; 0: it left before.
type Outcomes = BTreeMap<u64, u64>;

/// Sends exchanges of all kinds in turn until the time is over.
fn client(address: SocketAddr, first: usize, is_over: &AtomicBool) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let mut connection: Option<Raw> = None;
    for kind in Kind::ALL.into_iter().cycle().skip(first) {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let open = || Raw::connect(address).expect("Envoy listens");
        let mut raw = connection.take().unwrap_or_else(open);
        raw.send(&kind.request().bytes());
        let status = if kind == Kind::ClientLeaves {
            std::thread::sleep(WAITS);
            0
        } else {
            let response = raw.response().expect("every request is answered");
            assert!(response.whole, "{kind:?}");
            assert!(
                kind.is_right(response.status, &response.body),
                "{kind:?}: {} {}",
                response.status,
                String::from_utf8_lossy(&response.body)
            );
            if response.header("connection") != Some("close") {
                connection = Some(raw);
            }
            response.status
        };
        *outcomes.entry(status.into()).or_default() += 1;
        std::thread::sleep(PAUSE);
    }
    outcomes
}

/// What a process holds at a moment.
struct Held {
    allocated: u64,
    resident: u64,
    files: u64,
}

fn held(envoy: &Envoy) -> Held {
    let (allocated, resident) = envoy.memory();
    let files = std::fs::read_dir(format!("/proc/{}/fd", envoy.process_id()));
    Held {
        allocated,
        resident,
        files: files.map_or(0, Iterator::count) as u64,
    }
}

/// Returns the mean of a value over a range of samples.
fn mean(samples: &[Held], value: impl Fn(&Held) -> u64) -> u64 {
    let sum: u64 = samples.iter().map(value).sum();
    sum / u64::try_from(samples.len().max(1)).expect("a count")
}

/// Counts the records of a log by status, line by line: the log is larger than what a test should keep.
fn recorded(envoy: &Envoy, site: &str) -> Outcomes {
    let file = std::fs::File::open(envoy.site(site).records.path()).expect("an audit log");
    let mut outcomes = Outcomes::new();
    for line in BufReader::new(file).lines() {
        let record: Value = serde_json::from_str(&line.expect("a line")).expect("a record");
        *outcomes
            .entry(record["status"].as_u64().expect("a status"))
            .or_default() += 1;
    }
    outcomes
}

fn counted(envoy: &Envoy) -> f64 {
    let samples = envoy.samples();
    let exchanges = samples
        .iter()
        .filter(|sample| sample.name == "agentguard_requests_total");
    exchanges.map(|sample| sample.value).sum()
}

fn site(mode: Mode, name: &str) -> Site {
    let few = json!({
        "id": "few", "match": {"tool": "issue_refund"}, "action": "deny",
        "limit": {"count": "tool_calls", "max": 5, "window": "24h"},
    });
    let rules = json!([no_weapons(), mask_cards(), no_delete(), few]);
    let policy = with(policy(rules), json!({"metadata": {"name": name}}));
    Site::new(mode.word(), &in_mode(&policy, mode)).watched()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a soak is asked for by a variable"
)]
fn minutes() -> f64 {
    let minutes = std::env::var("AGENTGUARD_SOAK_MINUTES").ok();
    minutes.map_or(30.0, |minutes| {
        minutes.parse().expect("a number of minutes")
    })
}

#[test]
#[ignore = "takes half an hour: make soak"]
fn memory_settles_and_every_exchange_is_recorded_once() {
    let time = Duration::from_secs_f64(minutes() * 60.0);
    let sites = Mode::BOTH.map(|mode| site(mode, "a")).to_vec();
    let mut envoy = Setup::new(Version::Newest, sites)
        .labels(vec!["provider", "model", "status", "client_id"])
        .workers(2)
        .start();
    envoy
        .provider
        .answer_with(|received| Kind::of(received).answer());
    let is_over = AtomicBool::new(false);
    let mut samples: Vec<Held> = Vec::new();
    let mut sent: BTreeMap<&str, Outcomes> = BTreeMap::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let mode = Mode::BOTH[number % 2].word();
                let address = envoy.site(mode).address;
                let is_over = &is_over;
                (mode, scope.spawn(move || client(address, number, is_over)))
            })
            .collect();
        let pause = SAMPLE.min(time / 100);
        let count = |time: Duration| {
            usize::try_from(time.as_millis() / pause.as_millis()).expect("a count")
        };
        let (rounds, each) = (count(time), count(POLICY.min(time / 10)));
        for round in 1..=rounds {
            std::thread::sleep(pause);
            envoy.provider.forget();
            samples.push(held(&envoy));
            // HTTP/2 as well, and beside the others.
            for mode in Mode::BOTH {
                let response = envoy
                    .site(mode.word())
                    .send(Http::Two, &Kind::Denied.request());
                refusal(&response, 400, "AG3001");
                let outcomes = sent.entry(mode.word()).or_default();
                *outcomes.entry(400).or_default() += 1;
            }
            if round % each == 0 {
                let named = if round / each % 2 == 0 { "a" } else { "b" };
                for mode in Mode::BOTH {
                    envoy.replace(site(mode, named));
                }
                let held = samples.last().expect("a sample");
                eprintln!(
                    "{:3} %: {} KiB allocated, {} KiB resident, {} files",
                    100 * round / rounds,
                    held.allocated >> 10,
                    held.resident >> 10,
                    held.files,
                );
            }
        }
        is_over.store(true, Ordering::Relaxed);
        for (mode, client) in clients {
            let outcomes = client.join().expect("a client without a fault");
            for (status, count) in outcomes {
                *sent.entry(mode).or_default().entry(status).or_default() += count;
            }
        }
    });
    let total: u64 = sent.values().flat_map(BTreeMap::values).sum();
    for mode in Mode::BOTH.map(Mode::word) {
        let expected = &sent[mode];
        wait_for("one record for each exchange", || {
            let count: u64 = recorded(&envoy, mode).values().sum();
            (count >= expected.values().sum()).then_some(())
        });
        assert_eq!(recorded(&envoy, mode), *expected, "{mode}");
        let verified = Command::new(env!("CARGO_BIN_EXE_agentguard"))
            .args(["audit", "verify"])
            .arg(envoy.site(mode).records.path())
            .output()
            .expect("the command");
        let told = String::from_utf8_lossy(&verified.stdout);
        assert!(verified.status.success(), "{told}");
        let fault = told.lines().find(|line| line.contains("fault"));
        eprintln!("{mode}: {}", fault.unwrap_or(&told));
        assert!(envoy.discovery_stat(mode, "update_success") > 2);
    }
    assert_eq!(counted(&envoy).to_string(), total.to_string());
    let quarter = samples.len() / 4;
    let (third, last) = (&samples[quarter * 2..quarter * 3], &samples[quarter * 3..]);
    eprintln!(
        "{total} exchanges in {:.1} minutes, {:?}",
        minutes(),
        Host::of_run()
    );
    let settles = |what: &str, value: &dyn Fn(&Held) -> u64, margin: u64| {
        let (before, after) = (mean(third, value), mean(last, value));
        eprintln!("{what}: {before} in the third quarter, {after} in the last");
        assert!(after < before + margin, "{what} grow");
    };
    settles("bytes allocated", &|held| held.allocated, MARGIN);
    settles("bytes resident", &|held| held.resident, 2 * MARGIN);
    settles("files", &|held| held.files, 16);
    let printed = envoy.printed();
    for word in ["panic", "[critical]", "Plugin VM failed", "backtrace"] {
        assert!(!printed.contains(word), "Envoy printed `{word}`");
    }
}
