//! Recorded streams, read by the official packages of their providers through rules that edit them.

use crate::scene::{Mode, case, in_mode, policy};
use harness::{Answer, Envoy, Http, Setup, Site, Version, sdk_python};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

in_both_envoys![the_packages_read_edited_streams];

/// A format of streams with its recordings, and what its package reads them with.
struct Recorded {
    /// The format, as the script and the recordings call it.
    name: &'static str,
    lines: &'static str,
    /// Whether the package speaks HTTP/2 without TLS.
    speaks_http2: bool,
    /// At least so many of the recorded streams it can read.
    streams: usize,
}

macro_rules! recorded {
    ($($name:literal http2: $http2:literal streams: $streams:literal;)+) => {
        &[$(Recorded {
            name: $name,
            lines: include_str!(concat!("../traffic/", $name, ".jsonl")),
            speaks_http2: $http2,
            streams: $streams,
        }),+]
    };
}

const RECORDED: &[Recorded] = recorded! {
    "openai.chat" http2: true streams: 13;
    "openai.responses" http2: true streams: 13;
    "anthropic.messages" http2: true streams: 9;
    "gemini.generate" http2: true streams: 9;
    "bedrock.converse" http2: false streams: 11;
    "ollama.chat" http2: true streams: 2;
};

struct Stream {
    id: String,
    question: Value,
    answer: Answer,
}

impl Recorded {
    /// Those that the package can read as they came; a few of the recordings it can't.
    fn all(&self, envoy: &Envoy) -> Vec<Stream> {
        let found: Vec<Stream> = self.lines.lines().filter_map(stream).collect();
        let plain = ask(envoy, "bare", Http::One, self, &found);
        let readable: Vec<Stream> = found
            .into_iter()
            .zip(plain)
            .filter(|(_, plain)| plain.get("raised").is_none())
            .map(|(stream, _)| stream)
            .collect();
        assert!(readable.len() >= self.streams, "{}", self.name);
        readable
    }
}

fn stream(line: &str) -> Option<Stream> {
    let line: Value = serde_json::from_str(line).expect("a recorded exchange");
    let (request, response) = (&line["request"], &line["response"]);
    if line["expected"]["stream"] != true || response["status"] != 200 {
        return None;
    }
    let text = response["body"].as_str().expect("a body");
    let body = match response["body_encoding"].as_str() {
        Some("base64") => decoded(text),
        _ => text.as_bytes().to_vec(),
    };
    let media = response["headers"]["content-type"]
        .as_str()
        .expect("a type");
    let answer = body
        .chunks(700)
        .fold(
            Answer::chunked(200, &[("content-type", media)]),
            Answer::chunk,
        )
        .end();
    let asked = request["body"].as_str().expect("a body");
    let asked = serde_json::from_str(asked).expect("JSON");
    Some(Stream {
        id: line["id"].as_str().expect("an id").to_owned(),
        question: json!({
            "path": request["path"],
            "body": first_turn(asked),
        }),
        answer,
    })
}

/// A question up to its first message of the user's: calls of tools in what was said before are judged as well, and here
/// the answer matters.
fn first_turn(mut body: Value) -> Value {
    for list in ["messages", "contents", "input"] {
        if let Some(messages) = body.get_mut(list).and_then(Value::as_array_mut) {
            let user = |message: &Value| message["role"] == "user";
            let until = messages.iter().position(user).map_or(0, |at| at + 1);
            messages.truncate(until);
        }
    }
    body
}

/// Base64 (RFC 4648 §4).
fn decoded(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let Some(value) = ALPHABET.iter().position(|known| *known == letter) else {
            continue;
        };
        bits = bits << 6 | u32::try_from(value).expect("six bits");
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).expect("eight bits"));
        }
    }
    bytes
}

/// What the package's caller gets of each stream.
fn ask(envoy: &Envoy, site: &str, http: Http, format: &Recorded, streams: &[Stream]) -> Vec<Value> {
    for stream in streams {
        envoy.provider.answer_next(stream.answer.clone());
    }
    let address = envoy.site(site).address.to_string();
    let version = if http == Http::Two { "2" } else { "1.1" };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/envoy/sdk_streams.py");
    let mut child = Command::new(sdk_python())
        .args([script, &address, format.name, version])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python with the packages");
    let questions: String = streams
        .iter()
        .map(|stream| format!("{}\n", stream.question))
        .collect();
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(questions.as_bytes()).expect("a reader");
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let results: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(results.len(), streams.len());
    results
}

/// What the rule on words looks for: in most of the recorded texts, spread over several pieces in many of them.
const WORDS: &[&str] = &[
    "1, 2",
    "2  \n3",
    "2\n3",
    "15°C",
    "This is a test",
    "London",
    "Paris",
    "pong",
    "help you",
    "Labrador puppy",
    "Gateway",
    "best language",
    "Yukihiro Matsumoto",
    "Rock and Roll",
    "OpenTelemetry",
    "Barcelona",
];

/// What the models called, of the tools that the caller runs.
const TOOLS: &[&str] = &[
    "best_language_to_learn",
    "compose_music",
    "final_result",
    "get_capital",
    "get_current_weather",
    "get_temperature",
    "get_weather",
    "top_song",
    "transfer_to_symphony_composer",
    "weather",
];

/// What the rule on words makes of a text.
fn masked(text: &str) -> String {
    WORDS.iter().fold(text.to_owned(), |text, word| {
        text.replace(word, "[REDACTED]")
    })
}

fn masked_all(texts: &Value) -> Value {
    let texts = texts.as_array().into_iter().flatten();
    texts
        .map(|text| masked(text.as_str().expect("a text")))
        .collect()
}

fn the_packages_read_edited_streams(version: Version) {
    let words = policy(json!([{
        "id": "words",
        "match": {"event": "response"},
        "when": {"text": {"matches": WORDS.join("|")}},
        "action": "redact",
    }]));
    let tools = policy(json!([{
        "id": "no-tools",
        "match": {"event": "tool_call", "tool": TOOLS},
        "action": "deny",
        "reason": "No tools today.",
    }]));
    let mut sites = vec![Site::bare("bare")];
    for mode in Mode::BOTH {
        sites.push(Site::new(
            &format!("words-{}", mode.word()),
            &in_mode(&words, mode),
        ));
        sites.push(Site::new(
            &format!("tools-{}", mode.word()),
            &in_mode(&tools, mode),
        ));
    }
    let envoy = Setup::new(version, sites).start();
    for format in RECORDED {
        let streams = format.all(&envoy);
        for http in Http::BOTH {
            if http == Http::Two && !format.speaks_http2 {
                continue;
            }
            let plain = ask(&envoy, "bare", http, format, &streams);
            for mode in Mode::BOTH {
                let told = |site: &str| {
                    let site = format!("{site}-{}", mode.word());
                    ask(&envoy, &site, http, format, &streams)
                };
                let (edited, denied) = (told("words"), told("tools"));
                let all = streams.iter().zip(&plain).zip(edited.iter().zip(&denied));
                for ((stream, plain), (edited, denied)) in all {
                    let name = format!("{}, {mode:?}, HTTP/{http:?}, {}", format.name, stream.id);
                    case(&name, || {
                        words_are_masked(plain, edited);
                        tool_calls_are_taken_out(&stream.question, plain, denied);
                    });
                }
            }
        }
    }
}

fn words_are_masked(plain: &Value, edited: &Value) {
    assert_eq!(edited["deltas"], masked_all(&plain["deltas"]), "{edited}");
    if plain.get("final").is_some() {
        assert_eq!(edited["final"], masked_all(&plain["final"]));
        assert_eq!(edited["final"], edited["deltas"]);
    }
    // Arguments of calls are texts of the answer, too.
    let calls = plain["tools"].as_array().into_iter().flatten();
    let masked: Value = calls
        .map(|call| json!([call[0], masked(call[1].as_str().unwrap_or_default())]))
        .collect();
    assert_eq!(edited["tools"], masked);
    assert_eq!(edited["finish"], plain["finish"]);
}

/// Whether the caller said that there must be a call: then nothing but an error can take its place.
fn is_forced(question: &Value) -> bool {
    let choice = &question["body"]["tool_choice"];
    choice == "required" || choice["type"] == "any" || choice["type"] == "tool"
}

fn tool_calls_are_taken_out(question: &Value, plain: &Value, denied: &Value) {
    let has_calls = plain["tools"]
        .as_array()
        .is_some_and(|tools| !tools.is_empty());
    if !has_calls {
        assert_eq!(denied, plain);
        return;
    }
    if is_forced(question) {
        let told = denied["message"].as_str().unwrap_or_default();
        assert!(told.contains("No tools today."), "{denied}");
        return;
    }
    assert_eq!(denied["tools"], json!([]), "{denied}");
    let told = denied["deltas"].to_string();
    assert!(told.contains("No tools today."), "{denied}");
    if denied.get("final").is_some() {
        assert_eq!(denied["final"], denied["deltas"]);
    }
    // Gemini ends with STOP in either case; the others say that a call is there.
    let finish = denied["finish"].to_string();
    assert!(!finish.contains("tool"), "{denied}");
}
