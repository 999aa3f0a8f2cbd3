//! What each reader makes of every recorded body, of streams of every kind, and of many bodies that differ from one in a single value or frame: the
//! reading, what a stream's frames add to texts and calls, and what reaches the other side where all texts are edited or
//! all calls are denied.
//!
//! `golden.txt` holds a digest for each protocol, half and change. Where one differs, `GOLDEN_DUMP=folder cargo test --test
//! traffic readings` writes the texts behind the digests; the same in a checkout of before, and `diff -r` shows the
//! difference. `GOLDEN_WRITE=1` writes the new digests.

#[path = "../../protocols/streams/cases/mod.rs"]
#[expect(
    dead_code,
    reason = "what clients make of a stream is tested elsewhere"
)]
mod cases;
mod dump;
mod vary;

use super::golden::{digest, hold_to};
use super::recorded;
use super::streams::{guard, messages};
use agentguard::event::{CustomCallFormat, CustomFormat};
use agentguard::flow::Guard;
use agentguard::flow::simulation::{HttpMessage, run};
use agentguard::protocol::stream::StreamReader;
use agentguard::protocol::{
    self, Bounds, Protocol, Reader, Recognised, RequestContext, Route, RouteHead,
};
use agentguard::wire::frame::{Frame, Frames, Framing};
use agentguard::wire::http::{ContentType, Path};
use agentguard::wire::json::{JsonBody, JsonPath, Limits};
use cases::{CASES, Denied, Said, StreamCase, Texts};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::rc::Rc;

/// All that a policy can make a reader look for.
const BOUNDS: Bounds = Bounds {
    max_depth: 64,
    nested_json: 4,
    results: true,
    result_args: true,
    repeats: None,
};

const NOW: u64 = 1_763_622_245_000_000_000;

/// Most changed bodies of each protocol and half, for each way to change one; and their bytes together, so that a few large
/// recordings don't take the time of all others.
const MOST_CASES: usize = 24;
const BYTES: usize = 40_000;

/// What a policy makes the filter do. Of changed bodies every so many meet it: that is what takes the time.
struct Meets {
    rules: &'static str,
    every: usize,
    from: usize,
}

const POLICIES: &[Meets] = &[
    Meets { every: 4, from: 0, rules:
    "  - { id: asked, match: { event: message, part: [text, reasoning] }, when: { text: { matches: '[aeiou]+' } }, action: redact, redact: { with: mask } }
  - { id: said, match: { event: response, part: [text, transcript] }, when: { text: { matches: '[aeiou]+' } }, action: redact }
  - { id: args, match: { event: tool_call }, when: { args: { matches: '[aeiou]' } }, action: redact, redact: { what: args, with: mask } }
  - { id: result, match: { event: tool_result }, when: { text: { matches: '[aeiou]' } }, action: redact }
" },
    Meets { every: 4, from: 2, rules:
    "  - { id: calls, match: { tool: '**' }, action: deny, on_deny: replace, reason: Not here. }
" },
    Meets { every: 8, from: 5, rules:
    "  - { id: said, match: { event: [response, tool_result] }, when: { text: { matches: '[aeiou]' } }, action: deny, reason: Not here. }
" },
];

/// The rules, and what makes every protocol known.
fn policies() -> impl Iterator<Item = String> {
    let mut protocols = CASES
        .iter()
        .filter_map(|case| case.policy.split_once("protocols:"));
    let (_, generic) = protocols.next_back().unwrap();
    let add = move |meets: &Meets| format!("{}protocols:{generic}", meets.rules);
    POLICIES.iter().map(add)
}

/// A recorded exchange of a protocol that is known.
struct Recorded {
    id: String,
    protocol: &'static dyn Protocol,
    route: Route,
    asked: RequestContext,
    request: HttpMessage,
    response: HttpMessage,
    /// How its answer is cut into frames, if it streams.
    framing: Option<Framing>,
}

fn read_recorded(exchange: &Value) -> Option<Recorded> {
    let (mut request, response) = messages(exchange);
    // The filter numbers requests without an id.
    let id = (b"x-request-id".to_vec(), b"r-1".to_vec());
    request.headers.push(id);
    let media = exchange["response"]["headers"]["content-type"].as_str();
    exchange_of(exchange["id"].as_str().unwrap(), request, response, media)
}

fn exchange_of(
    id: &str,
    request: HttpMessage,
    response: HttpMessage,
    media: Option<&str>,
) -> Option<Recorded> {
    let sent = request.body();
    let text = |name: &str| std::str::from_utf8(request.header(name).unwrap_or_default()).unwrap();
    let path = Path::parse(text(":path"));
    let headers: Vec<(&[u8], &[u8])> = request
        .headers
        .iter()
        .filter(|(name, _)| !name.starts_with(b":"))
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .collect();
    let head = RouteHead {
        method: text(":method"),
        host: text(":authority"),
        path: &path,
        headers: &headers,
    };
    let route = match protocol::recognise(&head) {
        _ if head.host == "desk.example" => {
            let generic = protocol::named("generic")?;
            let mut endpoint = generic.assume(&head)?;
            endpoint.shape = Some(Rc::new(shape()));
            Route::new(generic, endpoint, &head)
        }
        Recognised::Protocol(route) => route,
        Recognised::ByBody => {
            let nest = JsonBody::scan(&sent, Limits { max_depth: 64 }, 0).ok()?;
            protocol::recognise_body(&head, nest.body()?.root())?
        }
        _ => return None,
    };
    let mut asked = RequestContext::at(route.endpoint.clone());
    if let Ok((_, reading)) = protocol::read_request(&route, &sent, BOUNDS) {
        asked.learn(&reading);
    }
    let media = ContentType::parse(media.map(str::as_bytes)).media;
    let framing = route.protocol.framing(&asked, media);
    let framing = framing.filter(|_| route.protocol.stream(&asked).is_some());
    Some(Recorded {
        id: id.to_owned(),
        protocol: route.protocol,
        route,
        asked,
        request,
        response,
        framing,
    })
}

/// Which body of an exchange is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Request,
    Answer,
    Stream,
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Side::Request => "request",
            Side::Answer => "answer",
            Side::Stream => "stream",
        }
    }

    fn body(self, of: &Recorded) -> Option<Vec<u8>> {
        match self {
            Side::Request => Some(of.request.body()),
            Side::Answer => of.framing.is_none().then(|| of.response.body()),
            Side::Stream => of.framing.map(|_| of.response.body()),
        }
    }
}

/// A body of which one thing was changed, and what was.
struct Case<'r> {
    of: &'r Recorded,
    what: String,
    body: Vec<u8>,
}

/// The change that is none.
const RECORDED: &str = "as recorded";

/// The cases of each change.
type Changes<'r> = BTreeMap<String, Vec<Case<'r>>>;

// ---- What is seen of a body -----------------------------------------------------------------------------------------

fn read_body(out: &mut String, side: Side, of: &Recorded, body: &[u8]) {
    let read = match side {
        Side::Request => protocol::read_request(&of.route, body, BOUNDS),
        Side::Answer => protocol::read_response(of.protocol, &of.asked, body, BOUNDS),
        Side::Stream => {
            if let Some(framing) = of.framing {
                let reader = of.protocol.stream(&of.asked).unwrap();
                read_stream(out, reader, framing, body);
            }
            return;
        }
    };
    match read {
        Ok((nest, reading)) => dump::reading(out, &nest, &reading),
        Err(problem) => {
            let _ = writeln!(out, "unread {} at {}", problem.code, problem.at);
        }
    }
}

fn frames(framing: Framing, body: &[u8]) -> Vec<Frame> {
    let mut frames = Frames::new(framing, body.len() + 1);
    frames.push(body);
    let mut all = Vec::new();
    while let Ok(Some(frame)) = frames.next_frame() {
        all.push(frame);
    }
    all.extend(frames.finish().ok().flatten());
    all
}

fn read_stream(out: &mut String, mut reader: Box<dyn StreamReader>, framing: Framing, body: &[u8]) {
    for frame in frames(framing, body) {
        let _ = writeln!(out, "# {}", frame.event.as_deref().unwrap_or("-"));
        let Some(payload) = frame.payload.as_deref() else {
            continue;
        };
        if reader.is_end(payload) {
            out.push_str("end mark\n");
            continue;
        }
        let json = reader.unwrap(payload);
        let Some(Ok(mut read)) = json.map(|json| Reader::of_frame(json, BOUNDS)) else {
            out.push_str("no JSON\n");
            continue;
        };
        if let Some(body) = read.body() {
            reader.read(&mut read, body.root(), frame.event.as_deref());
        }
        let (nest, reading, told) = read.finish_frame();
        reader.passed();
        dump::reading(out, &nest, &reading);
        dump::frame(out, &nest, &told);
    }
}

/// What reaches the other side under a policy.
fn pass_body(out: &mut String, guard: &Rc<Guard>, side: Side, of: &Recorded, body: &[u8]) {
    let with = |half: &HttpMessage| HttpMessage {
        chunks: if body.is_empty() {
            Vec::new()
        } else {
            vec![body.to_vec()]
        },
        ..half.clone()
    };
    let seen = match side {
        Side::Request => {
            let headers = [(":status", "200"), ("content-type", "application/json")];
            let answer = HttpMessage::new(&headers, b"{}");
            run(guard, &with(&of.request), |_| answer, NOW)
        }
        Side::Answer | Side::Stream => run(guard, &of.request, |_| with(&of.response), NOW),
    };
    let line: Value = serde_json::from_slice(&seen.finished.line).unwrap();
    for key in [
        "decision", "code", "rules", "tools", "usage", "finish", "model", "coverage",
    ] {
        let _ = writeln!(out, "{key} {}", line[key]);
    }
    if side == Side::Request
        && let Some(upstream) = &seen.upstream
    {
        let _ = writeln!(out, "upstream {}", upstream.body().escape_ascii());
    }
    if side != Side::Request || !seen.upstream_complete {
        let client = &seen.client;
        let _ = writeln!(
            out,
            "client {:?}{} {}",
            client.status(),
            if seen.cut { " cut" } else { "" },
            client.body().escape_ascii()
        );
    }
}

// ---- Changes --------------------------------------------------------------------------------------------------------

/// Members of a list from its beginning to its end, as many as there is time for; `size` tells the bytes of one. Another
/// number takes others.
fn some<T>(mut list: Vec<T>, mut number: usize, size: impl Fn(&T) -> usize) -> Vec<T> {
    let all = list.len();
    let bytes: usize = list.iter().map(size).sum();
    let kept = (BYTES * all / bytes.max(1)).clamp(4, MOST_CASES);
    list.retain(|_| {
        let is_kept = all <= kept || number * kept % all < kept;
        number += 1;
        is_kept
    });
    list
}

fn whole_changes<'r>(side: Side, of: &[&'r Recorded], changes: &mut Changes<'r>) {
    let bodies: Vec<(usize, String)> = of
        .iter()
        .enumerate()
        .filter_map(|(number, of)| {
            let body = String::from_utf8(side.body(of)?).ok()?;
            serde_json::from_str::<Value>(&body).ok()?;
            Some((number, body))
        })
        .collect();
    let texts: Vec<(String, &str)> = bodies
        .iter()
        .map(|(number, body)| (of[*number].asked.endpoint.name.to_owned(), body.as_str()))
        .collect();
    let nodes = vary::one_of_each_path(&texts);
    for (number, (name, change)) in vary::CHANGES.iter().enumerate() {
        let cases = nodes.iter().filter_map(|(text, node)| {
            let (recording, body) = &bodies[*text];
            Some(Case {
                of: of[*recording],
                what: node.path.clone(),
                body: vary::changed(body, node, *change)?.into_bytes(),
            })
        });
        let cases = some(cases.collect(), number, |case: &Case<'_>| case.body.len());
        changes.insert((*name).to_owned(), cases);
    }
}

/// A name, and what becomes of a stream's frames; it is about the one with this number.
type FrameChange = (&'static str, fn(&mut Vec<Vec<u8>>, usize));

/// A stream of which one frame was changed, or taken to another place.
const FRAME_CHANGES: &[FrameChange] = &[
    ("frame left out", |frames, at| drop(frames.remove(at))),
    ("frame twice", |frames, at| {
        frames.insert(at, frames[at].clone())
    }),
    ("frame behind the next", |frames, at| {
        if at + 1 < frames.len() {
            frames.swap(at, at + 1);
        }
    }),
    ("nothing behind the frame", |frames, at| {
        frames.truncate(at + 1)
    }),
    ("cut inside the frame", |frames, at| {
        frames.truncate(at + 1);
        let half = frames[at].len() / 2;
        frames[at].truncate(half);
    }),
    ("every frame from here twice", |frames, at| {
        let again = frames[at..].to_vec();
        frames.extend(again);
    }),
];

/// Frames of one kind are changed in the same way: what one is, as far as the framing and its JSON say.
fn stream_changes<'r>(of: &[&'r Recorded], changes: &mut Changes<'r>) {
    /// A frame of a stream: number of the recording, number of the frame.
    struct At(usize, usize);
    let mut streams: Vec<(usize, Vec<Frame>)> = Vec::new();
    let mut texts: Vec<(At, String, String)> = Vec::new();
    let mut kinds: BTreeMap<String, At> = BTreeMap::new();
    let mut order: Vec<usize> = (0..of.len()).collect();
    order.sort_by_key(|number| of[*number].response.body().len());
    for number in order {
        let Some(framing) = of[number].framing else {
            continue;
        };
        let reader = of[number].protocol.stream(&of[number].asked).unwrap();
        let all = frames(framing, &of[number].response.body());
        for (at, frame) in all.iter().enumerate() {
            let json = frame
                .payload
                .as_deref()
                .and_then(|payload| reader.unwrap(payload));
            let json = json.and_then(|json| String::from_utf8(json).ok());
            let json = json.filter(|json| serde_json::from_str::<Value>(json).is_ok());
            let endpoint = of[number].asked.endpoint.name;
            let event = frame.event.as_deref().unwrap_or_default();
            let mut kind = format!("{endpoint} {event}");
            if let Some(json) = json {
                let nodes = vary::nodes(&json);
                let shape = nodes.iter().take(40).map(|node| node.path.as_str());
                let shape: String = shape.collect::<Vec<_>>().join(" ");
                texts.push((At(streams.len(), at), kind.clone(), json));
                kind.push_str(&shape);
            }
            kinds.entry(kind).or_insert(At(streams.len(), at));
        }
        streams.push((number, all));
    }
    let raw = |stream: usize| -> Vec<Vec<u8>> {
        let frames = streams[stream].1.iter();
        frames.map(|frame| frame.raw.clone()).collect()
    };
    let length = |stream: usize| of[streams[stream].0].response.body().len();
    for (number, (name, change)) in FRAME_CHANGES.iter().enumerate() {
        let places = some(kinds.iter().collect(), number, |(_, At(stream, _))| {
            length(*stream)
        });
        let cases = places.into_iter().map(|(kind, At(stream, at))| {
            let mut frames = raw(*stream);
            change(&mut frames, *at);
            Case {
                of: of[streams[*stream].0],
                what: kind.clone(),
                body: frames.concat(),
            }
        });
        changes.insert((*name).to_owned(), cases.collect());
    }
    let named: Vec<(String, &str)> = texts
        .iter()
        .map(|(_, kind, json)| (kind.clone(), json.as_str()))
        .collect();
    let nodes = vary::one_of_each_path(&named);
    for (number, (name, change)) in vary::CHANGES.iter().enumerate() {
        let places = nodes.iter().filter_map(|(text, node)| {
            let changed = vary::changed(&texts[*text].2, node, *change)?;
            Some((&texts[*text], node, changed))
        });
        let places = some(places.collect(), number, |((At(stream, _), ..), ..)| {
            length(*stream)
        });
        let cases = places
            .into_iter()
            .map(|((At(stream, at), kind, _), node, json)| {
                let of = of[streams[*stream].0];
                let reader = of.protocol.stream(&of.asked).unwrap();
                let frame = &streams[*stream].1[*at];
                let payload = reader.wrap(frame.payload.as_deref(), json.into_bytes());
                let mut frames = raw(*stream);
                frames[*at] = frame.with_payload(&payload);
                Case {
                    of,
                    what: format!("{kind} {}", node.path),
                    body: frames.concat(),
                }
            });
        changes.insert((*name).to_owned(), cases.collect());
    }
}

/// All cases of a protocol.
fn cases<'r>(side: Side, of: &[&'r Recorded], others: &'r [Recorded]) -> Changes<'r> {
    let mut changes = Changes::new();
    let recorded = of.iter().filter_map(|of| {
        Some(Case {
            of,
            what: of.id.clone(),
            body: side.body(of)?,
        })
    });
    let recorded: Vec<Case<'r>> = recorded.collect();
    let Some(first) = recorded.iter().min_by_key(|case| case.body.len()) else {
        return changes;
    };
    let first = first.of;
    // The shortest body of every other protocol.
    let mut foreign: BTreeMap<&str, Case<'r>> = BTreeMap::new();
    for other in others {
        let name = other.protocol.name();
        if name == first.protocol.name() || (side == Side::Stream && other.framing != first.framing)
        {
            continue;
        }
        let Some(body) = side.body(other).filter(|body| !body.is_empty()) else {
            continue;
        };
        let is_shorter = |known: &&mut Case<'_>| known.body.len() > body.len();
        let case = Case {
            of: first,
            what: format!("{name} {}", other.id),
            body: body.clone(),
        };
        match foreign.get_mut(name) {
            None => drop(foreign.insert(name, case)),
            Some(known) => {
                if is_shorter(&known) {
                    *known = case;
                }
            }
        }
    }
    changes.insert(
        "body of another protocol".to_owned(),
        foreign.into_values().collect(),
    );
    match side {
        Side::Request | Side::Answer => whole_changes(side, of, &mut changes),
        Side::Stream => stream_changes(of, &mut changes),
    }
    changes.insert(RECORDED.to_owned(), recorded);
    changes
}

// ---- The golden -----------------------------------------------------------------------------------------------------

/// The text behind a digest.
fn text(guards: &[Rc<Guard>], side: Side, change: &str, cases: &[Case<'_>]) -> String {
    let mut out = String::new();
    for (at, case) in cases.iter().enumerate() {
        let _ = writeln!(out, "==== {} at {}", case.of.id, case.what);
        read_body(&mut out, side, case.of, &case.body);
        for (number, guard) in guards.iter().enumerate() {
            let Meets { every, from, .. } = POLICIES[number];
            if change != RECORDED && at % every != from {
                continue;
            }
            let _ = writeln!(out, "-- {number}");
            pass_body(&mut out, guard, side, case.of, &case.body);
        }
    }
    out
}

/// All recordings, and the streams that every reader of one is tested with.
fn all_recorded() -> Vec<Recorded> {
    let recorded = recorded();
    let recorded = recorded.iter().filter_map(read_recorded);
    recorded.chain(CASES.iter().flat_map(made)).collect()
}

/// Streams of a case: one with everything in it, and one whose parts are denied and edited.
fn made(case: &StreamCase) -> Vec<Recorded> {
    let text = Said::Text(&["Good ", "morn\u{1F600}", "", "ing."]);
    let call = |name| Said::Call(name, &["{\"q\":", "\"a\\nb\"}"]);
    let answers: &[&[Said<'_>]] = match (case.texts, case.calls) {
        (Texts::None, _) => &[&[]],
        (_, Denied::NoCalls) => &[&[text], &[text, text]],
        _ => &[
            &[text, call("find")],
            &[text, call("find"), call("seek"), text],
        ],
    };
    let mut headers = vec![
        ("x-request-id", "r-1"),
        (":method", case.method),
        (":path", case.path),
        (":authority", case.host),
        ("content-type", "application/json"),
    ];
    headers.extend_from_slice(case.headers);
    let media = case.wire.media();
    let mut streams: Vec<_> = answers.iter().map(|said| (case.answer)(said)).collect();
    streams.extend(case.more.map(|more| more().0));
    let made = streams.iter().enumerate().map(|(number, events)| {
        let body = case.wire.frames(events).concat();
        exchange_of(
            &format!("{} {number}", case.name),
            HttpMessage::new(&headers, case.question.as_bytes()),
            HttpMessage::new(&[(":status", "200"), ("content-type", media)], &body),
            Some(media),
        )
        .unwrap()
    });
    made.collect()
}

/// What a policy says of the endpoint that only it knows.
fn shape() -> CustomFormat {
    let path = |path: &str| JsonPath::parse(path).unwrap();
    CustomFormat {
        texts: vec![path("$.title"), path("$.reply")],
        calls: vec![CustomCallFormat {
            at: path("$.actions[*]"),
            name: path("$.tool"),
            args: Some(path("$.input")),
        }],
        ..CustomFormat::default()
    }
}

/// The digests of one protocol, each with what it is about.
fn digests(
    name: &str,
    all: &[Recorded],
    guards: &[Rc<Guard>],
    dump: Option<&std::path::Path>,
) -> Vec<(String, String)> {
    let of: Vec<&Recorded> = all.iter().filter(|of| of.protocol.name() == name).collect();
    let mut found = Vec::new();
    for side in [Side::Request, Side::Answer, Side::Stream] {
        for (change, cases) in cases(side, &of, all) {
            if cases.is_empty() {
                continue;
            }
            let text = text(guards, side, &change, &cases);
            let what = format!("{name} {}, {change}", side.word());
            if let Some(folder) = dump {
                std::fs::create_dir_all(folder).unwrap();
                let file = what.replace([' ', ','], "-");
                std::fs::write(folder.join(format!("{file}.txt")), &text).unwrap();
            }
            found.push((what, format!("{} {}", digest(&text), cases.len())));
        }
    }
    found
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/traffic/readings/golden.txt")
}

#[test]
fn readings_pieces_and_edits_of_recorded_and_changed_bodies_are_as_they_were() {
    let dump = std::env::var_os("GOLDEN_DUMP").map(PathBuf::from);
    let names: Vec<&str> = protocol::all().map(|protocol| protocol.name()).collect();
    let next = std::sync::Mutex::new(names.iter());
    let found = std::sync::Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let all = all_recorded();
                let guards: Vec<Rc<Guard>> = policies().map(|rules| guard(&rules)).collect();
                while let Some(name) = { next.lock().unwrap().next() } {
                    let digests = digests(name, &all, &guards, dump.as_deref());
                    found.lock().unwrap().extend(digests);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    let text = found
        .iter()
        .fold(String::new(), |mut text, (what, digest)| {
            let _ = writeln!(text, "{digest} {what}");
            text
        });
    hold_to(&file(), &text);
}

/// A body whose turns and tools are looked up, whatever its size: what stands behind it means nothing.
fn padded(body: &[u8]) -> Vec<u8> {
    [body, &[b' '; 1_024]].concat()
}

/// A reading in which events without texts name no place among the texts.
fn without_empty_ranges(read: &str) -> String {
    let is_empty = |word: &&str| {
        word.split_once("..")
            .is_some_and(|(start, end)| start == end)
    };
    let words = read.split(' ').filter(|word| !is_empty(word));
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_request_is_read_alike_whatever_came_before_it() {
    let exchanges = recorded();
    let by_id: BTreeMap<&str, &Value> = exchanges
        .iter()
        .map(|exchange| (exchange["id"].as_str().unwrap(), exchange))
        .collect();
    let all: Vec<Recorded> = exchanges.iter().filter_map(read_recorded).collect();
    for protocol in protocol::all() {
        let of = all
            .iter()
            .filter(|of| of.protocol.name() == protocol.name());
        let of: Vec<&Recorded> = of.collect();
        let cases: Vec<Case<'_>> = cases(Side::Request, &of, &all)
            .into_values()
            .flatten()
            .collect();
        let read = |of: &Recorded, body: &[u8]| {
            let mut out = String::new();
            read_body(&mut out, Side::Request, of, &padded(body));
            without_empty_ranges(&out)
        };
        // In a thread of its own, which has hardly seen anything.
        let alone: Vec<String> = cases
            .iter()
            .map(|case| {
                let (exchange, body) = (by_id[case.of.id.as_str()], &case.body);
                std::thread::scope(|scope| {
                    let alone = scope.spawn(|| read(&read_recorded(exchange).unwrap(), body));
                    alone.join().unwrap()
                })
            })
            .collect();
        for round in 0..4 {
            for (case, alone) in cases.iter().zip(&alone) {
                assert_eq!(
                    &read(case.of, &case.body),
                    alone,
                    "{round} {} {}",
                    case.of.id,
                    case.what
                );
            }
        }
    }
}
