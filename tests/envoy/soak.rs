//! Soak: traffic of every kind for half an hour, while policies are replaced. Memory and open files settle, and each
//! exchange has one record, one count under its labels and its place in a chain. Run by `make soak`.

use crate::approval_service::{agrees, named, refunds};
use crate::responses::no_delete;
use crate::scene::{Mode, answers, calls, in_mode, mask_cards, no_weapons, refusal, says, with};
use harness::{
    Answer, Envoy, Host, Http, Provider, Raw, Received, Request, Setup, Site, Version, wait_for,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Concurrent connections.
const CLIENTS: usize = 4;

/// Pause of a client between two exchanges: the soak tests duration, not load.
const PAUSE: Duration = Duration::from_millis(15);

/// Time after which an impatient client leaves.
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
    Approved,
    Refused,
    LeavesWaiting,
}

impl Kind {
    const ALL: [Kind; 12] = [
        Kind::Allowed,
        Kind::Denied,
        Kind::Redacted,
        Kind::Streamed,
        Kind::CallDenied,
        Kind::Limited,
        Kind::Unreadable,
        Kind::ClientLeaves,
        Kind::ProviderLeaves,
        Kind::Approved,
        Kind::Refused,
        Kind::LeavesWaiting,
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

    /// Returns the provider's response.
    fn answer(self) -> Answer {
        match self {
            Kind::Redacted => answers("4111 1111 1111 1111"),
            Kind::Streamed => stream(),
            Kind::Limited => calls(&[("issue_refund", "{\"id\":7}")]),
            Kind::CallDenied => calls(&[("delete_customer", "{\"id\":7}")]),
            Kind::Approved => refund(AGREES),
            Kind::Refused => refund(REFUSES),
            Kind::LeavesWaiting => refund(TAKES_LONG),
            Kind::ClientLeaves => Answer::raw(Vec::new()).pause(10 * WAITS).hang_up(),
            Kind::ProviderLeaves => Answer::none(),
            _ => answers("Hello"),
        }
    }

    /// Returns whether the client got the expected response for this kind of exchange.
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
            Kind::Approved => status == 200 && has("\"refund\"") && !has("agar1."),
            Kind::Refused => status == 200 && !has("\"name\":\"refund\"") && has("agar1."),
            Kind::ClientLeaves | Kind::LeavesWaiting => false,
        }
    }

    /// Returns whether the client leaves before it has a response.
    fn leaves(self) -> bool {
        matches!(self, Kind::ClientLeaves | Kind::LeavesWaiting)
    }
}

/// Amounts of refunds, which determine the approval service's behaviour.
const AGREES: u64 = 250;
const REFUSES: u64 = 251;
const TAKES_LONG: u64 = 252;

fn refund(amount: u64) -> Answer {
    let arguments = json!({"amount": amount, "to": "x"}).to_string();
    calls(&[("refund", &arguments)])
}

/// Responds as the approval service, after a delay.
fn approves(received: &Received) -> Answer {
    let requests = named(received);
    let asks_for = |amount: u64| {
        let shown = format!(r#"{{"args.amount":[{amount}]}}"#);
        requests
            .iter()
            .any(|request| request.shown() == Some(&shown))
    };
    std::thread::sleep(if asks_for(TAKES_LONG) {
        4 * WAITS
    } else {
        PAUSE
    });
    if asks_for(REFUSES) {
        return Answer::json(200, br#"{"agentguard": "approval", "tokens": []}"#);
    }
    agrees(received)
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

/// Number of exchanges by the status of the response; 0 if the client left before there was one.
type Outcomes = BTreeMap<u64, u64>;

/// Key for exchanges whose client left while a call waited or, on a busy machine, before the provider had responded.
const LEFT: u64 = 1;

/// Returns the expected statuses of records, from what clients saw. Exchanges whose client left may have no status.
fn expected(mut seen: Outcomes, recorded: &Outcomes) -> Outcomes {
    let left = seen.remove(&LEFT).unwrap_or(0);
    let none = seen.entry(0).or_default();
    let early = recorded
        .get(&0)
        .map_or(0, |count| count.saturating_sub(*none))
        .min(left);
    *none += early;
    *seen.entry(200).or_default() += left - early;
    seen
}

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
        let status = if kind.leaves() {
            std::thread::sleep(WAITS);
            if kind == Kind::LeavesWaiting { LEFT } else { 0 }
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
            response.status.into()
        };
        *outcomes.entry(status).or_default() += 1;
        std::thread::sleep(PAUSE);
    }
    outcomes
}

/// Resources of a process at one moment.
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

/// Counts the records of a log by status, line by line: the log is too large to be kept in memory.
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

/// Counts by metric and by the values of its labels.
type Counts = BTreeMap<(&'static str, Vec<String>), u64>;

/// The compared metrics and their labels.
const COMPARED: [(&str, &[&str]); 4] = [
    (
        "agentguard_requests_total",
        &["provider", "model", "status", "client_id"],
    ),
    ("agentguard_decisions_total", &["decision", "mode", "code"]),
    ("agentguard_approvals_total", &["state"]),
    ("agentguard_findings_total", &["type", "action"]),
];

/// Returns Envoy's counts.
fn counted(envoy: &Envoy) -> Counts {
    let mut counts = Counts::new();
    for sample in envoy.samples() {
        let compared = COMPARED.iter().find(|(name, _)| *name == sample.name);
        let Some((name, labels)) = compared else {
            continue;
        };
        let value = |label: &&str| sample.labels.get(*label).cloned().unwrap_or_default();
        let values = labels.iter().map(value).collect();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a counter is a whole number"
        )]
        let count = sample.value as u64;
        *counts.entry((name, values)).or_default() += count;
    }
    counts.retain(|_, count| *count > 0);
    counts
}

/// Adds the counts that the records of a log imply.
fn told(envoy: &Envoy, site: &str, counts: &mut Counts) {
    let file = std::fs::File::open(envoy.site(site).records.path()).expect("an audit log");
    for line in BufReader::new(file).lines() {
        let record: Value = serde_json::from_str(&line.expect("a line")).expect("a record");
        let text =
            |name: &str, otherwise: &str| record[name].as_str().unwrap_or(otherwise).to_owned();
        // The model of an unreadable request.
        let model = text("model", "unknown");
        let (decision, code) = (text("decision", "none"), text("code", "none"));
        let mut count = |name, values: &[&str], by| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            *counts.entry((name, values)).or_default() += by;
        };
        count(
            COMPARED[0].0,
            &[&text("provider", "none"), &model, &decision, "anonymous"],
            1,
        );
        count(COMPARED[1].0, &[&decision, "enforce", &code], 1);
        if let Some(state) = record["approval"]["state"].as_str() {
            count(COMPARED[2].0, &[state], 1);
        }
        for (kind, found) in record["findings"].as_object().into_iter().flatten() {
            let found = found.as_u64().expect("a count");
            count(COMPARED[3].0, &[kind, &decision], found);
        }
    }
}

fn site(mode: Mode, name: &str) -> Site {
    let few = json!({
        "id": "few", "match": {"tool": "issue_refund"}, "action": "deny",
        "limit": {"count": "tool_calls", "max": 5, "window": "24h"},
    });
    // Spent approvals are stored for as long as they are valid, and there is room for 4,096.
    let mut policy = refunds(json!({"wait": "30s", "valid_for": "1m"}));
    let rules = policy["rules"].as_array_mut().expect("rules");
    rules.extend([no_weapons(), mask_cards(), no_delete(), few]);
    let policy = with(policy, json!({"metadata": {"name": name}}));
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
    let service = Provider::start();
    service.answer_with(approves);
    let labels = COMPARED.iter().flat_map(|(_, labels)| labels.iter());
    let labels: BTreeSet<&str> = labels.copied().collect();
    let mut envoy = Setup::new(Version::Newest, sites)
        .service("approvals", service.address)
        .labels(labels.into_iter().collect())
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
                let mode = Mode::BOTH[number % 2];
                let address = envoy.site(mode.word()).address;
                let is_over = &is_over;
                let client = scope.spawn(move || client(address, number, is_over));
                (mode.word(), client)
            })
            .collect();
        let pause = SAMPLE.min(time / 100);
        let count = |time: Duration| {
            usize::try_from(time.as_millis() / pause.as_millis()).expect("a count")
        };
        let (rounds, each) = (count(time), count(POLICY.min(time / 10)));
        for round in 1..=rounds {
            std::thread::sleep(pause);
            // A client has ended early only after a failure, which is reported when its thread is joined.
            if clients.iter().any(|(_, client)| client.is_finished()) {
                break;
            }
            envoy.provider.forget();
            service.forget();
            samples.push(held(&envoy));
            // HTTP/2 as well, concurrently with the others.
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
        let seen = &sent[mode];
        let recorded = wait_for("one record for each exchange", || {
            let recorded = recorded(&envoy, mode);
            let count: u64 = recorded.values().sum();
            (count >= seen.values().sum()).then_some(recorded)
        });
        assert_eq!(recorded, expected(seen.clone(), &recorded), "{mode}");
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
    let mut expected = Counts::new();
    for mode in Mode::BOTH {
        told(&envoy, mode.word(), &mut expected);
    }
    assert_eq!(counted(&envoy), expected);
    let exchanges = expected
        .iter()
        .filter(|((name, _), _)| *name == COMPARED[0].0);
    assert_eq!(exchanges.map(|(_, count)| count).sum::<u64>(), total);
    for state in ["approved", "unanswered", "waiting"] {
        let key = (COMPARED[2].0, vec![state.to_owned()]);
        assert!(expected.contains_key(&key), "no call was {state}");
    }
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
