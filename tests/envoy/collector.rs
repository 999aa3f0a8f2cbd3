//! `envoy/sinks/otel-collector.yaml` in the real OpenTelemetry Collector, with the components that Go's module proxy has. The
//! input is Envoy's OpenTelemetry access log, and the exporters' output must be what the filter wrote.

use super::identity::forge::Folder;
use super::sinks::{opentelemetry, rules};
use crate::scene::{answers, says};
use flate2::read::GzDecoder;
use harness::{
    Answer, Ended, Http, Process, Provider, Received, Request, Setup, Site, Version, collector,
    free_port, wait_for,
};
use serde_json::{Value, json};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

/// Exporters that are modules of the Collector's contrib distribution, which the module proxy does not have.
const NOT_BUILT: [&str; 3] = ["splunk_hec", "datadog", "elasticsearch"];

/// Returns the shipped configuration without [`NOT_BUILT`], with other addresses.
fn configuration(receives: SocketAddr, sinks: SocketAddr) -> String {
    let text = std::fs::read_to_string("envoy/sinks/otel-collector.yaml").expect("a file");
    let mut config: Value = serde_saphyr::from_str(&text).expect("YAML");
    let exporters = config["exporters"].as_object_mut().expect("exporters");
    for name in NOT_BUILT {
        assert!(exporters.remove(name).is_some(), "{name}");
    }
    exporters["otlphttp/loki"]["endpoint"] = json!(format!("http://{sinks}/otlp"));
    exporters["otlphttp/webhook"]["logs_endpoint"] = json!(format!("http://{sinks}/agentguard"));
    let kept: Vec<String> = exporters.keys().cloned().collect();
    config["service"]["pipelines"]["logs"]["exporters"] = json!(kept);
    // The Collector's own metrics would use a fixed port.
    config["service"]["telemetry"] = json!({"metrics": {"level": "none"}});
    let grpc = &mut config["receivers"]["otlp"]["protocols"]["grpc"];
    grpc["endpoint"] = json!(receives.to_string());
    config.to_string()
}

fn body_of(request: &Received) -> Vec<u8> {
    let is_packed = request.body.starts_with(&[0x1f, 0x8b]);
    let mut body = Vec::new();
    if is_packed {
        let mut unpacked = GzDecoder::new(&*request.body);
        unpacked.read_to_end(&mut body).expect("gzip");
        return body;
    }
    request.body.clone()
}

/// Returns the bodies of the log records that a webhook receives.
fn lines(export: &[u8]) -> Vec<String> {
    let export: Value = serde_json::from_slice(export).expect("JSON");
    let each = |value: &Value, name: &str| -> Vec<Value> {
        value[name].as_array().cloned().unwrap_or_default()
    };
    let mut lines = Vec::new();
    for resource in each(&export, "resourceLogs") {
        for scope in each(&resource, "scopeLogs") {
            for record in each(&scope, "logRecords") {
                let line = record["body"]["stringValue"].as_str().expect("a text");
                lines.push(line.to_owned());
            }
        }
    }
    lines
}

#[test]
#[ignore = "Go builds the Collector: make test-collector"]
fn the_collector_carries_events_on_as_the_filter_wrote_them() {
    let folder = Folder::new("collector");
    for version in [Version::Newest, Version::Oldest] {
        let sinks = Provider::start();
        sinks.answer_always(Answer::json(200, b"{}"));
        let receives = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = folder.write("collector.yaml", &configuration(receives, sinks.address));
        let program = collector();
        let program = program.to_string_lossy();
        let variables = [("WEBHOOK_AUTHORIZATION".to_owned(), "Bearer hook".to_owned())];
        let validated = Command::new(&*program)
            .args(["validate", "--config", &config])
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("the Collector");
        assert!(validated.status.success(), "{validated:?}");
        let log = format!("{}/collector.log", folder.root());
        let mut process = Process::start(
            &[&program, "--config", &config],
            &variables,
            Path::new(&log),
        );
        wait_for("the Collector", || {
            assert_eq!(process.ended(), None, "{}", process.printed());
            TcpStream::connect(receives).ok()
        });
        let logged = json!({"access_log": [opentelemetry(version, "collector")]});
        let envoy = Setup::new(version, vec![Site::new("logged", &rules()).manager(logged)])
            .http2_cluster("collector", receives)
            .start();
        envoy.provider.answer_always(answers("Hello"));
        let site = envoy.site("logged");
        for text in ["hello", "the forbidden word", "4111 1111 1111 1111"] {
            site.send(Http::One, &Request::chat(says(text)));
        }
        let exports = |path: &str| -> Vec<Received> {
            let received = sinks.received().into_iter();
            received
                .filter(|request| request.path == path && request.ended == Ended::Whole)
                .collect()
        };
        let told = wait_for("three events at the webhook", || {
            let all = exports("/agentguard");
            let lines: Vec<String> = all.iter().flat_map(|it| lines(&body_of(it))).collect();
            (lines.len() >= 3).then_some(lines)
        });
        let hook = exports("/agentguard");
        for request in &hook {
            assert_eq!(request.header("authorization"), Some("Bearer hook"));
            assert_eq!(request.header("content-type"), Some("application/json"));
        }
        // No byte differs, so the chain verifies.
        let file = folder.write("audit.jsonl", &(told.join("\n") + "\n"));
        let verified = Command::new(env!("CARGO_BIN_EXE_agentguard"))
            .args(["audit", "verify", &file])
            .output()
            .expect("the command");
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(verified.status.success(), "{said}");
        assert!(said.contains("3 records"), "{said}");
        // Loki gets the same over OTLP.
        wait_for("three events at Loki", || {
            let all = exports("/otlp/v1/logs");
            let all: Vec<u8> = all.iter().flat_map(body_of).collect();
            let text = String::from_utf8_lossy(&all).into_owned();
            told.iter().all(|line| text.contains(line)).then_some(())
        });
    }
}
