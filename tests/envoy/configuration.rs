//! Plugin configuration: how a policy reaches the filter.

use crate::health::curl;
use crate::identity::forge::Folder;
use crate::scene::{
    Mode, answers, forbidden, in_mode, mask_cards, no_weapons, policy, refusal, says, with,
};
use harness::{
    Answer, Configuration, Host, Http, Process, Provider, Request, Setup, Site, Version, free_port,
    wait_for,
};
use serde_json::{Value, json};
use std::process::Command;

in_both_envoys![
    a_policy_is_the_same_as_text_and_as_a_struct,
    envoy_neither_starts_nor_goes_on_with_a_policy_that_can_t_be_put_in_force,
    policies_side_by_side_do_not_disturb_each_other,
    the_environment_comes_from_the_configured_source,
    envoy_takes_what_build_writes,
    what_build_writes_knows_a_trusted_proxy_by_its_connection,
];

fn a_policy_is_the_same_as_text_and_as_a_struct(version: Version) {
    let numbers = json!({
        "id": "large",
        "match": {"tool": "issue_refund"},
        "when": {"args.amount": {"greater_than": 100.5}, "args.count": {"in": [1, -2, 30_000_000]}},
        "action": "deny",
        "tags": ["a", "b"],
    });
    let policy = policy(json!([no_weapons(), mask_cards(), numbers]));
    let mut sites = Vec::new();
    for mode in Mode::BOTH {
        let policy = in_mode(&policy, mode);
        let pretty = serde_json::to_string_pretty(&policy).expect("a policy");
        for (form, configuration) in [
            ("text", Configuration::Text(policy.to_string())),
            ("pretty", Configuration::Text(format!("\n\t{pretty}\n"))),
            ("struct", Configuration::Struct(policy)),
        ] {
            let site = Site::bare(&format!("{}-{form}", mode.word()))
                .stop_iteration(mode == Mode::Hold)
                .configured(configuration);
            sites.push(site);
        }
    }
    let envoy = Setup::new(version, sites).lease();
    envoy.provider.answer_always(answers("4111 1111 1111 1111"));
    for mode in Mode::BOTH {
        let mut versions = Vec::new();
        for form in ["text", "pretty", "struct"] {
            let site = envoy.site(&format!("{}-{form}", mode.word()));
            refusal(&site.send(Http::One, &forbidden()), 400, "AG3001");
            let response = site.send(Http::One, &Request::chat(says("hello")));
            assert!(String::from_utf8_lossy(&response.body).contains("[CREDIT_CARD]"));
            let record = site.records.next();
            versions.push(record["policy"]["version"].clone());
        }
        assert_eq!(versions[0], versions[1]);
        assert_eq!(versions[0], versions[2]);
    }
}

fn envoy_neither_starts_nor_goes_on_with_a_policy_that_can_t_be_put_in_force(version: Version) {
    let good = policy(json!([]));
    let text = |text: &str| Configuration::Text(text.to_owned());
    let rule = |rule: Value| text(&policy(json!([rule])).to_string());
    let huge = with(good.clone(), json!({"inspect": {"max_depth": 1e300}}));
    let bad: Vec<(&str, Configuration, &str)> = vec![
        ("no configuration", Configuration::Absent, "AG1003"),
        ("an empty text", text(""), "AG1003"),
        ("YAML", text("kind: AgentPolicy"), "AG1001"),
        (
            "half a document",
            text("{\"kind\": \"AgentPolicy\""),
            "AG1001",
        ),
        (
            "a key twice",
            text("{\"kind\":\"AgentPolicy\",\"kind\":\"x\"}"),
            "AG1002",
        ),
        ("no policy", text("{\"a\":1}"), "AG1003"),
        (
            "another kind",
            Configuration::Struct(with(good.clone(), json!({"kind": "Deployment"}))),
            "AG1003",
        ),
        (
            "a misspelt key",
            rule(json!({"id": "x", "wen": {}, "action": "deny"})),
            "did you mean `when`",
        ),
        (
            "an unknown action",
            rule(json!({"id": "x", "action": "deni"})),
            "AG1007",
        ),
        ("a number that is none", Configuration::Struct(huge), "AG1"),
        (
            "a pattern that is none",
            rule(
                json!({"id": "x", "match": {"event": "message"}, "when": {"text": {"matches": "("}}, "action": "deny"}),
            ),
            "AG1013",
        ),
        (
            "a key that is not there",
            text(&with(good.clone(), json!({"audit": {"key": "env:NO_SUCH_KEY"}})).to_string()),
            "AG1022",
        ),
    ];
    let is_told = |name: &str, printed: &str, reason: &str| {
        assert!(
            printed.contains("configuration rejected"),
            "{name}: {printed}"
        );
        assert!(printed.contains(reason), "{name}: {printed}");
        assert!(!printed.contains("panicked"), "{name}: {printed}");
    };
    for (number, (name, configuration, reason)) in bad.into_iter().enumerate() {
        let site = Site::new(&format!("refused-{number}"), &good).configured(configuration);
        let setup = Setup::new(version, vec![site]);
        if number == 0 {
            let (status, printed) = setup.clone().fail_to_start();
            assert!(!status.success(), "{name}: {status}");
            is_told(name, &printed, reason);
        }
        is_told(name, &setup.refused(), reason);
    }
}

fn policies_side_by_side_do_not_disturb_each_other(version: Version) {
    // All of them share one VM per worker: state of one policy must not affect another.
    let rule = |word: &str| {
        json!({
            "id": format!("no-{word}"),
            "match": {"event": "message"},
            "when": {"text": {"contains": word}},
            "action": "deny",
        })
    };
    let words = ["alpha", "beta", "gamma", "delta"];
    let sites = words
        .iter()
        .map(|word| Site::new(word, &policy(json!([rule(word)]))))
        .collect();
    let envoy = Setup::new(version, sites).workers(2).lease_apart();
    envoy.provider.answer_always(answers("Hello"));
    for word in words {
        for other in words {
            // Each connection may be handled by another worker.
            for http in Http::BOTH {
                let response = envoy.site(word).send(http, &Request::chat(says(other)));
                if word == other {
                    let error = refusal(&response, 400, "AG3001");
                    assert_eq!(error["agentguard"]["rule"], format!("no-{word}"));
                } else {
                    assert_eq!(response.status, 200, "{other} under the policy on {word}");
                }
            }
        }
    }
    let mut versions = Vec::new();
    for word in words {
        let record = envoy.site(word).records.next();
        versions.push(record["policy"]["version"].to_string());
    }
    versions.dedup();
    assert_eq!(versions.len(), words.len());
}

fn the_environment_comes_from_the_configured_source(version: Version) {
    let production = json!({
        "id": "not-in-production",
        "match": {"event": "message", "environment": "prod"},
        "action": "deny",
    });
    let site = |name: &str, environment: Value| {
        let policy = with(
            policy(json!([production])),
            json!({"environment": environment}),
        );
        Site::new(name, &policy).variable("STAGE")
    };
    let envoy = Setup::new(
        version,
        vec![
            site("prod", json!("prod")),
            site("test", json!({"value": "test"})),
            site("from-variable", json!({"from": "env:STAGE"})),
            site("from-node", json!({"from": "node"})),
            // An unset variable is unknown, and a deny-side rule matches it.
            site("unset", json!({"from": "env:NO_SUCH_STAGE"})),
            site(
                "otherwise",
                json!({"from": "env:NO_SUCH_STAGE", "otherwise": "test"}),
            ),
        ],
    )
    .variable("STAGE", "prod")
    .start();
    envoy.provider.answer_always(answers("Hello"));
    for (name, status) in [
        ("prod", 400),
        ("test", 200),
        ("from-variable", 400),
        // Envoy does not expose its node to a dynamic module.
        (
            "from-node",
            match Host::of_run() {
                Host::Wasm => 200,
                Host::Native => 400,
            },
        ),
        ("unset", 400),
        ("otherwise", 200),
    ] {
        let response = envoy
            .site(name)
            .send(Http::One, &Request::chat(says("hello")));
        assert_eq!(response.status, status, "{name}");
    }
}

/// Returns the arguments of an Envoy with the output of `build --bootstrap` for a policy, and the port of its traffic.
fn built(folder: &Folder, policy: &Value, upstream: &str) -> (Vec<String>, u16) {
    let [admin, traffic] = [(); 2].map(|()| free_port());
    let policy = folder.write("policy.json", &policy.to_string());
    let output = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(["build", &policy, "--for", "envoy", "--bootstrap"])
        .args(Host::of_run().build_options())
        .args(["--upstream", &format!("http://{upstream}")])
        .args(["--admin", &format!("127.0.0.1:{admin}")])
        .args(["--listen", &format!("127.0.0.1:{traffic}")])
        .output()
        .expect("the command");
    assert!(output.status.success(), "{output:?}");
    let config = folder.write("envoy.json", &String::from_utf8_lossy(&output.stdout));
    let arguments = [
        "-c",
        &config,
        "--log-level",
        "warning",
        "--concurrency",
        "1",
        "--use-dynamic-base-id",
    ];
    (arguments.map(str::to_owned).to_vec(), traffic)
}

/// Proxies in front write the client's address into `x-forwarded-for`. It does not take the place of theirs.
fn what_build_writes_knows_a_trusted_proxy_by_its_connection(version: Version) {
    let provider = Provider::start();
    provider.answer_always(Answer::json(200, b"{\"object\":\"list\",\"data\":[]}"));
    let policy = json!({
        "apiVersion": "agentguard.dev/v1",
        "kind": "AgentPolicy",
        "metadata": {"name": "edge"},
        "require": "identity",
        "principals": [{"name": "edge", "header": {"id": "x-user", "trusted": ["127.0.0.0/8"]}}],
        "defaults": {"action": "allow", "tool_call": "allow"},
    });
    let folder = Folder::new("edge");
    let (arguments, port) = built(&folder, &policy, &provider.address.to_string());
    let program = version.program().to_string_lossy().into_owned();
    let mut command = vec![program.as_str()];
    command.extend(arguments.iter().map(String::as_str));
    let log = format!("{}/envoy.log", folder.root());
    let mut envoy = Process::start(&command, &[], std::path::Path::new(&log));
    let headers = [
        "--header",
        "host: api.openai.com",
        "--header",
        "x-user: ann",
        "--header",
        "x-forwarded-for: 192.0.2.7",
    ];
    let answered = wait_for("the listener", || {
        assert_eq!(envoy.ended(), None, "{}", envoy.printed());
        let (answered, _) = curl(port, "/v1/models", &headers);
        (answered != "000").then_some(answered)
    });
    assert_eq!(answered, "200");
    // The provider is not told more about the client than the proxies in front have said.
    assert_eq!(provider.count(), 1);
    let received = provider.last();
    let values = |name: &str| {
        let headers = received.headers.iter();
        let values = headers.filter(|(known, _)| known == name);
        values.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(values("x-forwarded-for"), [b"192.0.2.7".to_vec()]);
    assert_eq!(values("x-envoy-external-address"), Vec::<Vec<u8>>::new());
}

/// Certificate authority whose key does not exist.
const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUbs8zfJao5ERLY0eM7BO9aRmu+QcwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjExOTE0NDNaGA8yMTI2MTAyODE5MTQ0
M1owDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFcL
vs/vYw6aznxehYHczeLqve5HS5sYpSZdtfvtg+GTScNKYeExWnGzbfklAnbDV9Rp
Xf1rZKLE9uexnGdKXESjUzBRMB0GA1UdDgQWBBShfAjcHwD6JcVHETt0tz6JXsAi
cDAfBgNVHSMEGDAWgBShfAjcHwD6JcVHETt0tz6JXsAicDAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIQCtYHsalFRG9EDfU3vj5qCEAdFw3fVfYxTf
fkNYt214UQIgNXHIP8qXooGIytTpdEJACYcidXfQyMVkrPkJSF49x+E=
-----END CERTIFICATE-----
";

fn envoy_takes_what_build_writes(version: Version) {
    let home = std::env::temp_dir().join(format!("agentguard-built-{}", std::process::id()));
    std::fs::create_dir_all(&home).expect("a directory");
    let authority = home.join("authority.pem");
    std::fs::write(&authority, AUTHORITY).expect("a file");
    let policy = "policies/getting-started.yaml";
    let build = |options: &[&str]| {
        let built = Command::new(env!("CARGO_BIN_EXE_agentguard"))
            .args(["build", policy, "--for", "envoy"])
            .args(Host::of_run().build_options())
            .args(options)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("the command");
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{options:?}: {errors}");
        built.stdout
    };
    let filter = home.join(format!("{version:?}-filter.json"));
    std::fs::write(&filter, build(&[])).expect("a file");
    let [authority, filter] = [&authority, &filter].map(|path| path.to_string_lossy());
    for options in [
        &["--upstream", "https://api.openai.com"][..],
        &["--upstream", "http://127.0.0.1:8080/"],
        &["--upstream", "http://[::1]:8080"],
        &["--watch", &filter],
    ] {
        let built = build(&[&["--bootstrap", "--trusted-ca", &authority], options].concat());
        let config = home.join(format!("{version:?}.json"));
        std::fs::write(&config, built).expect("a file");
        assert_eq!(version.refuses(&config), None, "{options:?}");
    }
}
