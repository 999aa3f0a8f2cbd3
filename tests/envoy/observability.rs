//! Alerts, dashboards and queries over the metrics of a real Envoy, in a real Prometheus. `make test-observability` runs
//! them: they need Prometheus and promtool.

use crate::approvals::refunds;
use crate::health::{Probed, get};
use crate::identity::forge;
use crate::kill::KillFile;
use crate::scene::{
    Mode, answers, calls, forbidden, in_mode, mask_cards, no_weapons, policy, says, with,
};
use agentguard::metrics::{METRICS, label_names, tag_pattern};
use harness::{
    Answer, Configuration, Envoy, Http, Process, Provider, Request, Setup, Site, Version,
    free_port, replace_watched, wait_for,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ACME: &str = "agk_0123456789abcdef";
const BETA: &str = "agk_fedcba9876543210";

/// Number of requests of each kind in one bad round: more than the alerts tolerate.
const MANY: usize = 30;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Envoy with traffic for every metric.
struct Scene {
    envoy: Envoy,
    kill: KillFile,
}

impl Scene {
    fn start(name: &str) -> Scene {
        let kill = KillFile::new(name, Version::Newest);
        let hold = |name: &str, policy: Value| Site::new(name, &in_mode(&policy, Mode::Hold));
        let no_delete =
            json!({"id": "no-delete", "match": {"tool": "delete_customer"}, "action": "deny"});
        let keys = json!([{"name": "key", "api_key": {"header": ["x-agent-key"], "keys": [
            {"sha256": forge::hash(ACME), "client": "acme"},
            {"sha256": forge::hash(BETA), "client": "beta"},
        ]}}]);
        let main = with(
            policy(json!([no_weapons(), mask_cards(), no_delete])),
            json!({"require": "identity", "principals": keys}),
        );
        let few = json!({"id": "few", "action": "deny", "limit": {"count": "requests", "max": 2, "window": "24h"}});
        let limited = with(policy(json!([few])), json!({"require": "none"}));
        let observed = with(
            policy(json!([no_weapons(), mask_cards()])),
            json!({"mode": "observe"}),
        );
        let sites = vec![
            hold("main", main).behind_filters(vec![kill.filter()]),
            hold("limited", limited),
            hold("refunds", refunds()),
            hold("observed", observed),
            hold("watched", policy(json!([]))).watched(),
        ];
        let names = label_names().into_iter();
        let tags = names.map(|name| (name, tag_pattern(name))).collect();
        let envoy = Setup::new(Version::Newest, sites).tags(tags).start();
        envoy.provider.answer_always(answers("Hello"));
        wait_for("the policies to be counted", || {
            let text = envoy.get("/stats/prometheus");
            (text.matches("\nagentguard_policy_info{").count() == 6).then_some(())
        });
        Scene { envoy, kill }
    }

    fn send(&self, site: &str, request: Request) -> u16 {
        self.envoy.site(site).send(Http::One, &request).status
    }

    fn quiet_round(&self) {
        let hello = || Request::chat(says("hello"));
        assert_eq!(self.send("main", hello().header("x-agent-key", BETA)), 200);
        for site in ["limited", "refunds", "watched"] {
            assert_eq!(self.send(site, hello()), 200, "{site}");
        }
    }

    fn bad_round(&self) {
        let keyed = |key: &str, request: Request| request.header("x-agent-key", key);
        for _ in 0..MANY {
            assert_eq!(self.send("main", Request::chat(says("hello"))), 401);
            let broken = keyed(ACME, Request::chat(b"{".to_vec()));
            assert_eq!(self.send("main", broken), 400);
            self.send("limited", Request::chat(says("hello")));
        }
        assert_eq!(self.send("main", keyed(ACME, forbidden())), 400);
        assert_eq!(self.send("observed", forbidden()), 200);
        let card = Request::chat(says("4111 1111 1111 1111"));
        assert_eq!(self.send("main", keyed(BETA, card.clone())), 200);
        assert_eq!(self.send("observed", card), 200);
        let next = |site: &str, answer: Answer, request: Request| {
            self.envoy.provider.answer_next(answer);
            self.send(site, request)
        };
        let hello = || Request::chat(says("hello"));
        let delete = calls(&[("delete_customer", "{}")]);
        next("main", delete, keyed(BETA, hello()));
        next(
            "refunds",
            calls(&[("refund", r#"{"amount": 250}"#)]),
            hello(),
        );
        let slow = Answer::json(
            429,
            br#"{"error":{"message":"slow","type":"rate_limit_exceeded"}}"#,
        );
        next("main", slow, keyed(BETA, hello()));
    }

    /// Returns the filter's samples: the series with the labels of the scrape, and the value.
    fn scrape(&self) -> BTreeMap<String, f64> {
        // Histograms appear with Envoy's next flush.
        wait_for("a flush", || {
            let text = self.envoy.get("/stats/prometheus");
            let (mut requests, mut timed) = (0.0, 0.0);
            let mut samples = BTreeMap::new();
            for line in text.lines().filter(|line| line.starts_with("agentguard_")) {
                let (series, value) = line.rsplit_once(' ')?;
                let value: f64 = value.parse().ok()?;
                if series.starts_with("agentguard_requests_total") {
                    requests += value;
                } else if series.starts_with("agentguard_inspection_microseconds_count") {
                    timed += value;
                }
                let target = r#"instance="envoy",job="envoy""#;
                let series = match series.strip_suffix('}') {
                    None | Some("") => format!("{series}{{{target}}}"),
                    Some(labelled) => format!("{},{target}}}", labelled.trim_end_matches(',')),
                };
                samples.insert(series.replace("{,", "{"), value);
            }
            (requests > 0.0 && requests == timed).then_some(samples)
        })
    }
}

/// Runs promtool with a file on standard input. Returns whether it succeeded, and what it printed.
fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool: `make test-observability` installs it");
    let mut stdin = child.stdin.take().expect("it was piped");
    stdin.write_all(input.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = child.wait_with_output().expect("promtool ends");
    let printed = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&printed).into_owned(),
    )
}

/// Runs `promtool test rules` with a document. promtool reads JSON as YAML.
fn test_rules(document: &Value) {
    let path = std::env::temp_dir().join(format!("agentguard-rules-{}.json", std::process::id()));
    std::fs::write(&path, document.to_string()).expect("a file");
    let (good, printed) = promtool(&["test", "rules", &path.to_string_lossy()], "");
    assert!(good, "{printed}");
    std::fs::remove_file(path).expect("it was written");
}

fn series(series: &str, values: &str) -> Value {
    json!({"series": series, "values": values})
}

/// Returns the expectation that exactly these alerts fire at a minute.
fn fires(minute: u32, alerts: &[&str]) -> Value {
    let samples: Vec<Value> = alerts
        .iter()
        .map(|alert| json!({"labels": format!("{{alertname=\"{alert}\"}}"), "value": 1}))
        .collect();
    json!({
        "expr": "max by (alertname) (ALERTS{alertstate=\"firing\"})",
        "eval_time": format!("{minute}m"),
        "exp_samples": samples,
    })
}

#[test]
#[ignore = "needs Prometheus: make test-observability"]
fn observability_alerts_fire_on_what_a_real_envoy_counted_and_only_then() {
    let scene = Scene::start("alerts");
    scene.quiet_round();
    let first = scene.scrape();
    scene.quiet_round();
    let quiet = scene.scrape();
    scene.bad_round();
    scene
        .kill
        .kill(&["--tool", "rm", "--reason", "It removes."]);
    let mut envoy = scene.envoy;
    let bad = Site::new("watched", &policy(json!([]))).watched();
    envoy.replace(bad.configured(Configuration::Text("{}".to_owned())));
    wait_for(
        "the configuration to be rejected and the kill list to be in force",
        || {
            let text = envoy.get("/stats/prometheus");
            (text.contains("agentguard_config_rejected_total{} 1")
                && text.contains("agentguard_kill_entries{} 1"))
            .then_some(())
        },
    );
    let scene = Scene { envoy, ..scene };
    let bad = scene.scrape();
    scene.bad_round();
    let document = "/resources/0/typed_config/config/configuration/value";
    scene.kill.edit(|resource| {
        *resource.pointer_mut(document).expect("a document") = json!("{");
    });
    wait_for("everything to be denied", || {
        (scene.send("limited", Request::chat(says("hello"))) == 503).then_some(())
    });
    wait_for("the unreadable list to be counted", || {
        let text = scene.envoy.get("/stats/prometheus");
        (text.contains("unreadable")).then_some(())
    });
    let worst = scene.scrape();

    // Two hours of quiet traffic, ten minutes of the bad round, then the worst. Counters that begin with the bad round have
    // no increase in Prometheus before the worst.
    let (quiet_minutes, bad_minutes) = (120.0, 10.0);
    let mut input = vec![series(r#"up{instance="envoy",job="envoy"}"#, "1x200")];
    let names: BTreeSet<&String> = worst.keys().chain(quiet.keys()).collect();
    for name in names {
        let counts = !name.contains("policy_") || name.contains("decisions");
        let counts = counts && !name.contains("kill_entries");
        let values = match (quiet.get(name), bad.get(name), worst.get(name)) {
            (Some(quiet), bad, worst) if counts => {
                let before = first.get(name).copied().unwrap_or(*quiet);
                let step = quiet - before;
                let end = before + step * (quiet_minutes - 1.0);
                let at = |scrape: Option<&f64>| end + scrape.unwrap_or(quiet) - quiet;
                let (bad, worst) = (at(bad), at(worst));
                format!(
                    "{before}+{step}x{} {bad}x{} {worst}x60",
                    quiet_minutes - 1.0,
                    bad_minutes - 1.0
                )
            }
            (quiet, bad, worst) => {
                let part = |scrape: Option<&f64>, minutes: f64| match scrape {
                    Some(value) => format!("{value}x{}", minutes - 1.0),
                    None => format!("_x{minutes}"),
                };
                format!(
                    "{} {} {}",
                    part(quiet, quiet_minutes),
                    part(bad, bad_minutes),
                    part(worst, 60.0)
                )
            }
        };
        input.push(series(name, &values));
    }
    let of = |name: &str, scrape: &BTreeMap<String, f64>| -> Vec<String> {
        scrape
            .keys()
            .filter(|series| series.starts_with(name))
            .cloned()
            .collect()
    };
    // An hour of slow exchanges: the scraped ones, as if each had taken more than a quarter of a second.
    let mut slow: Vec<Value> = of("agentguard_inspection_microseconds_bucket", &worst)
        .iter()
        .map(|name| {
            let bound = name
                .split("le=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            let is_slow = bound.is_some_and(|bound| {
                bound == "+Inf" || bound.parse::<f64>().is_ok_and(|bound| bound >= 250_000.0)
            });
            series(name, if is_slow { "0+10x60" } else { "0x60" })
        })
        .collect();
    assert!(slow.len() > 10);
    slow.push(series(r#"up{instance="envoy",job="envoy"}"#, "1x60"));
    slow.extend(
        of("agentguard_policy_info", &quiet)
            .iter()
            .map(|name| series(name, "1x60")),
    );
    let mut gone = vec![
        series(r#"up{instance="envoy",job="envoy"}"#, "1x30 0x30"),
        series(r#"up{instance="bare",job="envoy"}"#, "1x60"),
    ];
    gone.extend(
        of("agentguard_policy_info", &quiet)
            .iter()
            .map(|name| series(name, "1x30")),
    );
    // A request that failed once, and later all of them.
    let failures = r#"agentguard_kill_feed_failures_total{instance="envoy",reason="status"}"#;
    let feed = [
        series(r#"up{instance="envoy",job="envoy"}"#, "1x60"),
        series(
            r#"agentguard_policy_info{instance="envoy",name="test"}"#,
            "1x60",
        ),
        series(failures, "0x3 1x12 2+180x40"),
    ];
    // One call in ten is denied, and people decide on the others.
    let of_acme = |status: &str| {
        format!(
            r#"agentguard_requests_total{{instance="envoy",client_id="acme",status="{status}"}}"#
        )
    };
    let asked = [
        series(&of_acme("deny"), "0+1x60"),
        series(&of_acme("require_approval"), "0+9x60"),
    ];
    let group = |input: &[Value], expected: Vec<Value>| json!({"interval": "1m", "input_series": input, "promql_expr_test": expected});
    test_rules(&json!({
        "rule_files": [file("envoy/prometheus/alerts.yaml")],
        "evaluation_interval": "1m",
        "tests": [
            group(&input, vec![
                fires(100, &[]),
                fires(128, &[
                    "AgentGuardAuditChainRestarted", "AgentGuardConfigurationRejected", "AgentGuardKillActive",
                ]),
                fires(138, &[
                    "AgentGuardAuthenticationFailures", "AgentGuardClientBlocked",
                    "AgentGuardDenialsRising", "AgentGuardFailing", "AgentGuardKillListUnreadable",
                    "AgentGuardLimitsReached", "AgentGuardUninspectable",
                ]),
            ]),
            group(&feed, vec![fires(8, &[]), fires(30, &["AgentGuardKillFeedUnread"])]),
            group(&asked, vec![fires(50, &[])]),
            group(&slow, vec![fires(3, &[]), fires(30, &["AgentGuardInspectionSlow"])]),
            group(&gone, vec![
                fires(1, &[]),
                fires(20, &["AgentGuardNoPolicy"]),
                fires(50, &["AgentGuardEnvoyDown", "AgentGuardNoPolicy"]),
            ]),
        ],
    }));
}

#[test]
#[ignore = "needs Prometheus: make test-observability"]
fn observability_a_file_without_its_module_fires_an_alert() {
    let provider = Provider::start();
    let folder = forge::Folder::new("gone");
    Probed::deploy(&folder, "policies/getting-started.yaml");
    let envoy = Probed::start(Version::Newest, folder, &provider.address.to_string());
    let file = PathBuf::from(format!("{}/agentguard.json", envoy.folder.root()));
    let rejections = || {
        let (_, page) = get(envoy.health, "/stats");
        let mut lines = page
            .lines()
            .filter(|line| line.contains("agentguard_update_rejected"));
        lines.find_map(|line| {
            line.split_once("{} ")
                .map(|(name, value)| (name.to_owned(), value == "1"))
        })
    };
    let (name, _) = wait_for("the counter", || rejections().filter(|(_, is_one)| !is_one));
    let text = std::fs::read_to_string(&file).expect("the filter");
    assert!(text.contains("agentguard.wasm"));
    let gone: Value =
        serde_json::from_str(&text.replace("agentguard.wasm", "gone.wasm")).expect("JSON");
    replace_watched(&file, &gone);
    wait_for("Envoy to reject the file", || {
        rejections().filter(|(_, is_one)| *is_one)
    });
    test_rules(&json!({
        "rule_files": [self::file("envoy/prometheus/alerts.yaml")],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": [series(&format!("{name}{{instance=\"envoy\",job=\"envoy\"}}"), "0x20 1x40")],
            "promql_expr_test": [
                fires(19, &[]),
                fires(23, &["AgentGuardConfigurationRejected"]),
                fires(50, &[]),
            ],
        }],
    }));
}

#[test]
#[ignore = "needs Prometheus: make test-observability"]
fn observability_alerts_are_well_formed_and_all_tested() {
    let alerts = file("envoy/prometheus/alerts.yaml");
    let (good, printed) = promtool(
        &[
            "check",
            "rules",
            "--lint=all",
            "--lint-fatal",
            &alerts.to_string_lossy(),
        ],
        "",
    );
    assert!(good, "{printed}");
    let here = std::fs::read_to_string(file(file!())).expect("this file");
    let text = std::fs::read_to_string(alerts).expect("the alerts");
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("- alert: "))
        .map(|(_, name)| name)
        .collect();
    assert!(names.len() > 10);
    for name in names {
        assert!(
            here.contains(&format!("\"{name}\"")),
            "{name} is not tested"
        );
    }
}

#[test]
#[ignore = "needs Prometheus: make test-observability"]
fn observability_promtool_has_nothing_against_the_metrics() {
    let scene = Scene::start("lint");
    scene.bad_round();
    scene.scrape();
    // Envoy writes no help texts; they are in docs/metrics.md.
    let mut page = String::new();
    for line in scene.envoy.get("/stats/prometheus").lines() {
        if let Some(rest) = line.strip_prefix("# TYPE agentguard_") {
            let name = rest.split(' ').next().unwrap_or_default();
            let metric = METRICS
                .iter()
                .find(|metric| metric.name == format!("agentguard_{name}"));
            let help = metric.expect("a metric of the table").help;
            page.push_str(&format!("# HELP agentguard_{name} {help}\n{line}\n"));
        } else if line.starts_with("agentguard_") {
            page.push_str(&format!("{line}\n"));
        }
    }
    let (_, printed) = promtool(&["check", "metrics"], &page);
    let complaints: Vec<&str> = printed.lines().filter(|line| !line.is_empty()).collect();
    // Envoy's histograms have integer values, so seconds would be too coarse.
    assert_eq!(
        complaints,
        [
            r#"agentguard_inspection_microseconds use base unit "seconds" instead of "microseconds""#,
            r#"agentguard_request_duration_milliseconds use base unit "seconds" instead of "milliseconds""#,
        ]
    );
}

/// Collects the string values of members with this name in a document.
fn each<'v>(value: &'v Value, name: &str, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value.as_str() {
                    Some(text) if key == name => found.push(text),
                    _ => each(value, name, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| each(item, name, found)),
        _ => {}
    }
}

/// Returns the queries of the dashboards and of docs/metrics.md, each with its source. Variables have the values that
/// Grafana sets.
fn queries() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for board in std::fs::read_dir(file("envoy/grafana")).expect("the dashboards") {
        let path = board.expect("a dashboard").path();
        let text = std::fs::read_to_string(&path).expect("a dashboard");
        let board: Value = serde_json::from_str(&text).expect("JSON");
        let mut expressions = Vec::new();
        each(&board, "expr", &mut expressions);
        assert!(expressions.len() > 5);
        for expression in expressions {
            let mut query = expression.to_owned();
            for (variable, value) in [
                ("$__rate_interval", "30s"),
                ("$__range", "1m"),
                ("$instance", ".*"),
                ("$provider", ".*"),
                ("$type", ".*"),
            ] {
                query = query.replace(variable, value);
            }
            assert!(!query.contains('$'), "{query}");
            found.push((path.display().to_string(), query));
        }
    }
    let page = std::fs::read_to_string(file("docs/metrics.md")).expect("the page");
    for part in page.split("```promql\n").skip(1) {
        let query = part.split("```").next().unwrap_or_default().trim();
        // A query for problems has no result without any.
        if !query.ends_with("> 1") {
            found.push(("docs/metrics.md".to_owned(), query.replace("[5m]", "[30s]")));
        }
    }
    found
}

/// Prometheus that scrapes an Envoy each second.
struct Prometheus {
    url: String,
    folder: PathBuf,
    _process: Process,
}

impl Prometheus {
    fn start(envoy: &Envoy) -> Prometheus {
        let port = free_port();
        let name = format!("agentguard-prometheus-{}-{port}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [file("envoy/prometheus/alerts.yaml")],
            "scrape_configs": [{
                "job_name": "envoy", "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [envoy.admin().to_string()], "labels": {"instance": "envoy"}}],
            }],
        });
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        std::fs::write(folder.join("prometheus.yml"), config.to_string()).expect("a file");
        let process = Process::start(
            &[
                "prometheus",
                &format!("--config.file={}", path("prometheus.yml")),
                &format!("--storage.tsdb.path={}", path("data")),
                &format!("--web.listen-address=127.0.0.1:{port}"),
            ],
            &[],
            &folder.join("log"),
        );
        Prometheus {
            url: format!("http://127.0.0.1:{port}"),
            folder,
            _process: process,
        }
    }

    fn query(&self, query: &str) -> (bool, String) {
        promtool(&["query", "instant", &self.url, query], "")
    }

    /// Waits until Prometheus has scraped Envoy a number of times.
    fn scraped(&self, number: u32) {
        wait_for("a scrape", || {
            let (good, printed) = self.query(&format!(
                "count_over_time(agentguard_policy_info[1m]) >= {number}"
            ));
            (good && !printed.trim().is_empty()).then_some(())
        });
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
#[ignore = "needs Prometheus: make test-observability"]
fn observability_every_query_of_the_dashboards_and_the_docs_has_data() {
    let scene = Scene::start("dashboards");
    scene.quiet_round();
    scene.bad_round();
    let prometheus = Prometheus::start(&scene.envoy);
    prometheus.scraped(2);
    scene.bad_round();
    scene.bad_round();
    prometheus.scraped(6);
    let mut empty = Vec::new();
    for (place, expression) in queries() {
        let (good, printed) = prometheus.query(&expression);
        // `{labels} => value @[time]`
        let has_data = printed
            .lines()
            .any(|line| line.contains("=>") && !line.contains("=> NaN"));
        if !good || !has_data {
            empty.push(format!("{place}: {expression}: {printed}"));
        }
    }
    assert!(empty.is_empty(), "{empty:#?}");
}

#[test]
#[ignore = "needs Prometheus: make test-observability"]
fn observability_prometheus_takes_the_configuration_of_the_compose_file() {
    let folder = forge::Folder::new("compose");
    let made = format!("{}/guard", folder.root());
    let output = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(["init", &made, "--for", "docker"])
        .output()
        .expect("the command");
    assert!(output.status.success(), "{output:?}");
    let config = format!("{made}/monitoring/prometheus.yml");
    let (good, printed) = promtool(&["check", "config", &config], "");
    assert!(good && printed.contains("rules found"), "{printed}");
}

/// Seconds of traffic in the pictures of the dashboards.
const SHOWN: usize = 75;

#[test]
#[ignore = "draws the dashboards: make pictures"]
fn pictures_of_the_dashboards_are_drawn() {
    let scene = Scene::start("pictures");
    let prometheus = Prometheus::start(&scene.envoy);
    prometheus.scraped(2);
    // Quiet traffic, and after a third of the time also occasional failures of every kind.
    let hello = || Request::chat(says("hello"));
    for second in 0..SHOWN {
        scene.send("main", hello().header("x-agent-key", BETA));
        scene.send("refunds", hello());
        scene.send("watched", hello());
        if second > SHOWN / 3 && second.is_multiple_of(4) {
            scene.bad_round();
        }
        if second == SHOWN / 2 {
            scene
                .kill
                .kill(&["--tool", "rm", "--reason", "It removes."]);
        }
        std::thread::sleep(std::time::Duration::from_millis(700));
    }
    let drawn = Command::new(file("tools/dashboards/draw.py"))
        .args([&prometheus.url, &SHOWN.to_string()])
        .arg(file("docs/pictures"))
        .output()
        .expect("Python");
    let said = String::from_utf8_lossy(&drawn.stdout);
    assert!(drawn.status.success(), "{said}{drawn:?}");
    println!("{said}");
}
