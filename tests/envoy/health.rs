//! `envoy/examples/health.yaml` with an example; natively, the output of `build --health`: health, readiness, metrics, and
//! the administration filter.

use super::identity::forge::Folder;
use harness::{Answer, Host, Process, Provider, Version, free_port, wait_for};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

in_both_envoys![
    a_proxy_is_ready_with_a_policy_and_an_endpoint,
    nothing_but_its_own_paths_passes_the_administration_filter,
];

/// Returns the arguments of an Envoy with `quick-start.yaml` and `health.yaml`.
fn examples(
    folder: &Folder,
    [admin, traffic, health]: [u16; 3],
    upstream: &str,
    change: fn(String) -> String,
) -> Vec<String> {
    let home = folder.root();
    let (host, port) = upstream.rsplit_once(':').expect("an upstream");
    let read = |name: &str| {
        let text =
            std::fs::read_to_string(Path::new("envoy/examples").join(name)).expect("an example");
        change(text)
            .replace(
                "path: agentguard.json",
                &format!("path: {home}/agentguard.json"),
            )
            .replace("{ path: . }", &format!("{{ path: {home} }}"))
            .replace(
                "filename: agentguard.wasm",
                &format!("filename: {}", harness::wasm().display()),
            )
            .replace("/dev/stdout", &format!("{home}/audit.jsonl"))
            .replace("port_value: 9901", &format!("port_value: {admin}"))
            .replace("port_value: 9902", &format!("port_value: {health}"))
            .replace("port_value: 10000", &format!("port_value: {traffic}"))
            .replace(
                "address: localhost, port_value: 11434",
                &format!("address: {host}, port_value: {port}"),
            )
    };
    let config = folder.write("envoy.yaml", &read("quick-start.yaml"));
    let beside = read("stats.yaml") + &read("health.yaml");
    ["-c", &config, "--config-yaml", &beside]
        .map(str::to_owned)
        .to_vec()
}

/// Returns the arguments of an Envoy with the output of `build --bootstrap --health`.
fn built(folder: &Folder, [admin, traffic, health]: [u16; 3], upstream: &str) -> Vec<String> {
    let home = folder.root();
    let address = |port: u16| format!("127.0.0.1:{port}");
    let output = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(["build", POLICY, "--for", "envoy", "--bootstrap"])
        .args(Host::of_run().build_options())
        .args(["--watch", &format!("{home}/agentguard.json")])
        .args(["--audit-log", &format!("{home}/audit.jsonl")])
        .args(["--upstream", &format!("http://{upstream}")])
        .args(["--admin", &address(admin)])
        .args(["--listen", &address(traffic)])
        .args(["--health", &address(health)])
        .output()
        .expect("the command");
    assert!(output.status.success(), "{output:?}");
    let config = folder.write("envoy.json", &String::from_utf8_lossy(&output.stdout));
    vec!["-c".to_owned(), config]
}

/// Envoy whose administration filter is at `health`.
pub(super) struct Probed {
    _process: Process,
    pub(super) folder: Folder,
    pub(super) health: u16,
    pub(super) traffic: u16,
}

impl Probed {
    pub(super) fn start(version: Version, folder: Folder, upstream: &str) -> Probed {
        Probed::start_changed(version, folder, upstream, |example| example)
    }

    /// Starts an Envoy with changed examples.
    pub(super) fn start_changed(
        version: Version,
        folder: Folder,
        upstream: &str,
        change: fn(String) -> String,
    ) -> Probed {
        let ports = [(); 3].map(|()| free_port());
        let config = match Host::of_run() {
            Host::Wasm => examples(&folder, ports, upstream, change),
            Host::Native => built(&folder, ports, upstream),
        };
        Probed::run(version, folder, ports, &config)
    }

    /// Starts an Envoy with these arguments.
    fn run(
        version: Version,
        folder: Folder,
        [_, traffic, health]: [u16; 3],
        config: &[String],
    ) -> Probed {
        let home = folder.root();
        let program = version.program().to_string_lossy().into_owned();
        let mut command = vec![program.as_str()];
        command.extend(config.iter().map(String::as_str));
        command.extend(["--concurrency", "2", "--log-level", "warning"]);
        command.push("--use-dynamic-base-id");
        let mut process = Process::start(&command, &[], Path::new(&format!("{home}/envoy.log")));
        wait_for("the health listener", || {
            assert_eq!(process.ended(), None, "{}", process.printed());
            (get(health, "/live").0 == "200").then_some(())
        });
        Probed {
            _process: process,
            folder,
            health,
            traffic,
        }
    }

    /// Puts a policy in force.
    pub(super) fn deploy(folder: &Folder, policy: &str) {
        let built = Command::new(env!("CARGO_BIN_EXE_agentguard"))
            .args(["build", policy, "--for", "envoy", "--fail-closed"])
            .args(Host::of_run().build_options())
            .args(["--output", &format!("{}/agentguard.json", folder.root())])
            .output()
            .expect("the command");
        assert!(built.status.success(), "{built:?}");
    }
}

/// Returns the status and the body; `000` without a response.
pub(super) fn curl(port: u16, path: &str, options: &[&str]) -> (String, String) {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--path-as-is",
            "--max-time",
            "30",
            "--write-out",
            "\n%{http_code}",
        ])
        .args(options)
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .output()
        .expect("curl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("a status");
    (status.to_owned(), body.to_owned())
}

pub(super) fn get(port: u16, path: &str) -> (String, String) {
    curl(port, path, &[])
}

const POLICY: &str = "policies/getting-started.yaml";

fn a_proxy_is_ready_with_a_policy_and_an_endpoint(version: Version) {
    let provider = Provider::start();
    provider.answer_always(Answer::json(200, b"{}"));
    let upstream = provider.address.to_string();
    // A policy that the filter rejects.
    let folder = Folder::new("health");
    Probed::deploy(&folder, POLICY);
    let file = format!("{}/agentguard.json", folder.root());
    let text = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, text.replace("AgentPolicy", "AgentPolitics")).expect("it is written");
    let envoy = Probed::start(version, folder, &upstream);
    let health = envoy.health;
    for (path, status) in [
        ("/live", "200"),
        ("/health", "503"),
        ("/ready", "503"),
        ("/agentguard/policy", "503"),
    ] {
        assert_eq!(get(health, path).0, status, "{path}");
    }
    Probed::deploy(&envoy.folder, POLICY);
    wait_for("the policy", || {
        (get(health, "/ready").0 == "200").then_some(())
    });
    let parsed = |path: &str| -> Value {
        let (status, body) = get(health, path);
        assert_eq!(status, "200", "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    };
    let told = parsed("/agentguard/policy");
    let policy = &told["policies"][0];
    assert_eq!(policy["name"], "getting-started");
    assert_eq!(
        parsed("/health")["policies"][0]["version"],
        policy["version"]
    );
    let rules = policy["rules"].as_array().expect("rules").len();
    assert!(rules > 2, "{told}");
    assert!(
        parsed("/agentguard/providers")["protocols"]
            .as_array()
            .expect("a list")
            .len()
            > 20
    );
    // The traffic is on the other listener, and probes don't count as traffic.
    let chat = |model: &str| {
        let body =
            json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}).to_string();
        let options = ["-i", "-d", &body, "-H", "content-type: application/json"];
        curl(envoy.traffic, "/v1/chat/completions", &options)
    };
    let (status, shown) = chat("gpt-4o-mini");
    assert_eq!(status, "200");
    for header in ["x-request-id: ", "x-envoy-upstream-service-time: "] {
        assert!(shown.contains(header), "{shown}");
    }
    let (status, shown) = chat("o1-pro");
    assert_eq!(status, "400");
    let id = |name: &str| {
        let mut lines = shown.lines();
        lines
            .find_map(|line| line.strip_prefix(name))
            .expect("an id")
    };
    assert_eq!(id("x-request-id: "), id("x-agentguard-request-id: "));
    let (_, stats) = get(health, "/stats");
    let requests: Vec<&str> = stats
        .lines()
        .filter(|line| line.starts_with("agentguard_requests_total{"))
        .collect();
    assert!(
        requests.len() == 2 && requests.iter().all(|line| line.ends_with("} 1")),
        "{requests:?}"
    );
    // The cluster has no running endpoint.
    let folder = Folder::new("health-alone");
    Probed::deploy(&folder, POLICY);
    let alone = Probed::start(version, folder, "nobody.invalid:1");
    wait_for("the policy", || {
        (get(alone.health, "/health").0 == "200").then_some(())
    });
    assert_eq!(get(alone.health, "/ready").0, "503");
}

/// What `build --for k8s --health` writes, run as Kubernetes would, but on ports of this machine.
#[test]
fn the_proxy_for_a_cluster_without_a_mesh_answers_its_probes_and_scrapes() {
    let provider = Provider::start();
    provider.answer_always(Answer::json(200, b"{}"));
    let folder = Folder::new("health-k8s");
    let ports = [(); 3].map(|()| free_port());
    let [admin, traffic, health] = ports;
    let output = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(["build", POLICY, "--for", "k8s", "--image", "r.io/envoy:1"])
        .args(["--wasm", &harness::wasm().to_string_lossy()])
        .args(["--upstream", &format!("http://{}", provider.address)])
        .args(["--admin", &format!("127.0.0.1:{admin}")])
        .args(["--health", &format!("0.0.0.0:{health}")])
        .output()
        .expect("the command");
    assert!(output.status.success(), "{output:?}");
    let manifests = String::from_utf8_lossy(&output.stdout);
    let of_kind = |kind: &str| -> Value {
        let start = format!("\nkind: {kind}\n");
        let mut documents = manifests.split("\n---\n");
        let text = documents.find(|text| text.contains(&start));
        serde_saphyr::from_str(text.expect("a manifest")).expect("YAML")
    };
    let files = of_kind("ConfigMap")["data"].clone();
    for name in ["agentguard.json", "envoy.json"] {
        let text = files[name].as_str().expect("a file");
        let text = text
            .replace("/etc/agentguard/policy", &folder.root())
            .replace("10000", &traffic.to_string());
        folder.write(name, &text);
    }
    let config = format!("{}/envoy.json", folder.root());
    let envoy = Probed::run(Version::Newest, folder, ports, &["-c".to_owned(), config]);
    let pod = of_kind("Deployment")["spec"]["template"].clone();
    let container = &pod["spec"]["containers"][0];
    for probe in ["livenessProbe", "readinessProbe"] {
        let path = container[probe]["httpGet"]["path"]
            .as_str()
            .expect("a path");
        wait_for("the probe", || {
            (get(envoy.health, path).0 == "200").then_some(())
        });
    }
    let path = pod["metadata"]["annotations"]["prometheus.io/path"].as_str();
    let path = path.expect("a path");
    wait_for("the policy among the metrics", || {
        let (status, stats) = get(envoy.health, path);
        (status == "200" && stats.contains("agentguard_policy_info{")).then_some(())
    });
}

fn nothing_but_its_own_paths_passes_the_administration_filter(version: Version) {
    let provider = Provider::start();
    let folder = Folder::new("health-only");
    Probed::deploy(&folder, POLICY);
    let upstream = provider.address.to_string();
    let envoy = Probed::start(version, folder, &upstream);
    let health = envoy.health;
    wait_for("the policy", || {
        (get(health, "/ready").0 == "200").then_some(())
    });
    for path in [
        "/",
        "/quitquitquit",
        "/stats/prometheus",
        "/stats/../quitquitquit",
        "/stats%2f..%2fconfig_dump",
        "/config_dump",
        "/v1/models",
        "/agentguard/evaluate/",
    ] {
        assert_eq!(get(health, path).0, "404", "{path}");
    }
    for path in ["/stats", "/ready", "/quitquitquit", "/v1/chat/completions"] {
        assert_eq!(curl(health, path, &["-d", "{}"]).0, "405", "{path}");
    }
    // On the listener with the traffic, the filter's paths are like any others.
    let (status, body) = get(envoy.traffic, "/agentguard/policy");
    assert_ne!(status, "200");
    assert!(!body.contains("sha256:"), "{body}");
    assert_eq!(provider.count(), 0);
}
