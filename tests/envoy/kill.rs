//! Kill switch: a second filter of the module, whose file `agentguard kill` changes while Envoy runs.

use crate::scene::{Mode, answers, calls, in_mode, policy, refusal, says, with};
use harness::{
    Answer, Envoy, Gate, Host, Http, Request, Sample, Setup, Site, Version, replace_watched,
    wait_for,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

in_both_envoys![
    what_is_stopped_is_refused_by_every_worker_and_goes_on_when_it_is_lifted,
    open_streams_end_validly_with_their_next_frame,
    an_agent_is_stopped_by_its_key_and_others_go_on,
    a_tool_is_stopped_though_no_rule_asks_for_tools,
    a_list_that_cannot_be_read_stops_everything_until_it_is_mended,
    where_no_policy_hears_it_nothing_passes,
];

/// Place of the virtual machine's id in the filter that `agentguard build` writes of a kill list.
const VM_ID: &str = "/resources/0/typed_config/config/vm_config/vm_id";

/// Kill list in a folder that Envoy watches.
pub struct KillFile {
    folder: PathBuf,
    vm: String,
}

fn agentguard(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_agentguard"))
        .args(arguments)
        .output()
        .expect("the command");
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{out}{errors}");
    out
}

impl KillFile {
    pub fn new(name: &str, version: Version) -> KillFile {
        KillFile::with(name, version, "")
    }

    /// Creates a list with more keys at its top.
    pub fn with(name: &str, version: Version, keys: &str) -> KillFile {
        let folder = std::env::temp_dir().join(format!(
            "agentguard-{name}-{version:?}-{}",
            std::process::id()
        ));
        std::fs::create_dir_all(&folder).expect("a directory");
        let file = KillFile {
            folder,
            vm: "agentguard".to_owned(),
        };
        let document = file.folder.join("kill.yaml");
        let text = format!(
            "apiVersion: agentguard.dev/v1\nkind: AgentKill\ngeneration: 1\n{keys}kill: []\n"
        );
        std::fs::write(&document, text).expect("a file");
        let (document, path) = (document.to_string_lossy(), file.path());
        let options = Host::of_run().build_options();
        let mut arguments = vec!["build", &document, "--for", "envoy"];
        arguments.extend(options.iter().map(String::as_str));
        let path = path.to_string_lossy();
        arguments.extend(["--output", &path]);
        agentguard(&arguments);
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.join("filter.json")
    }

    /// Puts the list, and the listeners of [`sites`](KillFile::sites), into a virtual machine of their own, so that they
    /// stop nobody else in an Envoy of the pool.
    pub fn apart(mut self) -> KillFile {
        let folder = self.folder.file_name().expect("a name");
        self.vm = folder.to_string_lossy().into_owned();
        if Host::of_run() == Host::Wasm {
            let vm = json!(self.vm);
            self.edit(|resource| *resource.pointer_mut(VM_ID).expect("an id") = vm);
        }
        self
    }

    /// Changes the list with `agentguard kill`.
    pub fn kill(&self, arguments: &[&str]) -> String {
        let file = self.path().to_string_lossy().into_owned();
        agentguard(&[&["kill", "--file", &file], arguments].concat())
    }

    /// Replaces the resource by an edited one.
    pub fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let text = std::fs::read_to_string(self.path()).expect("a file");
        let mut resource: Value = serde_json::from_str(&text).expect("JSON");
        edit(&mut resource);
        replace_watched(&self.path(), &resource);
    }

    /// Returns the filter in the form of a filter chain.
    pub fn filter(&self) -> Value {
        json!({
            "name": "agentguard-kill",
            "config_discovery": {
                "config_source": {
                    "path_config_source": {"path": self.path(), "watched_directory": {"path": self.folder}},
                    "resource_api_version": "V3",
                },
                "type_urls": [Host::of_run().filter_type()],
            },
        })
    }

    /// Returns a listener for each header mode, after the kill filter.
    pub fn sites(&self, policy: &Value) -> Vec<Site> {
        Mode::BOTH
            .map(|mode| {
                Site::new(mode.word(), &in_mode(policy, mode))
                    .vm(&self.vm)
                    .behind_filters(vec![self.filter()])
            })
            .to_vec()
    }
}

impl Drop for KillFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn silent() -> Value {
    with(policy(json!([])), json!({"require": "none"}))
}

fn hello() -> Request {
    Request::chat(says("hello"))
}

fn generation(envoy: &Envoy) -> Vec<(String, f64)> {
    let is_kill = |sample: &&Sample| {
        sample.name == "agentguard_policy_workers"
            && sample
                .labels
                .get("name")
                .is_some_and(|name| name == "agentguard-kill")
            && sample.value > 0.0
    };
    let samples = envoy.samples();
    let of = |sample: &Sample| sample.labels.get("version").cloned().unwrap_or_default();
    samples
        .iter()
        .filter(is_kill)
        .map(|sample| (of(sample), sample.value))
        .collect()
}

fn what_is_stopped_is_refused_by_every_worker_and_goes_on_when_it_is_lifted(version: Version) {
    let file = KillFile::new("kill", version).apart();
    let envoy = Setup::new(version, file.sites(&silent()))
        .labels(vec!["name", "version"])
        .workers(4)
        .lease();
    envoy.provider.answer_always(answers("Hello"));
    let status = |mode: Mode| envoy.site(mode.word()).send(Http::One, &hello()).status;
    assert_eq!(Mode::BOTH.map(status), [200, 200]);
    file.kill(&["--all", "--reason", "Everything leaks."]);
    wait_for("the list to be in force", || {
        (Mode::BOTH.map(status) == [400, 400]).then_some(())
    });
    // The kernel assigns each new connection to one of the workers.
    for _ in 0..40 {
        assert_eq!(Mode::BOTH.map(status), [400, 400]);
    }
    let site = envoy.site("portable");
    let error = refusal(&site.send(Http::One, &hello()), 400, "AG3006");
    assert_eq!(
        error["message"],
        "Stopped by the kill switch: Everything leaks."
    );
    let records = site.records.lines();
    let last: Value = serde_json::from_str(records.last().expect("a record")).expect("JSON");
    assert_eq!(
        (&last["code"], &last["kill"]["generation"]),
        (&json!("AG3006"), &json!(2))
    );
    wait_for(
        "the generation to be told by four workers and the main thread",
        || (generation(&envoy) == [("2".to_owned(), 5.0)]).then_some(()),
    );
    file.kill(&["--lift", "--all"]);
    wait_for("the list to be lifted", || {
        (Mode::BOTH.map(status) == [200, 200]).then_some(())
    });
}

fn open_streams_end_validly_with_their_next_frame(version: Version) {
    const STREAMS: usize = 200;
    let file = KillFile::new("kill-streams", version).apart();
    let envoy = Setup::new(version, file.sites(&silent()))
        .labels(vec!["name", "version"])
        .workers(4)
        .lease();
    let gate = Gate::default();
    let chunk = |delta: Value, finish: Value| {
        let frame = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                           "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {frame}\n\n").into_bytes()
    };
    envoy.provider.answer_always(
        Answer::chunked(200, &[("content-type", "text/event-stream")])
            .chunk(&chunk(
                json!({"role": "assistant", "content": "Go"}),
                Value::Null,
            ))
            .wait(&gate)
            .chunk(&chunk(json!({"content": "ing on"}), Value::Null))
            .chunk(&chunk(json!({"content": " for ever"}), json!("stop")))
            .chunk(b"data: [DONE]\n\n")
            .end(),
    );
    let body =
        json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let request = Request::chat(body.to_string());
    let site = envoy.site("portable");
    let open: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut streams = Vec::new();
                    for _ in 0..STREAMS / 8 {
                        let mut live = site.open(Http::One, &request);
                        let first = live.next_bytes().expect("a frame").expect("a frame");
                        streams.push((live, first));
                    }
                    streams
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a thread"))
            .collect()
    });
    assert_eq!(open.len(), STREAMS);
    file.kill(&["--all", "--reason", "Everything leaks."]);
    // Open streams keep the list with which they began, so the previous list is reported as well.
    wait_for("the list to be in force in every worker", || {
        let told = generation(&envoy);
        told.contains(&("2".to_owned(), 5.0)).then_some(())
    });
    gate.open();
    for (live, first) in open {
        let rest = live.rest();
        assert_eq!(rest.broken, None);
        let text = String::from_utf8([first, rest.body].concat()).expect("UTF-8");
        assert!(!text.contains("ing on"), "{text}");
        let frames: Vec<&str> = text
            .split("\n\n")
            .filter(|frame| !frame.is_empty())
            .collect();
        assert_eq!(frames.last(), Some(&"data: [DONE]"), "{text}");
        for frame in frames.iter().take(frames.len() - 1) {
            let payload = frame.strip_prefix("data: ").expect("data");
            serde_json::from_str::<Value>(payload).expect("JSON");
        }
        assert!(text.contains("Everything leaks."), "{text}");
    }
}

fn an_agent_is_stopped_by_its_key_and_others_go_on(version: Version) {
    let hash = |key: &str| agentguard::wire::hex::encode(&Sha256::digest(key.as_bytes()));
    let key = |agent: &str| json!({"sha256": hash(&format!("key-of-{agent}")), "client": "acme", "agent": agent});
    let keys = json!([{"name": "key", "api_key": {"header": "x-agent-key", "keys": [key("one"), key("two")]}}]);
    let policy = with(
        policy(json!([])),
        json!({"require": "identity", "principals": keys}),
    );
    let file = KillFile::new("kill-agent", version).apart();
    let envoy = Setup::new(version, file.sites(&policy)).lease();
    envoy.provider.answer_always(answers("Hello"));
    let status = |mode: Mode, agent: &str| {
        let request = hello().header("x-agent-key", format!("key-of-{agent}"));
        envoy.site(mode.word()).send(Http::One, &request).status
    };
    assert_eq!(Mode::BOTH.map(|mode| status(mode, "one")), [200, 200]);
    file.kill(&["--agent", "one", "--reason", "It pays out refunds."]);
    wait_for("the list to be in force", || {
        (Mode::BOTH.map(|mode| status(mode, "one")) == [400, 400]).then_some(())
    });
    assert_eq!(Mode::BOTH.map(|mode| status(mode, "two")), [200, 200]);
}

fn a_tool_is_stopped_though_no_rule_asks_for_tools(version: Version) {
    let file = KillFile::new("kill-tool", version).apart();
    let envoy = Setup::new(version, file.sites(&silent())).lease();
    envoy
        .provider
        .answer_always(calls(&[("issue_refund", "{}")]));
    file.kill(&["--tool", "issue_*", "--reason", "It is attacked."]);
    for mode in Mode::BOTH {
        let site = envoy.site(mode.word());
        let answer = wait_for("the list to be in force", || {
            let answer = site.send(Http::Two, &hello()).json();
            let message = answer["choices"][0]["message"].clone();
            message["tool_calls"].is_null().then_some(message)
        });
        assert_eq!(
            answer["content"],
            "Stopped by the kill switch: It is attacked."
        );
    }
}

fn a_list_that_cannot_be_read_stops_everything_until_it_is_mended(version: Version) {
    let file = KillFile::new("kill-broken", version).apart();
    let envoy = Setup::new(version, file.sites(&silent())).lease();
    envoy.provider.answer_always(answers("Hello"));
    let status = || envoy.site("hold").send(Http::One, &hello()).status;
    assert_eq!(status(), 200);
    let document = match Host::of_run() {
        Host::Wasm => "/resources/0/typed_config/config/configuration/value",
        Host::Native => "/resources/0/typed_config/filter_config/value",
    };
    for broken in [
        "",
        "{",
        "{\"kind\":\"AgentPolicy\"}",
        "{\"kind\":\"AgentKill\",\"kill\":[{\"agent\":\"a\"}]}",
    ] {
        file.edit(|resource| *resource.pointer_mut(document).expect("a document") = json!(broken));
        wait_for("everything to be refused", || {
            (status() == 503).then_some(())
        });
        refusal(&envoy.site("hold").send(Http::One, &hello()), 503, "AG9003");
        let good =
            r#"{"apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":9,"kill":[]}"#;
        file.edit(|resource| *resource.pointer_mut(document).expect("a document") = json!(good));
        wait_for("everything to go on", || (status() == 200).then_some(()));
    }
    assert!(
        envoy
            .printed()
            .contains("AG9003 the kill list can't be read")
    );
}

/// In Wasm, the kill filter runs in a VM that the policy's filter does not share; natively in another
/// process.
fn where_no_policy_hears_it_nothing_passes(version: Version) {
    let file = KillFile::new("kill-elsewhere", version);
    let (sites, place) = match Host::of_run() {
        Host::Wasm => {
            file.edit(|resource| *resource.pointer_mut(VM_ID).expect("an id") = json!("elsewhere"));
            (file.sites(&silent()), "VM")
        }
        Host::Native => {
            let site = Site::bare("portable").behind_filters(vec![file.filter()]);
            (vec![site], "process")
        }
    };
    let envoy = Setup::new(version, sites).lease();
    envoy.provider.answer_always(answers("Hello"));
    let response = envoy.site("portable").send(Http::One, &hello());
    assert_eq!(
        (response.status, response.header("x-agentguard-code")),
        (503, Some("AG9003"))
    );
    assert_eq!(envoy.provider.count(), 0);
    assert!(
        envoy
            .printed()
            .contains(&format!("no policy runs in the {place} of the kill list"))
    );
}

/// `agentguard build --bootstrap --kill-list` writes a configuration that Envoy accepts.
#[test]
fn the_bootstrap_with_a_kill_list_is_valid() {
    let version = Version::Newest;
    let file = KillFile::new("kill-bootstrap", version);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let policy = root.join("policies/getting-started.yaml");
    let policy = policy.to_string_lossy();
    let kill_list = file.path();
    let options = Host::of_run().build_options();
    let mut arguments = vec![
        "build",
        &policy,
        "--for",
        "envoy",
        "--bootstrap",
        "--upstream",
        "http://127.0.0.1:8080",
        "--kill-list",
    ];
    let kill_list = kill_list.to_string_lossy();
    arguments.push(&kill_list);
    arguments.extend(options.iter().map(String::as_str));
    let built = agentguard(&arguments);
    let config = file.folder.join("bootstrap.json");
    std::fs::write(&config, built).expect("a file");
    assert_eq!(version.refuses(&config), None);
}
