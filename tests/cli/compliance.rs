//! docs/compliance.md: every command that prints evidence runs as the page writes it, and every row asks for evidence that there is.

use super::audit::{lines, trail};
use super::doctor::shipped;
use super::root;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

/// The key of the trail.
const KEY: &str = "a key of 32 bytes for the tests..";

/// A policy that changes what the page's own one does.
const NEW: &str = "apiVersion: agentguard.dev/v1
kind: AgentPolicy
metadata: { name: support-agent }
require: none
defaults: { action: allow, tool_call: deny }
rules: []
";

const KILL: &str = r#"{"apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":7,"kill":[{"tools":["refund"],"reason":"leaked keys"}]}"#;

/// The lines of a chain, as a filter with the key writes them.
fn sealed(trail: Vec<String>) -> Vec<String> {
    let mut last = "0".repeat(64);
    let seal = |line: String| {
        let (head, rest) = line.split_once(r#""prev":""#).unwrap();
        let (_, rest) = rest.split_once('"').unwrap();
        let (start, rest) = rest.split_once('}').unwrap();
        let head = format!(r#"{head}"prev":"{last}"{start}"#);
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(format!("{head}}}{rest}").as_bytes());
        let mac = mac.finalize().into_bytes();
        last = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(r#"{head},"mac":"{last}"}}{rest}"#)
    };
    trail.into_iter().map(seal).collect()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/compliance.md")).unwrap()
}

/// The rows of the tables: their cells.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    rows.map(|row| row.trim_end_matches(" |").split(" | ").collect())
        .collect()
}

/// Answers like an admin interface of Envoy, whatever is asked. Returns its address.
fn admin(config: String) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                config.len()
            );
            let _ = stream.write_all((head + &config).as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn every_command_that_prints_evidence_runs() {
    let folder = tempfile::tempdir().unwrap();
    let page = page();
    let policy = page.split("```yaml\n").nth(1).unwrap();
    let policy = policy.split("```").next().unwrap();
    let audit = lines(&sealed(trail(5)));
    for (name, content) in [
        ("policy.yaml", policy.as_bytes()),
        ("OLD", policy.as_bytes()),
        ("NEW", NEW.as_bytes()),
        ("kill.json", KILL.as_bytes()),
        (
            "texts.jsonl",
            br#"{"id":"1","text":"my card is 4111 1111 1111 1111"}"#,
        ),
        ("audit.jsonl", &audit),
    ] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let admin = admin(shipped(&[]).to_string());
    let command = std::path::Path::new(env!("CARGO_BIN_EXE_agentguard"));
    let path = format!("{}:{}", command.parent().unwrap().display(), env!("PATH"));
    let mut told = String::new();
    for row in rows(&page) {
        let [evidence, cell] = row[..] else { continue };
        let Some(shown) = cell.strip_prefix("`agentguard ") else {
            continue;
        };
        let shown = format!("agentguard {}", shown.trim_end_matches('`'));
        let run = shown
            .replace("http://127.0.0.1:9901", &admin)
            .replace("EVENT", "'{call: \"delete_customer {id: 7}\"}'");
        let output = Command::new("sh")
            .args(["-c", &run])
            .current_dir(folder.path())
            .env("PATH", &path)
            .env("AUDIT_KEY", KEY)
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let id = evidence.split(':').next().unwrap();
        let said = said.replace(&admin, "http://127.0.0.1:9901");
        told += &format!(
            "{id} $ {shown}\n{said}-> {}\n",
            output.status.code().unwrap()
        );
    }
    insta::assert_snapshot!("evidence", told);
}

#[test]
fn every_row_names_evidence_that_there_is() {
    let page = page();
    let rows = rows(&page);
    let is_id = |word: &&str| {
        let number = word
            .strip_prefix('E')
            .and_then(|rest| rest.parse::<u8>().ok());
        number.is_some()
    };
    let first = rows.iter().filter_map(|row| row.first()?.split(':').next());
    let known: BTreeSet<&str> = first.filter(is_id).collect();
    let cells = rows.iter().flat_map(|row| row.iter().skip(1));
    let asked: BTreeSet<&str> = cells
        .flat_map(|cell| cell.split(", "))
        .filter(is_id)
        .collect();
    assert_eq!(known.len(), 10);
    assert_eq!(known, asked);
}
