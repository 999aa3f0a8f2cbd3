//! Recorded streams, edited by rules and read by the official packages of their providers.

use crate::packages::{Language, Package};
use crate::scene::{Mode, case, in_mode, policy};
use harness::{Answer, Envoy, Http, Setup, Site, Version};
use serde_json::{Value, json};

in_both_envoys![the_packages_read_edited_streams];
in_both_envoys![with_go: the_go_packages_read_edited_streams];

/// Format with its recordings.
struct Recorded {
    format: &'static str,
    lines: &'static str,
    /// Packages, with the minimum number of recorded streams that each can read.
    packages: &'static [(Language, usize)],
}

macro_rules! recorded {
    ($($format:literal $($language:ident: $streams:literal),+;)+) => {
        &[$(Recorded {
            format: $format,
            lines: include_str!(concat!("../traffic/", $format, ".jsonl")),
            packages: &[$((Language::$language, $streams)),+],
        }),+]
    };
}

const RECORDED: &[Recorded] = recorded! {
    "openai.chat" Python: 13, Npm: 13, Go: 13;
    "openai.responses" Python: 13, Npm: 13, Go: 13;
    "anthropic.messages" Python: 9, Npm: 9, Go: 9;
    "gemini.generate" Python: 9, Npm: 9, Go: 9;
    "bedrock.converse" Python: 11;
    "ollama.chat" Python: 2;
};

struct Stream {
    id: String,
    question: Value,
    answer: Answer,
}

impl Recorded {
    /// Returns the streams that the package can read unedited; it can't read a few of the recordings.
    fn readable_by(&self, package: Package, envoy: &Envoy) -> Vec<Stream> {
        let found: Vec<Stream> = self.lines.lines().filter_map(stream).collect();
        let plain = ask(envoy, "bare", Http::One, package, &found);
        found
            .into_iter()
            .zip(plain)
            .filter(|(_, plain)| plain.get("raised").is_none())
            .map(|(stream, _)| stream)
            .collect()
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
            "stream": true,
        }),
        answer,
    })
}

/// Returns a request up to its first message of the user. Tool calls in the history would be evaluated too, but this
/// test is about the response.
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

/// Decodes Base64 (RFC 4648 §4).
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

/// Returns the result for the package's caller of each stream.
fn ask(envoy: &Envoy, site: &str, http: Http, package: Package, streams: &[Stream]) -> Vec<Value> {
    for stream in streams {
        envoy.provider.answer_next(stream.answer.clone());
    }
    let questions: Vec<Value> = streams
        .iter()
        .map(|stream| stream.question.clone())
        .collect();
    package.ask(envoy, site, http, &questions)
}

/// Words of the rule: they occur in most of the recorded texts, in many of them across frames.
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

/// Tools that the models called and the caller runs.
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

/// Returns a text as the rule on words redacts it.
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
    edited(version, |language| language != Language::Go);
}

fn the_go_packages_read_edited_streams(version: Version) {
    edited(version, |language| language == Language::Go);
}

fn edited(version: Version, is_asked: fn(Language) -> bool) {
    let words = policy(json!([{
        "id": "words",
        "match": {"event": "response", "part": ["text", "reasoning", "refusal", "arguments"]},
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
    let envoy = Setup::new(version, sites).lease();
    for recorded in RECORDED {
        let packages = recorded
            .packages
            .iter()
            .filter(|(language, _)| is_asked(*language));
        for &(language, at_least) in packages {
            let format = recorded.format;
            let package = Package { language, format };
            let streams = recorded.readable_by(package, &envoy);
            assert!(streams.len() >= at_least, "{package:?}: {}", streams.len());
            for http in Http::BOTH {
                if http == Http::One || package.speaks_http2() {
                    streams_of(&envoy, package, http, &streams);
                }
            }
        }
    }
}

fn streams_of(envoy: &Envoy, package: Package, http: Http, streams: &[Stream]) {
    let plain = ask(envoy, "bare", http, package, streams);
    for mode in Mode::BOTH {
        let told = |site: &str| {
            let site = format!("{site}-{}", mode.word());
            ask(envoy, &site, http, package, streams)
        };
        let (edited, denied) = (told("words"), told("tools"));
        let all = streams.iter().zip(&plain).zip(edited.iter().zip(&denied));
        for ((stream, plain), (edited, denied)) in all {
            let name = format!("{package:?}, {mode:?}, HTTP/{http:?}, {}", stream.id);
            case(&name, || {
                words_are_masked(plain, edited);
                tool_calls_are_taken_out(&stream.question, plain, denied);
            });
        }
    }
}

fn words_are_masked(plain: &Value, edited: &Value) {
    assert_eq!(edited["texts"], masked_all(&plain["texts"]), "{edited}");
    if plain.get("final").is_some() {
        assert_eq!(edited["final"], masked_all(&plain["final"]));
        assert_eq!(edited["final"], edited["texts"]);
    }
    // Arguments of calls are texts of the response, to which the rule applies too.
    let calls = plain["tools"].as_array().into_iter().flatten();
    let masked: Value = calls
        .map(|call| json!([call[0], masked(call[1].as_str().unwrap_or_default())]))
        .collect();
    assert_eq!(edited["tools"], masked);
    assert_eq!(edited["finish"], plain["finish"]);
}

/// Returns whether the caller forces a call. Only an error can then replace it.
fn is_forced(question: &Value) -> bool {
    let choice = &question["body"]["tool_choice"];
    choice == "required" || choice == "any" || choice["type"] == "any" || choice["type"] == "tool"
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
    let told = denied["texts"].to_string();
    assert!(told.contains("No tools today."), "{denied}");
    if denied.get("final").is_some() {
        assert_eq!(denied["final"], denied["texts"]);
    }
    // Gemini's finish reason is STOP in either case; the others would report a call.
    let finish = denied["finish"].to_string();
    assert!(!finish.contains("tool"), "{denied}");
}
