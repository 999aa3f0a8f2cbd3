//! `envoy/sinks`: what carries audit events on. Here only their parts are compared; `tests/envoy/collector.rs` runs the Collector.

use super::root;
use serde_json::Value;

/// A file of `envoy/sinks` as JSON.
fn sink(name: &str) -> Value {
    let text = std::fs::read_to_string(root().join("envoy/sinks").join(name)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

#[test]
fn the_parts_of_the_sinks_refer_to_each_other_and_hold_no_secret() {
    let collector = sink("otel-collector.yaml");
    let pipeline = &collector["service"]["pipelines"]["logs"];
    for kind in ["receivers", "processors", "exporters"] {
        let mut declared: Vec<&String> = collector[kind].as_object().unwrap().keys().collect();
        declared.sort_unstable();
        let mut used: Vec<&str> = pipeline[kind]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        used.sort_unstable();
        assert_eq!(used, declared, "{kind}");
    }
    let vector = sink("vector.yaml");
    let kinds = ["sources", "transforms", "sinks"].map(|kind| vector[kind].as_object().unwrap());
    for part in kinds[1].values().chain(kinds[2].values()) {
        for input in part["inputs"].as_array().unwrap() {
            let input = input.as_str().unwrap();
            assert!(
                kinds[0].contains_key(input) || kinds[1].contains_key(input),
                "{input}"
            );
        }
    }
    for (name, config) in [("collector", collector), ("vector", vector)] {
        let text = config.to_string();
        for member in ["token", "key", "authorization"] {
            for value in text.split(&format!("{member}\":\"")).skip(1) {
                assert!(value.starts_with("${"), "{name}: {member}");
            }
        }
    }
}
