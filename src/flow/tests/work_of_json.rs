//! Cost of reading JSON: in recorded bodies, each location in turn is filled with content that is expensive for its
//! size.

use super::*;
use crate::detect::hostile::share;

/// Rules on every kind of location in a body.
const POLICY: &str = r#"
defaults: { action: allow }
rules:
  - { id: texts, match: { event: [message, response] }, when: { text: { detects: [pii, secrets] } }, action: tag, tags: [x] }
  - { id: phrase, match: { event: [message, response, tool_result] }, when: { text: { contains: "attack at dawn" } }, action: deny }
  - { id: plain, match: { tool: "*" }, when: { args.amount: { greater_than: 100 } }, action: deny }
  - { id: anywhere, match: { tool: "*" }, when: { args..amount: { greater_than: 100 } }, action: deny }
  - { id: twice, match: { tool: "*" }, when: { args..a..b: secret }, action: deny }
  - { id: each, match: { tool: "*" }, when: { "args.items[*].id": secret }, action: deny }
  - { id: item, match: { tool: "*" }, when: { args.items: { any_item: { id: a, amount: { greater_than: 1 } } } }, action: deny }
  - { id: allowed, match: { tool: "*" }, when: { args.path: { path_within: [/srv] } }, action: allow }
  - { id: earlier, match: { tool: "*" }, when: { earlier: { tool: read, count_at_least: 2 } }, action: tag, tags: [x] }
  - { id: result, match: { event: tool_result }, when: { result..amount: { greater_than: 100 } }, action: tag, tags: [x] }
  - { id: offer, match: { event: tool_offer }, when: { definition: { contains: "attack at dawn" } }, action: deny }
  - { id: params, match: { event: request }, when: { params..user: mallory }, action: deny }
"#;

/// Placeholder for an escape where serde would write a letter.
const ESCAPED: (char, &str) = ('\u{E000}', "\\u0061");
const PAIR: (char, &str) = ('\u{E001}', "\\ud83d\\ude00");

fn nested(depth: usize, inner: Value, around: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(inner, |value, _| around(value))
}

/// Returns a list of items with about `len` bytes.
fn list(len: usize, mut item: impl FnMut(usize) -> Value) -> Value {
    let mut size = 2;
    let mut items = Vec::new();
    while size < len {
        let next = item(items.len());
        size += next.to_string().len() + 1;
        items.push(next);
    }
    Value::Array(items)
}

fn object(len: usize, mut member: impl FnMut(usize) -> (String, Value)) -> Value {
    let mut size = 2;
    let mut members = serde_json::Map::new();
    while size < len {
        let (name, value) = member(members.len());
        size += name.len() + value.to_string().len() + 4;
        members.insert(name, value);
    }
    Value::Object(members)
}

/// Returns a value in nested strings of JSON.
fn in_strings(levels: usize, value: Value) -> Value {
    nested(levels, value, |inner| json!({ "a": inner.to_string() }))
}

fn filled(unit: &str, len: usize) -> Value {
    Value::String(unit.repeat(len / unit.len() + 1))
}

/// Returns values that are expensive to read for their size, of about `len` bytes.
fn fillers(len: usize) -> Vec<(&'static str, Value)> {
    let base64 = |text: &str| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let wide = |len| object(len, |n| (format!("k{n}"), json!(n)));
    let deep = |depth| nested(depth, json!(1), |inner| json!([inner]));
    let deep_objects = |depth| nested(depth, json!(1), |inner| json!({ "a": inner }));
    vec![
        ("deep lists", list(len, |_| deep(40))),
        ("deep objects", list(len, |_| deep_objects(40))),
        ("empty objects", list(len, |_| json!({}))),
        ("empty texts", list(len, |_| json!(""))),
        ("short texts", list(len, |n| json!(format!("{n}")))),
        ("objects in a list", list(len, |n| json!({ "a": n }))),
        ("many members", wide(len)),
        (
            "members of texts",
            object(len, |n| (format!("k{n}"), json!("x"))),
        ),
        (
            "members of lists",
            object(len, |n| (format!("k{n}"), json!([]))),
        ),
        (
            "members in capitals",
            object(len, |n| (format!("AMOUNT_{n}"), json!(n))),
        ),
        (
            "escaped members",
            object(len, |n| (format!("{}{n}", ESCAPED.0), json!(n))),
        ),
        (
            "members in other letters",
            object(len, |n| (format!("ämöünt{n}"), json!(n))),
        ),
        (
            "long members",
            object(len, |n| (format!("{}{n}", "é".repeat(200)), json!(n))),
        ),
        ("numbers", list(len, |n| json!(1_000_000_000 + n))),
        ("fractions", list(len, |n| json!(n as f64 / 7.0 * 1e-30))),
        (
            "pairs",
            list(len, |n| json!({"name": format!("n{n}"), "value": "x"})),
        ),
        (
            "rows",
            json!({"columns": ["id", "ssn"], "rows": list(len, |n| json!([n, "536221234"]))}),
        ),
        ("models", list(len, |_| json!({"engine": 1}))),
        (
            "names of models",
            list(len, |n| json!({"model": format!("m{n}")})),
        ),
        (
            "calls",
            list(
                len,
                |n| json!({"type": "tool_use", "id": format!("t{n}"), "name": "t", "input": {}}),
            ),
        ),
        ("parts", list(len, |_| json!({"type": "text", "text": "a"}))),
        (
            "results",
            list(
                len,
                |n| json!({"type": "tool_result", "tool_use_id": format!("t{n}"), "content": "a"}),
            ),
        ),
        (
            "images",
            list(
                len,
                |_| json!({"type": "image_url", "image_url": {"url": "data:text/plain,a"}}),
            ),
        ),
        (
            "amounts",
            list(
                len,
                |n| json!({"amount": n, "Amount": n, "items": [{"id": "a"}]}),
            ),
        ),
        ("paths", deep_objects(60)),
        (
            "objects in objects",
            list(len, |_| {
                nested(
                    20,
                    json!({"b": "secret"}),
                    |inner| json!({"a": inner, "b": 1}),
                )
            }),
        ),
        (
            "a long name of lists",
            object(3, |_| ("k".repeat(len / 2), list(len / 2, |_| json!([])))),
        ),
        (
            "a long name of texts",
            object(3, |_| ("k".repeat(len / 2), list(len / 2, |_| json!("a")))),
        ),
        (
            "a long escaped name",
            object(3, |_| {
                (
                    ESCAPED.0.to_string().repeat(len / 12),
                    list(len / 2, |_| json!("a")),
                )
            }),
        ),
        (
            "a long name in other letters",
            object(3, |_| ("é".repeat(len / 4), list(len / 2, |_| json!("a")))),
        ),
        ("names and values", {
            let names = crate::event::NAME_MEMBERS.all;
            object(len, |n| match names.get(n) {
                Some(name) => (
                    (*name).to_owned(),
                    json!(
                        names
                            .iter()
                            .map(|name| ((*name).to_owned(), json!(1)))
                            .collect::<serde_json::Map<_, _>>()
                    ),
                ),
                None => {
                    let word: String = "varcharvalue"
                        .bytes()
                        .enumerate()
                        .map(|(at, byte)| {
                            char::from(if n >> at & 1 == 1 {
                                byte.to_ascii_uppercase()
                            } else {
                                byte
                            })
                        })
                        .collect();
                    (word, json!(1))
                }
            })
        }),
        ("escapes", filled(&ESCAPED.0.to_string(), len / 6)),
        ("pairs of escapes", filled(&PAIR.0.to_string(), len / 12)),
        ("line ends", filled("\n", len / 2)),
        ("quotes", filled("\"", len / 2)),
        ("backslashes", filled("\\", len / 2)),
        (
            "a list as a text",
            Value::String(list(len, |_| json!([])).to_string()),
        ),
        ("members as a text", Value::String(wide(len).to_string())),
        (
            "a text as a text",
            Value::String(list(len, |_| json!("a\n")).to_string()),
        ),
        (
            "a broken text",
            Value::String(list(len, |_| json!([1])).to_string() + "]"),
        ),
        ("texts of lists", list(len, |_| json!("[[]]"))),
        (
            "texts of texts",
            list(len, |n| json!(format!("{{\"amount\": \"{n}\"}}"))),
        ),
        ("in strings", in_strings(3, wide(len / 4))),
        ("in more strings", in_strings(6, wide(len / 40))),
        (
            "many in strings",
            list(len, |n| in_strings(3, json!({ "k": n }))),
        ),
        (
            "base64",
            Value::String(base64(&"a secret thing ".repeat(len / 20))),
        ),
        (
            "base64 of JSON",
            Value::String(base64(&wide(len * 3 / 4).to_string())),
        ),
        (
            "many base64",
            list(len, |n| json!(base64(&format!("this is number {n}")))),
        ),
        (
            "data URLs",
            list(len, |n| {
                json!(format!("data:application/json,{{\"a\":{n}}}"))
            }),
        ),
        (
            "a call as a text",
            filled(
                "<tool_call>{\"name\": \"t\", \"arguments\": {}}</tool_call>",
                len,
            ),
        ),
    ]
}

/// Recorded half of an exchange with a JSON body.
struct Recorded {
    name: String,
    head: Vec<(String, String)>,
    request: Vec<u8>,
    /// Status and headers, for a response.
    response: Option<Vec<(String, String)>>,
    body: Value,
}

fn headers_of(half: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match &half["headers"] {
        Value::Object(all) => all
            .iter()
            .map(|(name, value)| (name.to_lowercase(), text(value)))
            .collect(),
        Value::Array(all) => all
            .iter()
            .map(|pair| (text(&pair[0]).to_lowercase(), text(&pair[1])))
            .collect(),
        _ => Vec::new(),
    }
}

/// Returns the number of kinds of locations in a body.
fn places(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(places).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(places).sum::<usize>(),
        _ => 1,
    }
}

/// Returns the request and the response with the most locations of each file, of moderate size.
fn recorded() -> Vec<Recorded> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traffic");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let mut best: [Option<Recorded>; 2] = [None, None];
        for line in text.lines() {
            let exchange: Value = serde_json::from_str(line).unwrap();
            let request = &exchange["request"];
            let part = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
            let mut head = vec![
                (":method".to_owned(), part("method")),
                (":path".to_owned(), part("path")),
                (":authority".to_owned(), part("host")),
                ("content-type".to_owned(), "application/json".to_owned()),
            ];
            head.extend(headers_of(request).into_iter().filter(|(name, _)| {
                !name.starts_with(':') && name != "content-type" && name != "content-length"
            }));
            for (side, slot) in best.iter_mut().enumerate() {
                let half = if side == 0 {
                    request
                } else {
                    &exchange["response"]
                };
                let bytes = super::work::body_of(half);
                let Ok(body) = serde_json::from_slice::<Value>(&bytes) else {
                    continue;
                };
                let is_better = slot
                    .as_ref()
                    .is_none_or(|known| places(&known.body) < places(&body));
                if bytes.len() < 6_000 && is_better {
                    *slot = Some(Recorded {
                        name: format!("{name} {}", if side == 0 { "request" } else { "response" }),
                        head: head.clone(),
                        request: super::work::body_of(request),
                        response: (side == 1).then(|| {
                            vec![
                                (":status".to_owned(), "200".to_owned()),
                                ("content-type".to_owned(), "application/json".to_owned()),
                            ]
                        }),
                        body,
                    });
                }
            }
        }
        all.extend(best.into_iter().flatten());
    }
    all
}

/// Adds every location in a value, as a pointer.
fn pointers(value: &Value, at: String, all: &mut Vec<String>) {
    all.push(at.clone());
    match value {
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate().take(3) {
                pointers(item, format!("{at}/{number}"), all);
            }
        }
        Value::Object(members) => {
            for (name, item) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(item, format!("{at}/{name}"), all);
            }
        }
        _ => {}
    }
}

fn written(body: &Value) -> Vec<u8> {
    let text = body.to_string();
    let text = text.replace(ESCAPED.0, ESCAPED.1).replace(PAIR.0, PAIR.1);
    text.into_bytes()
}

/// Returns the steps of processing a half.
fn spent(guard: &Rc<Guard>, recorded: &Recorded, body: &[u8]) -> u64 {
    fn pairs(headers: &[(String, String)]) -> Vec<(&[u8], &[u8])> {
        headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect()
    }
    let mut flow = Flow::new(Rc::clone(guard));
    let _ = flow.request_headers(&RequestHead {
        headers: &pairs(&recorded.head),
        end: false,
        properties: &crate::proxy::MemoryProperties::default(),
        now: NOW,
    });
    let mut request = if recorded.response.is_some() {
        recorded.request.as_slice()
    } else {
        body
    };
    if recorded.response.is_none() {
        flow.work = 1 << 60;
    }
    let _ = flow.request_body(&mut request, true, NOW);
    if let Some(headers) = &recorded.response {
        let _ = flow.response_headers(&ResponseHead {
            headers: &pairs(headers),
            end: false,
            now: NOW,
        });
        flow.work = 1 << 60;
        let mut body = body;
        let _ = flow.response_body(&mut body, true, NOW);
    }
    match flow.work > 1 << 59 {
        true => (1 << 60) - flow.work,
        false => guard.allowance.left_of(1 << 60, flow.work),
    }
}

/// Maximum steps per byte of a body, whatever its content. An exchange earns 32 per byte, and more depending on its
/// policy.
const MOST: u64 = 150;

/// Bytes of the content for a location.
const LEN: usize = 4_000;

/// One of this many bodies is tried.
const SHARE: usize = 211;

/// Change to a location of a body.
enum Filled<'f> {
    With(&'f str, &'f Value),
    /// Repeats the items of the list.
    Repeated,
    /// Adds members that the format doesn't know, or knows in another letter case.
    Beside(&'static str),
}

/// Returns a body with a changed location; `None` if there is nothing to change.
fn changed(body: &Value, at: &str, filled: &Filled<'_>) -> Option<Value> {
    let old = body.pointer(at)?;
    let new = match (filled, old) {
        (Filled::With(_, value), _) => (*value).clone(),
        (Filled::Repeated, Value::Array(items)) if !items.is_empty() => {
            list(LEN, |n| items[n % items.len()].clone())
        }
        (Filled::Beside(what), Value::Object(members)) => {
            let known: Vec<String> = members.keys().map(|name| name.to_uppercase()).collect();
            let Value::Object(more) = object(LEN, |n| match (*what, known.as_slice()) {
                ("models", _) => (format!("u{n}"), json!({"engine": 1})),
                ("variants", [_, ..]) => (format!("{}{n}", known[n % known.len()]), json!(n)),
                _ => (format!("u{n}"), json!(n)),
            }) else {
                return None;
            };
            Value::Object(members.clone().into_iter().chain(more).collect())
        }
        _ => return None,
    };
    let mut changed = body.clone();
    *changed.pointer_mut(at)? = new;
    Some(changed)
}

/// `AGENTGUARD_WORK=1 cargo test --lib however_it_is_filled -- --nocapture` tries every location with every content and
/// prints the most expensive ones; with 20 a twentieth, and so on.
#[test]
fn no_place_of_a_recorded_body_costs_much_more_however_it_is_filled() {
    let guard = guard(POLICY);
    let share = share();
    let fillers = fillers(LEN);
    let ways: Vec<Filled<'_>> = fillers
        .iter()
        .map(|(name, value)| Filled::With(name, value))
        .chain([Filled::Repeated])
        .chain(["members", "models", "variants"].map(Filled::Beside))
        .collect();
    let mut tried = Vec::new();
    let mut turn = 0;
    for recorded in recorded() {
        let mut all = Vec::new();
        pointers(&recorded.body, String::new(), &mut all);
        for pointer in &all {
            for way in &ways {
                turn += 1;
                if turn % share.unwrap_or(SHARE) != 0 {
                    continue;
                }
                let Some(body) = changed(&recorded.body, pointer, way) else {
                    continue;
                };
                let body = written(&body);
                let steps = spent(&guard, &recorded, &body) / u64::try_from(body.len()).unwrap();
                let way = match way {
                    Filled::With(name, _) => *name,
                    Filled::Repeated => "itself",
                    Filled::Beside(what) => *what,
                };
                tried.push((steps, format!("{} {pointer}: {way}", recorded.name)));
            }
        }
    }
    tried.sort();
    tried.reverse();
    assert!(tried.len() > 200, "{}", tried.len());
    if share.is_some() {
        for (steps, told) in tried.iter().take(60) {
            println!("{steps:>6} {told}");
        }
    }
    let over: Vec<_> = tried.iter().filter(|(steps, _)| *steps > MOST).collect();
    assert!(over.is_empty(), "{over:#?}");
}
