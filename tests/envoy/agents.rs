//! Agents of common frameworks in conversations of two turns through the filter, with a model that calls a denied tool.
//! The provider double, `agents/provider.py`, stores conversations and rejects what the real providers reject, so that
//! an agent that continues here also continues there.

use crate::scene::{Mode, case, no_weapons, policy, sites};
use crate::script::Program;
use harness::{Envoy, Process, Setup, Version, agents_packages, agents_python, node, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/envoy/agents");

const REASON: &str = "Customers are deleted by a person.";

/// The model's text without a call.
const DONE: &str = "All done.";

/// The Python frameworks with each of their providers, and the exception for a denied request.
const PYTHON: &[(&str, &str)] = &[
    ("openai-agents responses", "BadRequestError"),
    ("openai-agents previous", "BadRequestError"),
    ("openai-agents chat", "BadRequestError"),
    ("pydantic-ai chat", "ModelRequestRejectedError"),
    ("pydantic-ai responses", "ModelRequestRejectedError"),
    ("pydantic-ai previous", "ModelRequestRejectedError"),
    ("pydantic-ai anthropic", "ModelRequestRejectedError"),
    ("pydantic-ai google", "ModelRequestRejectedError"),
    ("langchain chat", "OpenAIInvalidRequestError"),
    ("langchain responses", "OpenAIInvalidRequestError"),
    ("langchain previous", "OpenAIInvalidRequestError"),
    ("langchain anthropic", "AnthropicInvalidRequestError"),
    ("langchain google", "GoogleInvalidRequestError"),
    ("google-genai", "ClientError"),
    ("google-adk", "RuntimeError"),
];

/// A framework that reads calls from text, of models that cannot call tools.
const FROM_TEXT: &[(&str, &str)] = &[("langchain react", "OpenAIInvalidRequestError")];

/// A removed call stays open if the provider stores the conversation.
const KEPT: (&str, &str) = ("openai-agents conversation", "BadRequestError");

/// Packages that communicate with agents instead of models.
const TO_AGENTS: &[(&str, &str)] = &[
    ("a2a HTTP+JSON", "InvalidRequestError"),
    ("a2a JSONRPC", "A2AClientError"),
];

/// Frameworks of npm's `ai`.
const NPM: &[(&str, &str)] = &[
    ("ai responses", "APICallError"),
    ("ai unstored", "APICallError"),
    ("ai previous", "APICallError"),
    ("ai chat", "APICallError"),
    ("ai anthropic", "APICallError"),
    ("ai google", "APICallError"),
];

/// Starts a script with agents, which responds line by line.
fn start_agents(mut command: Command, envoy: &Envoy, mode: Mode, double: SocketAddr) -> Program {
    Program::start(
        command
            .current_dir(FOLDER)
            .arg(envoy.site(mode.word()).address.to_string())
            .arg(double.to_string())
            .args(std::env::var_os("AGENTGUARD_CODING")),
    )
}

/// Starts the provider double. Returns its address.
fn serve(name: &str) -> (Process, SocketAddr) {
    let output =
        std::env::temp_dir().join(format!("agentguard-agents-{}-{name}", std::process::id()));
    let script = format!("{FOLDER}/provider.py");
    let python = agents_python();
    let mut process = Process::start(&[&python.to_string_lossy(), &script], &[], &output);
    let port = wait_for("the provider's double", || {
        assert!(process.ended().is_none(), "{}", process.printed());
        process.printed().lines().next()?.parse::<u16>().ok()
    });
    (process, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// Starts the provider double and an Envoy in front of it. Its policy has this rule and the one against a word.
fn start(name: &str, rule: Value) -> (Process, SocketAddr, Envoy) {
    let (double, address) = serve(name);
    let sites = sites(&policy(json!([no_weapons(), rule])));
    let envoy = Setup::new(Version::Newest, sites).upstream(address).lease();
    (double, address, envoy)
}

/// Agents of both languages behind one listener. The frameworks take about ten seconds to load.
struct Stage<'e> {
    envoy: &'e Envoy,
    mode: Mode,
    python: Program,
    npm: Program,
}

impl<'e> Stage<'e> {
    fn new(envoy: &'e Envoy, mode: Mode, double: SocketAddr) -> Stage<'e> {
        let mut python = Command::new(agents_python());
        python.arg("frameworks.py");
        let mut npm = Command::new(node());
        npm.env("NODE_PATH", agents_packages())
            .arg("frameworks.cjs");
        Stage {
            envoy,
            mode,
            python: start_agents(python, envoy, mode, double),
            npm: start_agents(npm, envoy, mode, double),
        }
    }

    /// Runs each of these agents, plain and streamed, with `say` as the request and `tools` as the model's calls.
    /// `check` gets the outcome and the framework's exception. Each conversation must take exactly this number of
    /// requests.
    fn with_each(
        &mut self,
        groups: &[&[(&str, &str)]],
        (say, tools): (&str, &[&str]),
        requests: usize,
        check: impl Fn(&Value, &str),
    ) {
        for (client, raised) in groups.iter().copied().flatten() {
            for stream in [false, true] {
                // The framework responds to the calls of each stream frame separately, which the provider also rejects
                // without a filter.
                if *client == "google-genai" && stream && tools.len() > 1 {
                    continue;
                }
                let question =
                    json!({"client": client, "stream": stream, "say": say, "tools": tools});
                let records = &self.envoy.site(self.mode.word()).records;
                let agents = if client.starts_with("ai ") {
                    &mut self.npm
                } else {
                    &mut self.python
                };
                case(&question.to_string(), || {
                    let before = records.lines().len();
                    let result = agents.ask(&question);
                    check(&result, raised);
                    records.skip_to(before + requests);
                    assert_eq!(records.lines().len(), before + requests, "{result}");
                });
            }
        }
    }

    fn an_agent_whose_only_call_is_denied_reads_why_and_can_be_asked_on(&mut self) {
        let asked = ("clean up", ["delete_customer"].as_slice());
        self.with_each(&[PYTHON, NPM], asked, 2, |result, _| {
            let told = json!({"answers": [REASON, DONE], "ran": [], "refused": []});
            assert_eq!(*result, told);
        });
    }

    fn an_agent_goes_on_with_the_calls_beside_a_denied_one(&mut self) {
        for tools in [
            ["delete_customer", "find_customer"],
            ["find_customer", "delete_customer"],
        ] {
            let asked = ("clean up", tools.as_slice());
            self.with_each(&[PYTHON, NPM], asked, 3, |result, _| {
                let told =
                    json!({"answers": [DONE, DONE], "ran": ["find_customer"], "refused": []});
                assert_eq!(*result, told);
            });
        }
    }

    fn an_agent_that_reads_calls_from_text_runs_no_denied_one_and_goes_on(&mut self) {
        for (tool, ran) in [
            ("find_customer", &["find_customer"][..]),
            ("delete_customer", &[]),
        ] {
            // The reason is no call and no answer, which the framework tells its model.
            self.with_each(&[FROM_TEXT], ("clean up", &[tool]), 3, |result, _| {
                let told = json!({"answers": [DONE, DONE], "ran": ran, "refused": []});
                assert_eq!(*result, told);
            });
        }
    }

    fn an_agent_whose_conversation_the_provider_keeps_ends_with_the_reason(&mut self) {
        let asked = ("clean up", ["find_customer", "delete_customer"].as_slice());
        self.with_each(&[&[KEPT]], asked, 1, |result, _| {
            let message = result["message"].as_str().expect("a message");
            assert!(message.contains(REASON), "{result}");
            assert_eq!(
                (&result["answers"], &result["ran"]),
                (&json!([]), &json!([]))
            );
        });
    }

    fn a_denied_request_raises_the_usual_exception_and_is_not_retried(&mut self) {
        let groups = [PYTHON, FROM_TEXT, &[KEPT], TO_AGENTS, NPM];
        let asked = ("the forbidden word", [].as_slice());
        self.with_each(&groups, asked, 1, |result, raised| {
            assert_eq!(result["raised"], raised, "{result}");
            let message = result["message"].as_str().expect("a message");
            assert!(
                message.contains("We don't talk about this. Ask something else."),
                "{result}"
            );
            assert_eq!(result["answers"], json!([]));
        });
    }
}

#[test]
fn agents_go_on_whatever_is_denied() {
    let (_double, address, envoy) = start(
        "frameworks",
        json!({"id": "no-delete", "match": {"event": "tool_call", "tool": "delete_customer"}, "action": "deny", "reason": REASON}),
    );
    for mode in Mode::BOTH {
        let mut stage = Stage::new(&envoy, mode, address);
        case(&format!("{mode:?}"), || {
            stage.an_agent_whose_only_call_is_denied_reads_why_and_can_be_asked_on();
            stage.an_agent_goes_on_with_the_calls_beside_a_denied_one();
            stage.an_agent_that_reads_calls_from_text_runs_no_denied_one_and_goes_on();
            stage.an_agent_whose_conversation_the_provider_keeps_ends_with_the_reason();
            stage.a_denied_request_raises_the_usual_exception_and_is_not_retried();
        });
    }
}

/// Coding agents, and the maximum number of requests of each after a denial: opencode also requests a title, and Claude Code
/// leaves out settings, one after the other, since it takes a 400 for an objection to one of them.
const CODING: &[(&str, usize)] = &[
    ("codex", 1),
    ("claude", 6),
    ("gemini", 1),
    ("gemini by account", 1),
    ("opencode responses", 2),
    ("opencode anthropic", 2),
    ("opencode chat", 2),
];

#[test]
#[ignore = "needs coding agents: make test-clients"]
fn coding_agents_show_the_reason_continue_and_never_run_denied_calls() {
    let (_double, address, envoy) = start(
        "coding",
        json!({
            "id": "no-denied", "match": {"event": "tool_call", "tool": ["exec_command", "Bash", "bash", "run_shell_command"]},
            "when": {"args.cmd|command": {"contains": "denied"}}, "action": "deny", "reason": REASON,
        }),
    );
    let site = envoy.site(Mode::Portable.word());
    let mut python = Command::new(agents_python());
    python.arg("coding.py");
    let mut agents = start_agents(python, &envoy, Mode::Portable, address);
    for (client, most) in CODING {
        let mut ask = |say: &str, touch: &[&str], files: &[&str], told: &str| {
            let question = json!({"client": client, "say": say, "touch": touch});
            case(&question.to_string(), || {
                let result = agents.ask(&question);
                let said = result["said"].as_str().expect("what it printed");
                assert!(said.contains(told), "{result}");
                assert_eq!(result["files"], json!(files), "{result}");
                assert_eq!(result["refused"], json!([]), "{result}");
            });
        };
        ask("clean up", &["denied"], &[], REASON);
        ask("clean up", &["allowed", "denied"], &["allowed"], DONE);
        let before = site.records.lines().len();
        let reason = "We don't talk about this. Ask something else.";
        ask("the forbidden word", &[], &[], reason);
        let refused = || {
            let lines = site.records.lines();
            let denied = lines[before..]
                .iter()
                .filter(|line| line.contains("AG3001"));
            denied.count()
        };
        wait_for("a refusal's record", || (refused() > 0).then_some(()));
        assert!(refused() <= *most, "{client} asked {} times", refused());
    }
}
