//! Configurations of `envoy/examples`, with providers that use TLS.

use super::identity::forge::{Authority, Folder, Signer};
use harness::{Answer, Host, Process, Received, Setup, Site, Version, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// Providers of `egress.yaml`: host, path, header of the key, and its value.
const PROVIDERS: [(&str, &str, &str, &str); 5] = [
    (
        "YOUR-RESOURCE.openai.azure.com",
        "/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
        "api-key",
        "azure-key",
    ),
    (
        "openrouter.ai",
        "/api/v1/chat/completions",
        "authorization",
        "Bearer openrouter-key",
    ),
    (
        "api.anthropic.com",
        "/v1/messages",
        "x-api-key",
        "anthropic-key",
    ),
    (
        "generativelanguage.googleapis.com",
        "/v1beta/models/gemini-3:generateContent",
        "x-goog-api-key",
        "gemini-key",
    ),
    (
        "api.openai.com",
        "/v1/chat/completions",
        "authorization",
        "Bearer openai-key",
    ),
];

const KEYS: [&str; 7] = [
    "AZURE_OPENAI_API_KEY=azure-key",
    "OPENROUTER_API_KEY=openrouter-key",
    "ANTHROPIC_API_KEY=anthropic-key",
    "GEMINI_API_KEY=gemini-key",
    "OPENAI_API_KEY=openai-key",
    "AWS_ACCESS_KEY_ID=AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY=example",
];

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new("envoy/examples").join(name)).expect("an example")
}

/// Envoy with an example, of which only the addresses and the paths of files are changed.
struct Running {
    process: Process,
    admin: String,
    address: SocketAddr,
    folder: Folder,
}

impl Running {
    fn start(version: Version, folder: Folder, text: &str, policy: &str) -> Running {
        let home = folder.root();
        let built = Command::new(env!("CARGO_BIN_EXE_agentguard"))
            .args(["build", policy, "--for", "envoy", "--fail-closed", "--wasm"])
            .arg(harness::wasm())
            .args(["--output", &format!("{home}/agentguard.json")])
            .output()
            .expect("the command");
        assert!(built.status.success(), "{built:?}");
        let text = text
            .replace(
                "path: agentguard.json",
                &format!("path: {home}/agentguard.json"),
            )
            .replace("{ path: . }", &format!("{{ path: {home} }}"))
            .replace("/dev/stdout", &format!("{home}/audit.jsonl"))
            .replace("filename: tls/", &format!("filename: {home}/"))
            .replace("port_value: 9901", "port_value: 0")
            .replace("port_value: 10000", "port_value: 0");
        let config = folder.write("envoy.yaml", &text);
        let admin = format!("{home}/admin");
        let program = version.program();
        let keys: Vec<(String, String)> = KEYS
            .iter()
            .filter_map(|key| key.split_once('='))
            .map(|(name, key)| (name.to_owned(), key.to_owned()))
            .collect();
        let mut process = Process::start(
            &[
                &program.to_string_lossy(),
                "-c",
                &config,
                "--config-yaml",
                &example("stats.yaml"),
                "--admin-address-path",
                &admin,
                "--concurrency",
                "1",
                "--log-level",
                "warning",
                "--use-dynamic-base-id",
            ],
            &keys,
            Path::new(&format!("{home}/envoy.log")),
        );
        let (admin, address) = ready(&mut process, &admin);
        Running {
            process,
            admin,
            address,
            folder,
        }
    }

    /// Sends a JSON body; returns the status and the body of the response.
    fn post(&self, path: &str, body: &Value, options: &[&str]) -> (String, String) {
        let (url, body) = (format!("http://{}{path}", self.address), body.to_string());
        let mut arguments = vec!["-d", &*body, "-H", "content-type: application/json"];
        arguments.extend(options);
        arguments.push(&url);
        curl(&arguments)
    }
}

/// Waits until an Envoy accepts requests. Returns the addresses of its admin interface, which it writes to a file, and of its
/// listener.
fn ready(process: &mut Process, admin: &str) -> (String, SocketAddr) {
    let admin = wait_for("Envoy's admin interface", || {
        assert_eq!(process.ended(), None, "{}", process.printed());
        std::fs::read_to_string(admin)
            .ok()
            .filter(|text| !text.is_empty())
    });
    let listeners = wait_for("Envoy to be ready", || {
        assert_eq!(process.ended(), None, "{}", process.printed());
        let (_, ready) = curl(&[&format!("http://{admin}/ready")]);
        ready
            .contains("LIVE")
            .then(|| curl(&[&format!("http://{admin}/listeners")]).1)
    });
    let address = listeners.trim().rsplit("::").next().expect("a listener");
    (admin, address.parse().expect("an address"))
}

/// Returns the status and the body; `000` without a response.
fn curl(arguments: &[&str]) -> (String, String) {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--max-time",
            "30",
            "--write-out",
            "\n%{http_code}",
        ])
        .args(arguments)
        .output()
        .expect("curl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("a status");
    (status.to_owned(), body.to_owned())
}

fn header<'r>(received: &'r Received, name: &str) -> &'r str {
    received.header(name).unwrap_or_default()
}

fn asking(model: &str) -> Value {
    // Each protocol of the egress reads one of these members and ignores the others.
    json!({
        "model": model,
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "My card is 4111 1111 1111 1111"}],
    })
}

#[test]
fn egress_verifies_each_provider_and_sends_its_key_and_nobody_elses() {
    let authority = Authority::new("egress");
    let hosts: Vec<String> = PROVIDERS
        .iter()
        .map(|(host, ..)| format!("DNS:{host}"))
        .collect();
    authority.certificate("server", &hosts.join(","));
    let front = Setup::new(
        Version::Newest,
        vec![Site::bare("tls").tls(authority.server_context())],
    );
    let front = front.start();
    front.provider.answer_always(Answer::json(200, b"{}"));
    let port = front.site("tls").address.port();
    let at = |port: u16| {
        let mut text = example("egress.yaml").replace(
            "/etc/ssl/certs/ca-certificates.crt",
            &format!("{}/ca.pem", authority.folder().root()),
        );
        for (host, ..) in PROVIDERS {
            let (real, double) = (
                format!("address: {host}, port_value: 443"),
                format!("address: 127.0.0.1, port_value: {port}"),
            );
            assert!(text.contains(&real), "{host}");
            text = text.replace(&real, &double);
        }
        text
    };
    let policy = "policies/getting-started.yaml";
    let envoy = Running::start(Version::Newest, Folder::new("egress"), &at(port), policy);
    for (number, (host, path, name, key)) in PROVIDERS.iter().enumerate() {
        let mut body = asking("gpt-4o-mini");
        if host.contains("google") {
            body = json!({"contents": [{"role": "user", "parts": [{"text": "My card is 4111 1111 1111 1111"}]}]});
        }
        let own = [
            "-H",
            "authorization: Bearer of-the-agent",
            "-H",
            "accept-encoding: gzip",
        ];
        let (status, told) = envoy.post(path, &body, &own);
        let log = || envoy.process.printed();
        assert_eq!(status, "200", "{host}: {told} {}", log());
        let received = front.provider.whole(number);
        assert_eq!(received.path, *path);
        assert_eq!(header(&received, name), *key, "{host}");
        assert_eq!(header(&received, "accept-encoding"), "", "{host}");
        let body = String::from_utf8_lossy(&received.body).into_owned();
        assert!(body.contains("My card is [CREDIT_CARD]"), "{host}: {body}");
    }
    let (status, told) = envoy.post("/v1/chat/completions", &asking("o1-pro"), &[]);
    assert_eq!(status, "400", "{told}");
    let (_, metrics) = curl(&[&format!("http://{}/stats/prometheus", envoy.admin)]);
    assert!(metrics.contains("agentguard_requests_total{"), "{metrics}");
    // A client with a valid certificate for another name.
    authority.certificate("server", "DNS:evil.example");
    let other = Setup::new(
        Version::Newest,
        vec![Site::bare("tls").tls(authority.server_context())],
    );
    let other = other.start();
    let port = other.site("tls").address.port();
    let envoy = Running::start(Version::Newest, Folder::new("egress"), &at(port), policy);
    let (status, told) = envoy.post("/v1/chat/completions", &asking("gpt-4o-mini"), &[]);
    assert_eq!(status, "503", "{told}");
    assert!(
        told.contains("TLS") || told.contains("CERTIFICATE") || told.contains("connect"),
        "{told}"
    );
    assert_eq!(other.provider.count(), 0);
}

#[test]
fn egress_to_bedrock_is_signed_after_it_was_redacted() {
    let host = "bedrock-runtime.us-east-1.amazonaws.com";
    let authority = Authority::new("bedrock");
    authority.certificate("server", &format!("DNS:{host}"));
    let front = Setup::new(
        Version::Newest,
        vec![Site::bare("tls").tls(authority.server_context())],
    );
    let front = front.start();
    front.provider.answer_always(Answer::json(200, b"{}"));
    let port = front.site("tls").address.port();
    let text = example("egress-bedrock.yaml")
        .replace(
            "/etc/ssl/certs/ca-certificates.crt",
            &format!("{}/ca.pem", authority.folder().root()),
        )
        .replace(
            &format!("address: {host}, port_value: 443"),
            &format!("address: 127.0.0.1, port_value: {port}"),
        );
    let policy = "policies/getting-started.yaml";
    for version in [Version::Newest, Version::Oldest] {
        let envoy = Running::start(version, Folder::new("bedrock"), &text, policy);
        let body = json!({"messages": [{"role": "user", "content": [{"text": "My card is 4111 1111 1111 1111"}]}]});
        let (status, told) = envoy.post("/model/amazon.nova-lite-v1:0/converse", &body, &[]);
        assert_eq!(status, "200", "{told} {}", envoy.process.printed());
        let received = front.provider.last();
        assert!(
            header(&received, "authorization")
                .starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        );
        let body = String::from_utf8_lossy(&received.body).into_owned();
        assert!(body.contains("[CREDIT_CARD]"), "{body}");
    }
}

#[test]
fn ingress_hears_only_callers_with_a_certificate_or_a_token() {
    let provider = Setup::new(Version::Newest, vec![Site::bare("plain")]).start();
    provider.provider.answer_always(Answer::json(200, b"{}"));
    let port = provider.provider.address.port();
    let plain = |name: &str, of: u16| {
        let text = example(name);
        let real = format!("port_value: {of}");
        assert!(text.contains(&real), "{name}");
        text.replace(&real, &format!("port_value: {port}"))
            .replace("address: localhost", "address: 127.0.0.1")
    };
    let policy = "policies/getting-started.yaml";
    for version in [Version::Newest, Version::Oldest] {
        let authority = Authority::new("ingress");
        let folder = Folder::new("ingress");
        authority.certificate("client", "URI:spiffe://td/ns/a/sa/b");
        let own = authority.folder().root();
        for (from, to) in [
            ("server.pem", "server.crt"),
            ("server.key", "server.key"),
            ("ca.pem", "ca.crt"),
        ] {
            std::fs::copy(format!("{own}/{from}"), format!("{}/{to}", folder.root()))
                .expect("a copy");
        }
        let envoy = Running::start(version, folder, &plain("ingress-mtls.yaml", 8080), policy);
        let url = format!("https://localhost:{}/v1/models", envoy.address.port());
        let (ca, cert, key) = (
            format!("{own}/ca.pem"),
            format!("{own}/client.pem"),
            format!("{own}/client.key"),
        );
        assert_eq!(
            curl(&["--cacert", &ca, &url]).0,
            "000",
            "without a certificate"
        );
        let known = curl(&["--cacert", &ca, "--cert", &cert, "--key", &key, &url]);
        assert_eq!(known.0, "200", "{} {}", known.1, envoy.folder.root());

        let signer = Signer::new("ingress");
        let folder = Folder::new("ingress");
        folder.write("jwks.json", &signer.key_set().to_string());
        let envoy = Running::start(version, folder, &plain("ingress-jwt.yaml", 8080), policy);
        let asked = asking("gpt-4o-mini");
        assert_eq!(envoy.post("/v1/chat/completions", &asked, &[]).0, "401");
        let claims = json!({"iss": "https://idp.example.com", "aud": "agents", "sub": "u", "exp": 4_000_000_000_u64});
        let token = format!("authorization: Bearer {}", signer.token(&claims));
        let known = envoy.post("/v1/chat/completions", &asked, &["-H", &token]);
        assert_eq!(known.0, "200", "{}", known.1);
        let url = format!("http://{}/v1/chat/completions", envoy.address);
        let origin = |origin: &str| {
            let origin = format!("origin: {origin}");
            curl(&[
                "-i",
                "-X",
                "OPTIONS",
                "-H",
                &origin,
                "-H",
                "access-control-request-method: POST",
                &url,
            ])
            .1
        };
        assert!(
            origin("https://app.example.com")
                .contains("access-control-allow-origin: https://app.example.com")
        );
        assert!(!origin("https://evil.example").contains("access-control-allow-origin"));
    }
}

#[test]
fn models_tools_and_agents_are_reached_through_their_gateways() {
    let provider = Setup::new(Version::Newest, vec![Site::bare("plain")]).start();
    let port = provider.provider.address.port();
    let call = |tool: &str| json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": {
        "kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "My card is 4111 1111 1111 1111"}],
    }}});
    for version in [Version::Newest, Version::Oldest] {
        let start = |name: &str, ports: &[u16], policy: &str| {
            let mut text = example(name).replace("address: localhost", "address: 127.0.0.1");
            for of in ports {
                let real = format!("port_value: {of}");
                assert!(text.contains(&real), "{name} {of}");
                text = text.replace(&real, &format!("port_value: {port}"));
            }
            Running::start(version, Folder::new("gateway"), &text, policy)
        };
        provider.provider.answer_always(Answer::json(200, b"{}"));
        let envoy = start(
            "quick-start.yaml",
            &[11434],
            "policies/getting-started.yaml",
        );
        let (status, told) = envoy.post("/api/chat", &asking("llama"), &[]);
        assert_eq!(status, "200", "{told}");
        assert!(String::from_utf8_lossy(&provider.provider.last().body).contains("[CREDIT_CARD]"));
        let envoy = start("a2a.yaml", &[9999], "policies/getting-started.yaml");
        let (status, told) = envoy.post("/", &message, &[]);
        assert_eq!(status, "200", "{told}");
        assert!(String::from_utf8_lossy(&provider.provider.last().body).contains("[CREDIT_CARD]"));
        provider.provider.answer_always(Answer::json(
            200,
            br#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#,
        ));
        let envoy = start(
            "mcp-gateway.yaml",
            &[3001, 3002],
            "policies/mcp-gateway.yaml",
        );
        let (status, told) = envoy.post("/mcp/github", &call("get_issue"), &[]);
        assert_eq!(status, "200", "{told}");
        assert_eq!(provider.provider.last().path, "/mcp");
        let (_, told) = envoy.post("/mcp/github", &call("delete_repo"), &[]);
        assert!(told.contains("AG3"), "{told}");
        // Where headers are forwarded at once, the server has the headers and nothing of the body.
        let received = provider.provider.received();
        let got = |word: &str| {
            received
                .iter()
                .any(|request| String::from_utf8_lossy(&request.body).contains(word))
        };
        assert!(got("get_issue") && !got("delete_repo"));
    }
}

#[test]
fn a_folder_of_init_runs_as_its_page_says() {
    for version in [Version::Newest, Version::Oldest] {
        folder_of_init_runs(version, Host::Wasm);
    }
}

/// Creates a folder for a host, and runs Envoy in it.
pub(crate) fn folder_of_init_runs(version: Version, host: Host) {
    let home = Folder::new("init");
    let made = format!("{}/guard", home.root());
    let (options, module) = match host {
        Host::Wasm => (&["--wasm"][..], harness::wasm()),
        Host::Native => (&["--host", "native", "--module"][..], harness::native()),
    };
    let output = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(["init", &made, "--upstream", "http://127.0.0.1:9"])
        .args(options)
        .arg(&module)
        .output()
        .expect("the command");
    assert!(output.status.success(), "{output:?}");
    let readme = std::fs::read_to_string(format!("{made}/README.md")).expect("a page");
    assert!(readme.contains("`envoy -c envoy.json`"), "{readme}");
    let config = std::fs::read_to_string(format!("{made}/envoy.json")).expect("a configuration");
    let any_port = |config: String, port: u16| {
        config.replace(&format!("\"port_value\": {port}"), "\"port_value\": 0")
    };
    let config = [9901, 9902, 10000].into_iter().fold(config, any_port);
    std::fs::write(format!("{made}/envoy.json"), config).expect("a file");
    let program = version.program();
    let admin = format!("{made}/admin");
    let script = format!(
        "cd '{made}' && exec '{}' -c envoy.json --admin-address-path admin --concurrency 1 --log-level warning --use-dynamic-base-id",
        program.display()
    );
    let mut process = Process::start(
        &["/bin/sh", "-c", &script],
        &[],
        Path::new(&format!("{made}/log")),
    );
    let (admin, _) = ready(&mut process, &admin);
    let listeners = curl(&[&format!("http://{admin}/listeners")]).1;
    let listener = |name: &str| {
        let mut lines = listeners.lines();
        let address = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix("::"));
        address.expect("a listener")
    };
    let health = format!("http://{}/ready", listener("health"));
    wait_for("the policy", || (curl(&[&health]).0 == "200").then_some(()));
    let body = asking("o1-pro").to_string();
    let url = format!("http://{}/v1/chat/completions", listener("agents"));
    let (status, told) = curl(&["-d", &body, "-H", "content-type: application/json", &url]);
    assert_eq!(status, "400", "{told}");
    assert!(told.contains("Pro models are not for agents"), "{told}");
    let metrics = format!("http://{admin}/stats/prometheus");
    wait_for("the metrics", || {
        let (_, page) = curl(&[&metrics]);
        page.contains("\nagentguard_requests_total{").then_some(())
    });
}

/// Returns a command of the systemd unit, by the name of its line.
fn command_of_unit(name: &str) -> String {
    let unit = std::fs::read_to_string("deploy/systemd/agentguard-envoy.service").expect("a unit");
    let line = unit.lines().find_map(|line| line.strip_prefix(name));
    line.expect("a command").to_owned()
}

#[test]
fn the_unit_of_systemd_starts_an_envoy_whose_log_can_be_rotated() {
    let folder = Folder::new("systemd");
    let home = folder.root();
    let agentguard = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_agentguard"))
            .args(arguments)
            .output()
            .expect("the command");
        assert!(output.status.success(), "{output:?}");
    };
    let wasm = harness::wasm();
    let policy = "policies/getting-started.yaml";
    let discovery = format!("{home}/agentguard.json");
    let build = ["build", policy, "--for", "envoy", "--output", &discovery];
    agentguard(&[&build[..], &["--wasm", &wasm.to_string_lossy()]].concat());
    // As in docs/operations.md.
    let log = format!("{home}/audit.jsonl");
    let config = format!("{home}/envoy.json");
    agentguard(&[
        "build",
        policy,
        "--for",
        "envoy",
        "--bootstrap",
        "--watch",
        &discovery,
        "--audit-log",
        &log,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--upstream",
        "http://127.0.0.1:9",
        "--output",
        &config,
    ]);
    let admin = format!("{home}/admin");
    for version in [Version::Newest, Version::Oldest] {
        let program = version.program();
        let here = |command: &str| {
            command
                .replace("/usr/local/bin/envoy", &program.to_string_lossy())
                .replace("/etc/agentguard", &home)
        };
        let checks = here(&command_of_unit("ExecStartPre="));
        let checked = Command::new("/bin/sh").args(["-c", &checks]).output();
        let checked = checked.expect("Envoy");
        assert!(checked.status.success(), "{checked:?}");

        let _ = std::fs::remove_file(&admin);
        let _ = std::fs::remove_file(&log);
        let starts = here(&command_of_unit("ExecStart="));
        let starts = format!(
            "exec {starts} --admin-address-path {admin} --concurrency 1 --use-dynamic-base-id"
        );
        let mut process = Process::start(
            &["/bin/sh", "-c", &starts],
            &[],
            Path::new(&format!("{home}/log")),
        );
        let (at, address) = ready(&mut process, &admin);
        let denied = || {
            let body = asking("o1-pro").to_string();
            let url = format!("http://{address}/v1/chat/completions");
            curl(&["-d", &body, "-H", "content-type: application/json", &url]).0
        };
        let events = |path: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.lines().count()
        };
        assert_eq!(denied(), "400");
        wait_for("an event", || (events(&log) == 1).then_some(()));
        let rotated = format!("{log}-20261122");
        std::fs::rename(&log, &rotated).expect("it is renamed");
        let mut signal = Command::new("kill");
        signal.args(["-USR1", &process.id.to_string()]);
        assert!(signal.status().expect("kill").success());
        wait_for("a new file", || Path::new(&log).exists().then_some(()));
        assert_eq!(denied(), "400");
        wait_for("its event", || (events(&log) == 1).then_some(()));
        agentguard(&["audit", "verify", &rotated, &log]);

        // What is running may end before the signal.
        let stops = command_of_unit("ExecStop=-");
        let stops = stops.replace("127.0.0.1:9901", &at.to_string());
        let stopped = Command::new("/bin/sh")
            .args(["-c", &stops.replace("sleep 60", "echo drained")])
            .output()
            .expect("the command");
        assert!(stopped.stdout.ends_with(b"drained\n"), "{stopped:?}");
        assert_eq!(denied(), "400");
    }
}

#[test]
fn the_examples_know_every_label_of_metrics() {
    let text = example("stats.yaml");
    for label in agentguard::metrics::label_names() {
        let pattern = agentguard::metrics::tag_pattern(label);
        assert!(
            text.contains(&format!("{{ tag_name: {label}, regex: '{pattern}' }}")),
            "{label}"
        );
    }
}
