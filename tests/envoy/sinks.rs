//! Sinks of audit events: files that are rotated, full or deleted, OpenTelemetry, spans; and that no sink delays traffic.
#![expect(
    clippy::disallowed_methods,
    reason = "what a sink that doesn't answer costs is a time"
)]

use super::identity::forge::Folder;
use crate::scene::{answers, mask_cards, no_weapons, policy, says};
use harness::{Answer, CLOSED, Envoy, Http, Request, Setup, Site, Span, Version, spans, wait_for};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

in_both_envoys![
    events_reach_an_opentelemetry_collector_over_grpc,
    a_dead_collector_or_a_full_disk_delays_nothing_and_is_counted,
    a_log_whose_folder_is_gone_delays_nothing_and_comes_back_with_it,
    a_rotated_log_and_one_of_a_killed_envoy_verify,
];

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const EVENT: &str = "%FILTER_STATE(wasm.agentguard:PLAIN)%";

pub(super) fn rules() -> Value {
    policy(json!([no_weapons(), mask_cards()]))
}

/// Returns the tracing configuration of `docs/audit.md`.
fn tracing() -> Value {
    let tag = |name: &str, state: &str| json!({"tag": name, "value": format!("%FILTER_STATE(wasm.{state}:PLAIN)%")});
    json!({
        "tracing": {
            "random_sampling": {"value": 100},
            "provider": {
                "name": "envoy.tracers.opentelemetry",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                    "service_name": "agentguard",
                    "http_service": {"http_uri": {
                        "uri": "http://collector/v1/traces", "cluster": "provider", "timeout": "1s",
                    }},
                },
            },
            "custom_tags": [
                tag("agentguard.decision", "agentguard.decision"),
                tag("agentguard.rule", "agentguard.rule"),
                tag("agentguard.policy_version", "agentguard.policy_version"),
            ],
        },
    })
}

/// Envoy 1.36 does not support filter state in `custom_tags`.
#[test]
fn spans_name_the_decision_its_rule_and_the_policy() {
    let version = Version::Newest;
    let site = Site::new("traced", &rules()).manager(tracing());
    let envoy = Setup::new(version, vec![site]).lease();
    envoy.provider.answer_always(answers("Hello"));
    let site = envoy.site("traced");
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let cases = [
        ("hello", "allow", ""),
        ("the forbidden word", "deny", "no-weapons"),
        ("4111 1111 1111 1111", "redact", "mask-cards"),
    ];
    let mut records = Vec::new();
    // Envoy sends spans in batches of five, or after five seconds.
    for (text, decision, rule) in cases.iter().chain(&cases) {
        let request = Request::chat(says(text)).header("traceparent", &parent);
        site.send(Http::One, &request);
        let record = site.records.next();
        assert_eq!(record["traceparent"], parent.as_str());
        records.push((record, *decision, *rule));
    }
    let seen = |record: &Value| -> Option<Span> {
        let received = envoy.provider.received();
        let exports = received
            .iter()
            .filter(|request| request.path == "/v1/traces");
        let mut all = exports.flat_map(|request| spans(&request.body));
        all.find(|span| {
            span.attributes.get("guid:x-request-id").map(String::as_str)
                == record["request_id"].as_str()
        })
    };
    for (record, decision, rule) in &records {
        let span = wait_for("a span", || seen(record));
        assert_eq!(span.trace_id, TRACE);
        let tag = |name: &str| span.attributes.get(name).map_or("", String::as_str);
        assert_eq!(tag("agentguard.decision"), *decision, "{span:?}");
        assert_eq!(tag("agentguard.rule").trim_matches('-'), *rule, "{span:?}");
        assert_eq!(
            Some(tag("agentguard.policy_version")),
            record["policy"]["version"].as_str()
        );
    }
}

/// Returns an access log that sends events as OpenTelemetry logs. Envoy 1.36 has the service in `common_config`, which
/// newer versions deprecate.
pub(super) fn opentelemetry(version: Version, cluster: &str) -> Value {
    let service = json!({
        "log_name": "agentguard",
        "grpc_service": {"envoy_grpc": {"cluster_name": cluster}},
        "buffer_flush_interval": "0.1s",
    });
    let mut log = match version {
        Version::Newest => service,
        Version::Oldest => {
            let mut service = service;
            service["transport_api_version"] = json!("V3");
            json!({"common_config": service})
        }
    };
    log["@type"] = json!(
        "type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig"
    );
    log["body"] = json!({"string_value": EVENT});
    json!({"name": "envoy.access_loggers.open_telemetry", "typed_config": log})
}

fn file(path: &str) -> Value {
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"text_format_source": {"inline_string": format!("{EVENT}\n")}},
        },
    })
}

fn events_reach_an_opentelemetry_collector_over_grpc(version: Version) {
    // The collector's gRPC arrives over HTTP/2 at another Envoy, and at its provider over HTTP/1.1.
    let collector = Setup::new(version, vec![Site::bare("collector")]).start();
    collector.provider.answer_always(
        Answer::chunked(200, &[("content-type", "application/grpc")])
            .chunk(&[0, 0, 0, 0, 0])
            .end_with_trailer("grpc-status", "0"),
    );
    let address = collector.site("collector").address;
    let logged = json!({"access_log": [opentelemetry(version, "collector")]});
    let envoy = Setup::new(version, vec![Site::new("logged", &rules()).manager(logged)])
        .http2_cluster("collector", address)
        .lease();
    envoy.provider.answer_always(answers("Hello"));
    let site = envoy.site("logged");
    site.send(Http::One, &Request::chat(says("hello")));
    site.send(Http::One, &Request::chat(says("the forbidden word")));
    let events = wait_for("two events at the collector", || {
        let received = collector.provider.received();
        let all: Vec<u8> = received
            .iter()
            .flat_map(|request| request.body.clone())
            .collect();
        let text = String::from_utf8_lossy(&all).into_owned();
        let events: Vec<Value> = text
            .match_indices("{\"v\":1,")
            .filter_map(|(at, _)| {
                let rest = text.get(at..)?;
                let mut values = serde_json::Deserializer::from_str(rest).into_iter();
                values.next()?.ok()
            })
            .collect();
        (events.len() >= 2).then_some(events)
    });
    for event in &events {
        harness::check(event);
    }
    let decisions: Vec<&Value> = events.iter().map(|event| &event["decision"]).collect();
    assert_eq!(decisions, [&json!("allow"), &json!("deny")]);
    let path = &collector.provider.last().path;
    assert_eq!(
        path,
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
    );
}

/// Sends requests. Returns the duration of the slowest.
fn slowest(envoy: &Envoy, site: &str, count: usize) -> Duration {
    envoy.provider.answer_always(answers("Hello"));
    let times = (0..count).map(|_| {
        let start = Instant::now();
        let response = envoy
            .site(site)
            .send(Http::One, &Request::chat(says("hello")));
        assert_eq!(response.status, 200);
        start.elapsed()
    });
    times.max().unwrap_or_default()
}

fn a_dead_collector_or_a_full_disk_delays_nothing_and_is_counted(version: Version) {
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    // One sink accepts connections and never responds, the other refuses them.
    let silent = nobody.local_addr().expect("it is bound");
    let log = |log: Value| json!({"access_log": [log]});
    let sink = |name: &str| Site::new(name, &rules()).manager(log(opentelemetry(version, name)));
    let full = Site::new("full", &rules()).manager(log(file("/dev/full")));
    let envoy = Setup::new(version, vec![sink("silent"), sink("dead"), full])
        .http2_cluster("silent", silent)
        .http2_cluster("dead", CLOSED)
        .start();
    let patience = Duration::from_secs(1);
    for site in ["silent", "dead", "full"] {
        let slowest = slowest(&envoy, site, 20);
        assert!(slowest < patience, "{site}: {slowest:?}");
    }
    for stat in [
        "filesystem.write_failed",
        "access_logs.open_telemetry_access_log.logs_dropped",
    ] {
        wait_for(stat, || (envoy.stat(stat) > 0).then_some(()));
    }
}

fn a_log_whose_folder_is_gone_delays_nothing_and_comes_back_with_it(version: Version) {
    let folder = Folder::new("gone");
    let logs = Path::new(&folder.root()).join("logs");
    let log = logs.join("audit.jsonl");
    std::fs::create_dir(&logs).expect("a folder");
    let logged = json!({"access_log": [file(&log.to_string_lossy())]});
    let envoy = Setup::new(version, vec![Site::new("gone", &rules()).manager(logged)]).start();
    slowest(&envoy, "gone", 1);
    std::fs::remove_dir_all(&logs).expect("it is deleted");
    signal(&envoy, "-USR1");
    let slowest_time = slowest(&envoy, "gone", 5);
    assert!(slowest_time < Duration::from_secs(1), "{slowest_time:?}");
    for stat in ["filesystem.reopen_failed", "filesystem.write_failed"] {
        wait_for(stat, || {
            slowest(&envoy, "gone", 1);
            (envoy.stat(stat) > 0).then_some(())
        });
    }
    std::fs::create_dir(&logs).expect("a folder");
    signal(&envoy, "-USR1");
    wait_for("events in the new folder", || {
        slowest(&envoy, "gone", 1);
        std::fs::metadata(&log)
            .is_ok_and(|log| log.len() > 0)
            .then_some(())
    });
    // The chain reveals that records are missing before its first line there.
    let (code, told) = verify(&[&log]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("are missing") || told.contains("is missing"),
        "{told}"
    );
}

/// Returns the exit code and the output of `agentguard audit verify` for these files.
fn verify(files: &[&std::path::Path]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(["audit", "verify"])
        .args(files)
        .output()
        .expect("the command");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), told)
}

fn signal(envoy: &Envoy, name: &str) {
    let id = envoy.process_id().to_string();
    let sent = Command::new("kill").args([name, &id]).status();
    assert!(sent.expect("kill").success());
}

fn a_rotated_log_and_one_of_a_killed_envoy_verify(version: Version) {
    let envoy = Setup::new(version, vec![Site::new("rotated", &rules())]).start();
    let site = envoy.site("rotated");
    slowest(&envoy, "rotated", 5);
    site.records.skip_to(5);
    let path = site.records.path();
    let old = path.with_extension("1");
    std::fs::rename(path, &old).expect("it is renamed");
    signal(&envoy, "-USR1");
    wait_for("a new file", || path.exists().then_some(()));
    slowest(&envoy, "rotated", 5);
    wait_for("the new file's events", || {
        (site.records.lines().len() == 5).then_some(())
    });
    let (code, told) = verify(&[path, &old]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("10 records"), "{told}");
    // Envoy is killed in the middle of an exchange, with unwritten output.
    let live = site.begin(Http::One, &Request::chat(says("hello")).chunks(Vec::new()));
    slowest(&envoy, "rotated", 3);
    signal(&envoy, "-KILL");
    drop(live);
    let (code, told) = verify(&[path, &old]);
    let records: u32 = told
        .split(' ')
        .find_map(|word| word.parse().ok())
        .unwrap_or(0);
    assert!((10..=13).contains(&records), "{told}");
    // At most the last line is truncated.
    assert!(
        code == Some(0) || told.contains("trunc") || told.contains("cut"),
        "{told}"
    );
}
