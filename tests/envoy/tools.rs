//! Tool server and clients of MCP: the official Python package `mcp` as the server, and clients of that package and of
//! the official npm package.

use crate::scene::{Mode, case, policy, sites};
use harness::{Envoy, Process, Setup, Version, mcp_python, node, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;

in_both_envoys![a_session_survives_denials];

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/envoy/tools.py");

/// Starts the server. Returns its address.
fn serve(name: &str) -> (Process, SocketAddr) {
    let python = mcp_python();
    let output =
        std::env::temp_dir().join(format!("agentguard-tools-{}-{name}", std::process::id()));
    let mut process = Process::start(&[&python.to_string_lossy(), SCRIPT, "serve"], &[], &output);
    let port = wait_for("the server of tools", || {
        assert!(process.ended().is_none(), "{}", process.printed());
        process.printed().lines().next()?.parse::<u16>().ok()
    });
    (process, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// Client with its protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// Python, with `initialize` and a session; all its responses are streams.
    Session,
    /// Python without a session, in the versions since 2026-07-28.
    Sessionless,
    /// npm, with a session.
    Npm,
}

/// Calls every function once. Returns the result for the package's caller.
fn use_tools(envoy: &Envoy, mode: Mode, client: Client) -> Value {
    let url = format!("http://{}/mcp", envoy.site(mode.word()).address);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/envoy/");
    let (program, arguments) = match client {
        Client::Session => (mcp_python(), vec!["tools.py", "use", &url, "legacy"]),
        Client::Sessionless => (mcp_python(), vec!["tools.py", "use", &url, "auto"]),
        Client::Npm => (node(), vec!["tools.cjs", &url]),
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    for proxy in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(proxy);
    }
    let output = command.output().expect("a client of the package");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).expect("what the script prints")
}

fn a_session_survives_denials(version: Version) {
    let rules = json!([
        {"id": "no-delete", "match": {"event": ["tool_call", "tool_offer"], "tool": "delete_customer"},
         "action": "deny", "reason": "Customers are deleted by a person."},
        {"id": "mask", "match": {"event": ["tool_result", "response"]},
         "when": {"text": {"detects": ["credit_card", "email"]}}, "action": "redact"},
        {"id": "orders", "match": {"event": "tool_result"}, "when": {"text": {"contains": "ignore all previous"}},
         "action": "deny", "reason": "A page gives no orders."},
        {"id": "no-sampling", "match": {"event": "request", "method": "sampling/createMessage"}, "when": {"in": "response"},
         "action": "deny", "reason": "Servers get no model."},
        {"id": "no-swan", "match": {"event": "message"}, "when": {"text": {"contains": "swan"}}, "action": "deny",
         "reason": "No swans."},
        {"id": "no-secrets", "match": {"event": "request", "method": "resources/read"}, "action": "deny",
         "reason": "Secrets stay where they are.", "remedy": "Ask a person."},
    ]);
    let (_server, address) = serve(&format!("{version:?}"));
    let envoy = Setup::new(version, sites(&policy(rules)))
        .upstream(address)
        .lease();
    for mode in Mode::BOTH {
        for client in [Client::Session, Client::Sessionless, Client::Npm] {
            case(&format!("{mode:?}, {client:?}"), || {
                outcomes(&use_tools(&envoy, mode, client), client);
            });
        }
    }
}

fn outcomes(seen: &Value, client: Client) {
    let refused = |what: &str, rule: &str, reason: &str| {
        let result = &seen[what];
        assert_eq!(result["failed"], true, "{what}: {seen}");
        assert_eq!(result["text"], json!([reason]), "{seen}");
        assert_eq!(result["rule"], rule, "{seen}");
    };
    let tools = seen["tools"].as_array().expect("a list of tools");
    assert!(
        tools.contains(&json!("find_customer")) && !tools.contains(&json!("delete_customer")),
        "{seen}"
    );
    let found = &seen["found"];
    assert_eq!(
        found["data"],
        json!({"name": "Ada", "card": "[CREDIT_CARD]"}),
        "{seen}"
    );
    assert!(
        found["text"][0]
            .as_str()
            .is_some_and(|text| text.contains("[CREDIT_CARD]")),
        "{seen}"
    );
    refused("deleted", "no-delete", "Customers are deleted by a person.");
    assert_eq!(seen["page"]["text"], json!(["Page 1."]), "{seen}");
    refused("bad page", "orders", "A page gives no orders.");
    assert_eq!(seen["counted"]["text"], json!(["3 pages"]), "{seen}");
    assert_eq!(
        seen["progress"],
        json!([
            "page 0 of [EMAIL]",
            "page 1 of [EMAIL]",
            "page 2 of [EMAIL]"
        ]),
        "{seen}"
    );
    let (class, message) = match client {
        Client::Session | Client::Sessionless => {
            ("MCPError", "Secrets stay where they are. Ask a person.")
        }
        Client::Npm => (
            "McpError",
            "MCP error -32010: Secrets stay where they are. Ask a person.",
        ),
    };
    let secret = json!({"raised": class, "code": -32010, "message": message});
    assert_eq!(seen["secret"], secret);
    if client != Client::Sessionless {
        refused("summary", "no-sampling", "Servers get no model.");
        // The server waits for the person's response, and is told at once that there is none. Its tool passes the error
        // on.
        let greeted = &seen["greeted"];
        assert_eq!(greeted["code"], -32010, "{seen}");
        let told = greeted["message"].as_str();
        assert!(
            told.is_some_and(|told| told.ends_with("Blocked by policy (AG3001).")),
            "{seen}"
        );
        // The client reports an error to the server too, because it does not know the replacement of the server's
        // request.
        let learned = seen["learned"]["result"]
            .as_array()
            .expect("a list of errors");
        assert_eq!(learned.last(), Some(&json!(-32601)), "{seen}");
    }
}
