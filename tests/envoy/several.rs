//! Several Envoys that share a token budget: the configuration of `envoy/ratelimit`, in Envoys with Envoy's own rate limit
//! service and Redis. `make test-mesh` runs it.

use crate::identity::forge::{Folder, Signer};
use crate::identity::jwt_authn;
use crate::scene::{answers, policy, says, with};
use agentguard::author::parse_yaml;
use harness::{
    Envoy, Http, Process, Request, Setup, Site, Version, free_port, rate_limit_service, wait_for,
};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const ISSUER: &str = "https://login.example.com";

/// Returns a file of `envoy/ratelimit` as JSON.
fn shipped(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/ratelimit");
    let text = std::fs::read_to_string(path.join(name)).expect("a file");
    let mut json = Vec::new();
    parse_yaml(&text).expect("YAML").write_json(&mut json);
    serde_json::from_slice(&json).expect("JSON")
}

/// Envoy's rate limit service with a Redis of its own.
struct Service {
    folder: Folder,
    redis: u16,
    port: u16,
    processes: Vec<Process>,
}

impl Service {
    /// Starts the service with the shipped budgets, changed to this number of tokens.
    fn start(tokens: u32) -> Service {
        let folder = Folder::new("ratelimit");
        let mut budgets = shipped("budgets.yaml");
        budgets["descriptors"][0]["rate_limit"]["requests_per_unit"] = json!(tokens);
        let config = Path::new(&folder.root()).join("config");
        std::fs::create_dir_all(&config).expect("a folder");
        std::fs::write(config.join("budgets.yaml"), budgets.to_string()).expect("a file");
        let (redis, port) = (free_port(), free_port());
        let log = |name: &str| Path::new(&folder.root()).join(name);
        let port_of_redis = redis.to_string();
        let database = Process::start(
            &[
                "redis-server",
                "--port",
                &port_of_redis,
                "--save",
                "",
                "--bind",
                "127.0.0.1",
            ],
            &[],
            &log("redis.log"),
        );
        let mut service = Service {
            folder,
            redis,
            port,
            processes: vec![database],
        };
        wait_for("Redis", || {
            (service.ask(&["ping"])? == "PONG").then_some(())
        });
        let program = rate_limit_service();
        let program = program.to_string_lossy();
        let variables = [
            ("REDIS_SOCKET_TYPE", "tcp".to_owned()),
            ("REDIS_URL", format!("127.0.0.1:{redis}")),
            ("USE_STATSD", "false".to_owned()),
            ("RUNTIME_ROOT", service.folder.root()),
            ("RUNTIME_SUBDIRECTORY", ".".to_owned()),
            ("RUNTIME_WATCH_ROOT", "false".to_owned()),
            ("GRPC_PORT", port.to_string()),
            ("PORT", free_port().to_string()),
            ("DEBUG_PORT", free_port().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let log = Path::new(&service.folder.root()).join("service.log");
        service
            .processes
            .push(Process::start(&[&program], &variables, &log));
        wait_for("the service", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        service
    }

    /// Returns the response of Redis.
    fn ask(&self, words: &[&str]) -> Option<String> {
        let port = self.redis.to_string();
        let asked = Command::new("redis-cli")
            .args(["-p", &port])
            .args(words)
            .output();
        let answer = String::from_utf8(asked.ok()?.stdout).ok()?;
        Some(answer.trim().to_owned())
    }

    /// Returns the tokens that a tenant has used in all Envoys.
    fn used(&self, tenant: &str) -> u64 {
        let keys = self.ask(&["--scan", "--pattern", &format!("*_{tenant}_*")]);
        let keys = keys.unwrap_or_default();
        let used = keys
            .lines()
            .filter_map(|key| self.ask(&["get", key])?.parse::<u64>().ok());
        used.sum()
    }
}

/// Returns an Envoy with the shipped configuration, whose rate limit service is at this port.
fn envoy(version: Version, signer: &Signer, port: u16) -> Envoy {
    let mut shipped = shipped("envoy.yaml");
    let mut cluster = shipped["clusters"][0].take();
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] =
        json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    let site = Site::new("all", &with(policy(json!([])), json!({"require": "none"})))
        .behind_filters(vec![
            jwt_authn(&[(ISSUER, signer)]),
            shipped["http_filters"][0].take(),
        ])
        .per_filter(shipped["typed_per_filter_config"].take());
    let envoy = Setup::new(version, vec![site]).cluster(cluster).start();
    // Each response reports seven tokens.
    envoy.provider.answer_always(answers("Hello"));
    envoy
}

#[test]
#[ignore = "`make test-mesh` runs it: it needs Redis and Envoy's rate limit service"]
fn several_envoys_share_a_budget_of_tokens() {
    let signer = Signer::new("several");
    let mut service = Service::start(20);
    let envoys =
        [Version::Newest, Version::Oldest].map(|version| envoy(version, &signer, service.port));
    let ask = |at: usize, tenant: &str| {
        let claims =
            json!({"iss": ISSUER, "exp": 4_102_444_800_u64, "sub": "ann", "tenant": tenant});
        let token = format!("Bearer {}", signer.token(&claims));
        let request = Request::chat(says("hi")).header("authorization", token);
        envoys[at].site("all").send(Http::One, &request)
    };
    // The tokens of an exchange are charged once it has ended, a moment after the client has its response.
    for (at, used) in [(0, 7), (1, 14), (0, 21)] {
        assert_eq!(ask(at, "acme").status, 200);
        wait_for("the charge", || {
            (service.used("acme") == used).then_some(())
        });
    }
    for at in [0, 1] {
        let denied = ask(at, "acme");
        assert_eq!(denied.status, 429);
        assert_eq!(denied.header("x-ratelimit-remaining"), Some("0"));
        let reset = denied
            .header("x-ratelimit-reset")
            .expect("when to try again");
        assert!(reset.parse::<u64>().is_ok_and(|reset| reset <= 3_600));
    }
    // The denied request was not charged, and another tenant has a budget of its own.
    assert_eq!(service.used("acme"), 21);
    assert_eq!(ask(1, "beta").status, 200);
    wait_for("the charge", || (service.used("beta") == 7).then_some(()));
    // Without the service the remaining budget is unknown, so nothing passes.
    service.processes.pop();
    wait_for("the service to be gone", || {
        (ask(0, "beta").status == 500).then_some(())
    });
    let before = envoys[0].provider.count();
    assert_eq!(ask(0, "acme").status, 500);
    assert_eq!(envoys[0].provider.count(), before);
}
