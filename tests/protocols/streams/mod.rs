//! What every stream does, whatever its protocol: each test runs over all of [`cases::CASES`].

mod cases;
mod pieces;

use agentguard::author::parse_yaml;
use agentguard::flow::simulation::{self, HttpMessage, SimulatedResult, run};
use agentguard::flow::{Action, Flow, Guard, RequestHead, ResponseHead, Transcript, transcript};
use agentguard::policy::{KillList, KillState, load};
use agentguard::protocol::{self, Recognised, RequestContext, Route, RouteHead};
use agentguard::wire::http::Path;
use agentguard::wire::json::{JsonBody, Limits};
use cases::{CASES, Client, Contract, Denied, Event, Said, StreamCase, Texts, Wire};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

const NOW: u64 = 1_763_622_245_000_000_000;

/// Rules that look at answers: text that is redacted, text that is denied, a tool that is.
const LOOKS: &str = "rules:
  - id: pii
    match: { event: [response, tool_result] }
    when: { text: { detects: email } }
    action: redact
  - id: swan
    match: { event: [response, tool_result] }
    when: { text: { contains: forbidden word } }
    action: deny
    reason: Not that word.
  - id: no-deleting
    match: { tool: delete_customer }
    action: deny
    reason: Customers stay.
";

/// One more, about card numbers.
const CARDS: &str = "  - id: cards
    match: { event: [response, tool_result] }
    when: { text: { detects: credit_card } }
    action: redact
";

// ---- An exchange ----------------------------------------------------------------------------------------------------

fn guard(case: &StreamCase, rules: &str) -> Rc<Guard> {
    let text = format!(
        "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: {{ name: test }}\n{}{rules}",
        case.policy
    );
    let loaded = load(&parse_yaml(&text).unwrap());
    let policy = loaded
        .policy
        .unwrap_or_else(|| panic!("{:?}\n{text}", loaded.diagnostics));
    simulation::guard(policy).unwrap()
}

fn request(case: &StreamCase) -> HttpMessage {
    let mut headers = vec![
        (":method", case.method),
        (":path", case.path),
        (":authority", case.host),
        ("content-type", "application/json"),
        ("x-request-id", "r-1"),
    ];
    headers.extend_from_slice(case.headers);
    HttpMessage::new(&headers, case.question.as_bytes())
}

/// An answer, cut into chunks at these places.
fn response(case: &StreamCase, body: &[u8], cuts: &[usize]) -> HttpMessage {
    let headers = [(":status", "200"), ("content-type", case.wire.media())];
    let mut half = HttpMessage::new(&headers, b"");
    let mut from = 0;
    for to in cuts
        .iter()
        .map(|cut| (*cut).min(body.len()))
        .chain([body.len()])
    {
        if to > from {
            half.chunks.push(body[from..to].to_vec());
            from = to;
        }
    }
    half
}

fn ask(case: &StreamCase, guard: &Rc<Guard>, body: &[u8], cuts: &[usize]) -> SimulatedResult {
    let answer = response(case, body, cuts);
    run(guard, &request(case), |_| answer, NOW)
}

fn record(seen: &SimulatedResult) -> Value {
    serde_json::from_slice(&seen.finished.line).unwrap()
}

/// An answer's bytes.
fn bytes(case: &StreamCase, said: &[Said<'_>]) -> Vec<u8> {
    case.wire.frames(&(case.answer)(said)).concat()
}

/// An answer with all that such answers can hold.
fn everything(case: &StreamCase) -> Vec<Event> {
    let text = Said::Text(&["Good ", "morn\u{1F600}", "", "ing."]);
    let call = Said::Call("find", &["{\"q\":", "\"a\\nb\"}"]);
    match (case.texts, case.calls) {
        (Texts::None, _) => (case.answer)(&[]),
        (_, Denied::NoCalls) => (case.answer)(&[text]),
        _ => (case.answer)(&[text, call]),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

// ---- A client -------------------------------------------------------------------------------------------------------

/// What a client takes out of a stream.
#[derive(Debug, Default)]
struct Heard {
    text: String,
    denial: String,
    calls: Vec<(String, String)>,
    finish: Option<String>,
    error: Option<String>,
}

/// The value in an event where a client looks, if it is the event for it.
fn look(event: &Value, at: &str) -> Option<Value> {
    let pointer = match at.split_once(' ') {
        None => at,
        Some((condition, pointer)) => {
            let (path, word) = condition.split_once('=').unwrap();
            let found = event.pointer(&format!("/{}", path.replace('.', "/")))?;
            (found == word || (found == &json!(true) && word == "true")).then_some(pointer)?
        }
    };
    event
        .pointer(pointer)
        .filter(|value| !value.is_null())
        .cloned()
}

fn find(event: &Value, places: &[&str]) -> Option<Value> {
    places.iter().find_map(|at| look(event, at))
}

fn text_in(event: &Value, places: &[&str]) -> Option<String> {
    find(event, places)?.as_str().map(str::to_owned)
}

fn heard(client: &Client, events: &[Event]) -> Heard {
    let mut heard = Heard::default();
    for (_, event) in events {
        heard.text.extend(text_in(event, client.text));
        heard.denial.extend(text_in(event, client.denial));
        if let Some(tool) = text_in(event, client.tool)
            // Some protocols name the tool with every piece.
            && heard.calls.last().is_none_or(|(last, _)| *last != tool)
        {
            heard.calls.push((tool, String::new()));
        }
        if let (Some(args), Some((_, all))) = (find(event, client.args), heard.calls.last_mut()) {
            match args {
                Value::String(part) => all.push_str(&part),
                whole => all.push_str(&whole.to_string()),
            }
        }
        heard.finish = text_in(event, client.finish).or(heard.finish);
        heard.error = text_in(event, client.error).or(heard.error);
    }
    heard
}

fn name_is_context(case: &StreamCase, seen: &SimulatedResult) -> Heard {
    let events = case.wire.events(&seen.client.body());
    for at in case.client.numbers {
        let mut next = 0;
        for number in events
            .iter()
            .filter_map(|(_, event)| look(event, at)?.as_u64())
        {
            assert!(number <= next, "a gap before {number} at {at}: {events:#?}");
            next = number + 1;
        }
    }
    heard(&case.client, &events)
}

/// The tools of a stream, by what its own reader finds in it; it has to find nothing wrong.
fn well_formed(case: &StreamCase, body: &[u8]) -> Transcript {
    let (route, asked) = asked(case);
    let reader = route.protocol.stream(&asked).unwrap();
    let transcript = transcript(body, case.wire.framing(), reader, super::BOUNDS);
    assert!(transcript.problems.is_empty(), "{:?}", transcript.problems);
    for part in &transcript.parts {
        let problems = &part.reading.problems;
        assert!(problems.is_empty(), "{problems:?} in {}", lossy(body));
    }
    transcript
}

fn asked(case: &StreamCase) -> (Route, RequestContext) {
    let path = Path::parse(case.path);
    let headers: Vec<(&[u8], &[u8])> = case
        .headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let head = RouteHead {
        method: case.method,
        host: case.host,
        path: &path,
        headers: &headers,
    };
    let by_body = || {
        let nest = JsonBody::scan(case.question.as_bytes(), Limits { max_depth: 64 }, 0).ok()?;
        protocol::recognise_body(&head, nest.body()?.root())
    };
    let route = match protocol::recognise(&head) {
        _ if case.protocol == "generic" => {
            let protocol = protocol::named("generic").unwrap();
            Route::new(protocol, protocol.assume(&head).unwrap(), &head)
        }
        Recognised::Protocol(route) => route,
        _ => by_body().unwrap(),
    };
    let mut asked = RequestContext::at(route.endpoint.clone());
    if let Ok((_, reading)) =
        protocol::read_request(&route, case.question.as_bytes(), super::BOUNDS)
    {
        asked.learn(&reading);
    }
    (route, asked)
}

// ---- Running over all -----------------------------------------------------------------------------------------------

/// Runs a test over every case, and tells of all that fail.
fn each(test: impl Fn(&StreamCase)) {
    let failed: Vec<&str> = CASES
        .iter()
        .filter(|case| catch_unwind(AssertUnwindSafe(|| test(case))).is_err())
        .map(|case| case.name)
        .collect();
    assert!(failed.is_empty(), "fails for {failed:#?}");
}

/// The same, over those that the contract is for. Those that are excused from it have to break it: an excuse that is no
/// longer needed is a failure.
fn each_bound_by(contract: Contract, test: impl Fn(&StreamCase)) {
    each(
        |case| match case.differs.iter().find(|(known, _)| *known == contract) {
            None => test(case),
            Some((_, reason)) => {
                let kept = catch_unwind(AssertUnwindSafe(|| test(case))).is_ok();
                assert!(!kept, "{} keeps to it after all: {reason}", case.name);
            }
        },
    );
}

fn has_calls(case: &StreamCase) -> bool {
    case.calls != Denied::NoCalls
}

/// What reads streams in a source file: types, and declarations for the state machines.
fn readers(source: &str) -> Vec<&str> {
    let types = ["impl StreamReader for ", "impl ChoiceFormat for "].into_iter();
    let types = types.flat_map(|begin| source.split(begin).skip(1));
    let types = types.filter_map(|rest| rest.split([' ', '<']).next());
    let declared = |line: &'static str| {
        let before = source
            .split(line)
            .map(|before| before.rsplit("const ").next());
        before.flatten().filter(|name| !name.contains([' ', '\n']))
    };
    let specs = [": &BlockSpec =", ": &TextSpec ="]
        .into_iter()
        .flat_map(declared);
    types.chain(specs).collect()
}

#[test]
fn the_declarations_for_the_state_machines_are_readers() {
    let source = "pub(super) const ONE: &TextSpec = &TextSpec {
        pub before: Option<&'static BlockSpec>,
        const TWO: &BlockSpec = &BlockSpec { ..*BASE };
        const BASE: &BlockSpec = &BlockSpec {
        impl ChoiceFormat for Three {
        impl<F: ChoiceFormat> StreamReader for Machine<F> {
        impl StreamReader for Four {";
    assert_eq!(readers(source), ["Four", "Three", "TWO", "BASE", "ONE"]);
}

#[test]
fn every_stream_that_is_read_has_a_case() {
    for protocol in protocol::all() {
        let mut rows = protocol.coverage().iter();
        if rows.any(|row| !row.stream.kinds().is_empty()) {
            let name = protocol.name();
            let has_case = CASES.iter().any(|case| case.protocol == name);
            assert!(
                has_case,
                "{name} reads streams: it needs a StreamCase in tests/protocols/streams/cases"
            );
        }
    }
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protocol");
    // The state machines themselves; their declarations are elsewhere.
    let machines = source.join("stream");
    let mut folders = vec![source];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path == machines {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for reader in readers(&text) {
                assert!(
                    CASES.iter().any(|case| case.reader == reader),
                    "{reader} in {} reads streams: it needs a StreamCase in tests/protocols/streams/cases",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_case_is_asked_where_it_says() {
    each(|case| {
        let (route, asked) = asked(case);
        assert_eq!(route.protocol.name(), case.protocol);
        assert!(route.protocol.stream(&asked).is_some());
        let whole = bytes(case, &[]);
        let seen = ask(case, &guard(case, "rules: []\n"), &whole, &[]);
        assert_eq!(record(&seen)["protocol"], case.protocol);
    });
}

// ---- Contracts ------------------------------------------------------------------------------------------------------

#[test]
fn untouched_streams_are_the_same_bytes_wherever_they_are_cut() {
    each(|case| {
        pass_untouched(case, &everything(case));
        if let Some(more) = case.more {
            let (events, expected) = more();
            let record = pass_untouched(case, &events);
            for (member, value) in expected.as_object().unwrap() {
                assert_eq!(record[member], *value, "{member} in {record}");
            }
        }
    });
}

/// The record of a stream that passes as it is, in both modes of the filter, wherever it is cut.
fn pass_untouched(case: &StreamCase, events: &[Event]) -> Value {
    let body = case.wire.frames(events).concat();
    let every = (1..body.len()).collect();
    let somewhere = (1..body.len()).step_by(71).map(|at| vec![at]);
    let cuts: Vec<Vec<usize>> = [vec![], every].into_iter().chain(somewhere).collect();
    let mut said = None;
    for headers in ["", "envoy: { headers: hold }\n"] {
        let guard = guard(case, &format!("{headers}{LOOKS}"));
        for cuts in &cuts {
            let seen = ask(case, &guard, &body, cuts);
            assert_eq!(lossy(&seen.client.body()), lossy(&body), "{cuts:?}");
            let mut record = record(&seen);
            for key in ["ts", "chain", "timing", "duration_ms", "policy"] {
                record.as_object_mut().unwrap().remove(key);
            }
            assert_eq!(*said.get_or_insert(record.clone()), record, "{cuts:?}");
        }
    }
    said.unwrap()
}

#[test]
fn the_record_tells_what_the_stream_says_of_itself() {
    each(|case| {
        let body = case.wire.frames(&everything(case)).concat();
        let record = record(&ask(case, &guard(case, LOOKS), &body, &[]));
        assert_eq!(record["decision"], "allow");
        assert_eq!(record["status"], 200);
        let expected = (case.record)();
        if expected.get("stream").is_none() {
            assert_eq!(record["stream"], true, "{record}");
        }
        for (member, value) in expected.as_object().unwrap() {
            assert_eq!(record[member], *value, "{member} in {record}");
        }
        if expected.get("events").is_none() {
            // What was asked, and each text and each call of the answer once, however often they are repeated.
            let mut events = json!({"message": 1, "request": 1, "response": 1});
            if has_calls(case) {
                events["tool_call"] = json!(1);
            }
            assert_eq!(record["events"], events);
        }
        if expected.get("coverage").is_none() {
            assert_eq!(record["coverage"], json!({"level": "full", "reasons": []}));
        }
        // Nothing is told that no case expects.
        for member in ["usage", "tools"] {
            assert!(
                record[member].is_null() || expected.get(member).is_some(),
                "{record}"
            );
        }
    });
}

#[test]
fn without_rules_about_answers_the_stream_passes_and_its_usage_is_noted() {
    each(|case| {
        let body = case.wire.frames(&everything(case)).concat();
        let seen = ask(case, &guard(case, "rules: []\n"), &body, &[7, 100]);
        assert_eq!(lossy(&seen.client.body()), lossy(&body));
        let record = record(&seen);
        let expected = (case.record)();
        for member in ["usage", "tools"] {
            if let Some(value) = expected.get(member) {
                assert_eq!(record[member], *value, "{member} in {record}");
            }
        }
    });
}

#[test]
fn a_text_is_redacted_across_events() {
    each(|case| {
        if case.texts == Texts::None {
            return;
        }
        let parts = ["write to anna", "@exam", "ple.com", " today, ", "and so on"];
        let body = bytes(case, &[Said::Text(&parts)]);
        for cuts in [vec![], (1..body.len()).collect()] {
            let seen = ask(case, &guard(case, LOOKS), &body, &cuts);
            let client = seen.client.body();
            assert_eq!(
                name_is_context(case, &seen).text,
                "write to [EMAIL] today, and so on"
            );
            assert!(!lossy(&client).contains("anna"), "{}", lossy(&client));
            let count = |bytes: &[u8]| case.wire.events(bytes).len();
            assert_eq!(count(&client), count(&body), "every event is still there");
            let record = record(&seen);
            assert_eq!(record["decision"], "redact", "{record}");
            assert_eq!(record["findings"], json!({"email": 1}));
            assert_eq!(record["rules"][0]["at"], case.at.0);
            well_formed(case, &client);
        }
    });
}

#[test]
fn two_texts_are_searched_each_on_its_own() {
    each(|case| {
        let Some(beside) = case.beside else { return };
        let mut events = vec![
            beside(0, "write to anna@exam"),
            beside(1, "ple.com, or to bob@exam"),
            beside(0, "ple.com now"),
            beside(1, "ple.com then"),
        ];
        events.extend((case.answer)(&[]));
        // Who asks for one answer may take whatever comes for it.
        let (n, candidates) = (r#"{"n":2,"#, r#"{"generationConfig":{"candidateCount":2},"#);
        let of_two = match case.protocol {
            "gemini.generate" => case.question.replacen('{', candidates, 1),
            "gemini.code_assist" => {
                let begin = r#""request":"#;
                let two = format!("{begin}{candidates}");
                case.question.replacen(&format!("{begin}{{"), &two, 1)
            }
            _ if case.question.contains(r#""n":2"#) => case.question.to_owned(),
            _ => case.question.replacen('{', n, 1),
        };
        let answer = response(case, &case.wire.frames(&events).concat(), &[]);
        let question = HttpMessage {
            chunks: vec![of_two.into_bytes()],
            ..request(case)
        };
        let seen = run(&guard(case, LOOKS), &question, |_| answer, NOW);
        let told = case.wire.events(&seen.client.body());
        let of = |choice: usize| {
            let events = [told[choice].clone(), told[choice + 2].clone()];
            heard(&case.client, &events).text
        };
        assert_eq!(of(0), "write to [EMAIL] now");
        assert_eq!(of(1), "ple.com, or to [EMAIL] then");
    });
}

#[test]
fn what_goes_across_from_one_text_to_the_next_is_found() {
    each_bound_by(Contract::Across, |case| {
        if case.texts == Texts::None {
            return;
        }
        for (first, second, rest) in [
            ("this is the forb", "idden word, and more", "idden"),
            ("pay 4111 1111 ", "1111 1111, and more", "1111 1111, and"),
        ] {
            let said = [Said::Text(&[first]), Said::Text(&[second])];
            let seen = ask(
                case,
                &guard(case, &format!("{LOOKS}{CARDS}")),
                &bytes(case, &said),
                &[],
            );
            let client = lossy(&seen.client.body());
            assert!(!client.contains(rest), "{client}");
            assert_ne!(record(&seen)["decision"], "allow");
            let said = [Said::Text(&[first]), Said::Text(&["and nothing more"])];
            let body = bytes(case, &said);
            let seen = ask(case, &guard(case, &format!("{LOOKS}{CARDS}")), &body, &[]);
            assert_eq!(lossy(&seen.client.body()), lossy(&body));
        }
    });
}

#[test]
fn a_denied_text_ends_the_stream_as_its_protocol_says_so() {
    each(|case| {
        if case.texts == Texts::None {
            return;
        }
        let parts = ["Well, ", "this is the forb", "idden wo", "rd and more"];
        let body = bytes(case, &[Said::Text(&parts)]);
        for cuts in [vec![], (1..body.len()).collect()] {
            let seen = ask(case, &guard(case, LOOKS), &body, &cuts);
            let client = lossy(&seen.client.body());
            let heard = name_is_context(case, &seen);
            assert!(
                heard.denial.ends_with("Not that word."),
                "{heard:?} in {client}"
            );
            assert!(
                !client.contains("forb") && !client.contains("idden"),
                "{client}"
            );
            if case.texts == Texts::InPieces && case.client.text != case.client.denial {
                assert_eq!(heard.text, "Well, ");
            }
            if case.refuses_by_error {
                assert_eq!(
                    heard.error.as_deref(),
                    Some("Not that word.").filter(|_| !case.client.error.is_empty())
                );
            } else {
                assert_eq!(heard.error, None);
                assert_eq!(heard.finish.as_deref(), case.refused);
            }
            assert!(!seen.cut);
            let record = record(&seen);
            assert_eq!(record["decision"], "deny");
            assert_eq!(record["code"], "AG3001");
            // The record tells how much had left.
            let mut reasons = record["coverage"]["reasons"].as_array().unwrap().iter();
            let cut = reasons.find_map(|reason| {
                let bytes = reason.as_str()?.strip_prefix("response:cut_after_")?;
                bytes.strip_suffix("_bytes")?.parse::<usize>().ok()
            });
            match case.texts {
                Texts::Whole => assert_eq!(cut, None),
                _ => assert!(
                    seen.client.body().starts_with(&body[..cut.unwrap()]),
                    "{record}"
                ),
            }
            well_formed(case, &seen.client.body());
        }
    });
}

#[test]
fn a_denied_text_is_an_error_where_the_policy_asks_for_one() {
    each(|case| {
        // A server of tools answers with an error of its own kind, whatever is asked for.
        if case.texts != Texts::InPieces || case.protocol == "mcp" {
            return;
        }
        let rules = LOOKS.replace("    reason: Not that word.\n", "    on_deny: error\n");
        let body = bytes(case, &[Said::Text(&["the forbidden", " word"])]);
        let seen = ask(case, &guard(case, &rules), &body, &[]);
        let heard = name_is_context(case, &seen);
        assert_eq!(
            heard.error.as_deref(),
            Some("Blocked by rule `swan`."),
            "{}",
            lossy(&seen.client.body())
        );
    });
}

#[test]
fn a_denied_call_is_left_out_and_the_texts_and_calls_around_it_stay() {
    each_bound_by(Contract::TextAroundCall, |case| {
        if !has_calls(case) {
            return;
        }
        let body = bytes(
            case,
            &[
                Said::Text(&["Let me ", "see. "]),
                Said::Call("delete_customer", &["{\"id\"", ":1}"]),
                Said::Call("find", &["{\"q\":", "\"x\"}"]),
            ],
        );
        for cuts in [vec![], (1..body.len()).collect()] {
            let seen = ask(case, &guard(case, LOOKS), &body, &cuts);
            let client = seen.client.body();
            let heard = name_is_context(case, &seen);
            let record = record(&seen);
            assert_eq!(record["decision"], "deny");
            assert_eq!(record["code"], "AG3001");
            assert_eq!(record["rules"][0]["at"], case.at.1);
            well_formed(case, &client);
            if let Denied::Error(_) = case.calls {
                assert_eq!(heard.error.as_deref(), Some("Customers stay."));
                assert_eq!(heard.calls, []);
                // What was held of the text is gone with the rest.
                assert!("Let me see. ".starts_with(&heard.text), "{heard:?}");
                continue;
            }
            assert_eq!(heard.error, None);
            assert!(heard.text.starts_with("Let me see. "), "{heard:?}");
            assert_eq!(record["tools"], json!(["delete_customer", "find"]));
            assert!(heard.text.contains("Customers stay."), "{heard:?}");
            assert_eq!(
                heard.calls,
                [("find".to_owned(), "{\"q\":\"x\"}".to_owned())]
            );
            let untouched = heard_of(case, &[Said::Text(&["x"]), Said::Call("find", &["{}"])]);
            assert_eq!(heard.finish, untouched.finish);
            // The stream ends as it did: with the same kind of event.
            let last = |bytes: &[u8]| case.wire.events(bytes).pop().unwrap().0;
            assert_eq!(last(&client), last(&body));
        }
    });
}

fn heard_of(case: &StreamCase, said: &[Said<'_>]) -> Heard {
    heard(&case.client, &(case.answer)(said))
}

#[test]
fn a_text_behind_a_denied_call_stays() {
    each_bound_by(Contract::TextAroundCall, |case| {
        let Denied::LeftOut(_) = case.calls else {
            return;
        };
        let body = bytes(
            case,
            &[
                Said::Call("delete_customer", &["{\"id\"", ":1}"]),
                Said::Text(&["And ", "more."]),
            ],
        );
        let seen = ask(case, &guard(case, LOOKS), &body, &[]);
        let heard = name_is_context(case, &seen);
        assert!(heard.text.contains("Customers stay."), "{heard:?}");
        assert!(heard.text.contains("And more."), "{heard:?}");
        assert_eq!((heard.calls, heard.error), (vec![], None));
        well_formed(case, &seen.client.body());
    });
}

#[test]
fn without_any_call_left_the_answer_ends_as_a_text_does() {
    each(|case| {
        let Denied::LeftOut(finish) = case.calls else {
            return;
        };
        let body = bytes(case, &[Said::Call("delete_customer", &["{\"id\"", ":1}"])]);
        let seen = ask(case, &guard(case, LOOKS), &body, &[]);
        let heard = name_is_context(case, &seen);
        assert!(heard.text.ends_with("Customers stay."), "{heard:?}");
        assert_eq!((heard.calls, heard.error), (vec![], None));
        assert_eq!(heard.finish.unwrap_or_default(), finish);
        well_formed(case, &seen.client.body());
    });
}

#[test]
fn a_call_is_judged_by_all_of_its_arguments() {
    each(|case| {
        if !has_calls(case) {
            return;
        }
        let rules = "rules:
  - id: amount
    match: { tool: pay }
    when: { args.amount: { greater_than: 100 } }
    action: deny
    reason: Too much.
";
        let guard = guard(case, rules);
        let pays = |rest: &str| bytes(case, &[Said::Call("pay", &["{\"amount\"", ": 1", rest])]);
        let little = pays("0}");
        let seen = ask(case, &guard, &little, &[50]);
        assert_eq!(lossy(&seen.client.body()), lossy(&little));
        let seen = ask(case, &guard, &pays("000}"), &[50]);
        let heard = name_is_context(case, &seen);
        assert_eq!(heard.calls, []);
        let told = [heard.text, heard.error.unwrap_or_default()].concat();
        assert!(told.contains("Too much."), "{}", lossy(&seen.client.body()));
    });
}

#[test]
fn arguments_are_redacted_across_their_pieces() {
    each(|case| {
        if !has_calls(case) {
            return;
        }
        let by_name = "rules:
  - { id: args, match: { event: tool_call }, when: { args.to: { detects: email } }, action: redact, redact: { what: args.to } }
";
        let by_part = "rules:
  - { id: args, match: { event: response, part: arguments }, when: { text: { detects: email } }, action: redact }
";
        let pieces = ["{\"to\":\"anna@ex", "ample.com\",", "\"n\":1}"];
        // Line ends between tokens are no ends of frames.
        let lines = [
            "{\n  \"to\": \"anna@ex",
            "ample.com\",\r\n",
            "  \"n\": 1\n}",
        ];
        for (pieces, (rules, label)) in [pieces, lines].iter().flat_map(|pieces| {
            [(by_name, "[REDACTED]"), (by_part, "[EMAIL]")].map(|rules| (pieces, rules))
        }) {
            let body = bytes(case, &[Said::Call("send", pieces)]);
            let seen = ask(case, &guard(case, rules), &body, &[50]);
            let client = lossy(&seen.client.body());
            let [(tool, args)] = &name_is_context(case, &seen).calls[..] else {
                panic!("{client}");
            };
            assert_eq!(tool, "send");
            let args: Value = serde_json::from_str(args).unwrap();
            assert_eq!(args, json!({"to": label, "n": 1}));
            assert!(!client.contains("anna"), "{client}");
            assert_eq!(record(&seen)["decision"], "redact");
            well_formed(case, &seen.client.body());
        }
    });
}

#[test]
fn what_is_only_observed_passes_and_is_recorded() {
    each_bound_by(Contract::Observed, |case| {
        if case.texts == Texts::None {
            return;
        }
        let mut said = vec![Said::Text(&["write to anna@exam", "ple.com now"])];
        if has_calls(case) {
            said.push(Said::Call("delete_customer", &["{}"]));
        }
        let body = bytes(case, &said);
        let rules = format!("mode: observe\n{LOOKS}");
        let seen = ask(case, &guard(case, &rules), &body, &[30, 90, 200]);
        assert_eq!(lossy(&seen.client.body()), lossy(&body));
        let record = record(&seen);
        assert_eq!(record["decision"], "allow");
        let would = if has_calls(case) { "deny" } else { "redact" };
        assert_eq!(record["would"], would);
        assert_eq!(record["findings"], json!({"email": 1}));
    });
}

#[test]
fn a_rule_about_the_whole_text_holds_it_to_its_end() {
    each_bound_by(Contract::Held, |case| {
        if case.texts == Texts::None {
            return;
        }
        let rules = "rules:
  - id: long
    match: { event: [response, tool_result] }
    when: { text: { length_greater_than: 10 } }
    action: deny
";
        let guard = guard(case, rules);
        let short = bytes(case, &[Said::Text(&["short", " one"])]);
        let seen = ask(case, &guard, &short, &[]);
        assert_eq!(lossy(&seen.client.body()), lossy(&short));
        let long = bytes(case, &[Said::Text(&["a long ", "answer it is"])]);
        let seen = ask(case, &guard, &long, &[]);
        let client = lossy(&seen.client.body());
        assert!(!client.contains("a long"), "{client}");
        let heard = name_is_context(case, &seen);
        assert!(
            heard.denial.ends_with("Blocked by rule `long`."),
            "{client}"
        );
    });
}

#[test]
fn a_stream_that_ends_early_gives_the_client_no_more_than_came() {
    each(|case| {
        let events = everything(case);
        let frames = case.wire.frames(&events);
        let whole = frames.concat();
        let guard = guard(case, LOOKS);
        let calls = heard(&case.client, &events).calls;
        let mut at = 0;
        for frame in &frames[..frames.len() - 1] {
            at += frame.len();
            let seen = ask(case, &guard, &whole[..at], &[at / 2]);
            let client = seen.client.body();
            // Either all that came, or its beginning and an error.
            if client != whole[..at] {
                let record = record(&seen);
                assert_eq!(
                    record["code"],
                    "AG2014",
                    "{} of {}",
                    lossy(&client),
                    lossy(&whole[..at])
                );
            }
            let heard = name_is_context(case, &seen);
            assert!(heard.error.is_some() || client == whole[..at]);
            // A call is there as a whole, or not at all.
            for call in &heard.calls {
                assert!(calls.contains(call), "{call:?}");
            }
        }
    });
}

#[test]
fn a_denied_call_does_not_pass_wherever_the_stream_ends() {
    each(|case| {
        if !has_calls(case) {
            return;
        }
        let call = Said::Call("delete_customer", &["{\"id\"", ":1}"]);
        let frames = case
            .wire
            .frames(&(case.answer)(&[Said::Text(&["So: "]), call]));
        let guard = guard(case, LOOKS);
        for count in 0..frames.len() {
            let body = frames[..count].concat();
            let heard = name_is_context(case, &ask(case, &guard, &body, &[]));
            assert_eq!(heard.calls, [], "after {count} frames");
        }
    });
}

#[test]
fn an_answer_without_a_reason_for_its_end_passes() {
    each(|case| {
        let mut events = everything(case);
        events.retain(|(_, event)| find(event, case.client.finish).is_none());
        let body = case.wire.frames(&events).concat();
        let seen = ask(case, &guard(case, LOOKS), &body, &[]);
        assert_eq!(lossy(&seen.client.body()), lossy(&body));
        assert_eq!(record(&seen)["decision"], "allow");
    });
}

#[test]
fn usage_may_come_first() {
    each(|case| {
        let mut events = everything(case);
        let is_usage = |(_, event): &Event| event["choices"] == json!([]);
        let Some(at) = events.iter().position(is_usage) else {
            return;
        };
        events.swap(0, at);
        let body = case.wire.frames(&events).concat();
        let seen = ask(case, &guard(case, LOOKS), &body, &[]);
        assert_eq!(lossy(&seen.client.body()), lossy(&body));
        assert_eq!(record(&seen)["usage"], (case.record)()["usage"]);
    });
}

#[test]
fn an_end_in_the_middle_of_a_frame_is_an_error() {
    each_bound_by(Contract::CutFrame, |case| {
        let frames = case.wire.frames(&everything(case));
        let guard = guard(case, LOOKS);
        let mut whole = frames[0].clone();
        whole.extend_from_slice(&frames[1][..frames[1].len() / 2]);
        let seen = ask(case, &guard, &whole, &[]);
        assert_eq!(
            record(&seen)["code"],
            "AG2014",
            "{}",
            lossy(&seen.client.body())
        );
        let heard = name_is_context(case, &seen);
        assert!(heard.error.is_some(), "{}", lossy(&seen.client.body()));
        // What came whole before is there.
        let client = seen.client.body();
        let kept = client.starts_with(&frames[0]) || case.texts != Texts::InPieces;
        assert!(kept || heard.error.is_some(), "{}", lossy(&client));
    });
}

#[test]
fn a_frame_that_is_no_json_is_an_error() {
    each(|case| {
        let mut events = (case.answer)(&[]);
        events.truncate(1);
        events.insert(0, (events[0].0.clone(), json!("{\"text\": ")));
        let seen = ask(
            case,
            &guard(case, LOOKS),
            &case.wire.frames(&events).concat(),
            &[],
        );
        assert_eq!(
            record(&seen)["code"],
            "AG2014",
            "{}",
            lossy(&seen.client.body())
        );
        assert!(
            name_is_context(case, &seen).error.is_some(),
            "{}",
            lossy(&seen.client.body())
        );
    });
}

#[test]
fn events_of_an_unknown_type_pass_and_their_words_are_searched() {
    each_bound_by(Contract::UnknownEvents, |case| {
        let asks = |words: &str| {
            let mut events = everything(case);
            events.insert(1, (case.unknown)(words));
            let body = case.wire.frames(&events).concat();
            (ask(case, &guard(case, LOOKS), &body, &[]), body)
        };
        let (seen, body) = asks("something new");
        assert_eq!(lossy(&seen.client.body()), lossy(&body));
        let (seen, _) = asks("the forbidden word");
        assert_eq!(record(&seen)["decision"], "deny");
        let client = lossy(&seen.client.body());
        assert!(!client.contains("forbidden word"), "{client}");
    });
}

#[test]
fn an_error_of_the_provider_passes() {
    each_bound_by(Contract::ProviderError, |case| {
        let Some(error) = (case.error)() else { return };
        let mut events = everything(case);
        events.truncate(2);
        events.push(error);
        let mut body = case.wire.frames(&events);
        if case.wire == Wire::Array {
            body.pop();
            body.push(b"]".to_vec());
        }
        let body = body.concat();
        let seen = ask(case, &guard(case, LOOKS), &body, &[]);
        assert_eq!(lossy(&seen.client.body()), lossy(&body));
        assert_eq!(record(&seen)["decision"], "allow");
        assert_eq!(
            name_is_context(case, &seen).error.as_deref(),
            Some("Overloaded")
        );
    });
}

#[test]
fn nothing_denied_passes_behind_the_end() {
    each_bound_by(Contract::BehindTheEnd, |case| {
        if case.texts == Texts::None || case.wire == Wire::Array {
            return;
        }
        let untouched = everything(case);
        let mut events = untouched.clone();
        events.extend((case.answer)(&[Said::Text(&["the forbidden", " word"])]));
        let body = case.wire.frames(&events).concat();
        let seen = ask(case, &guard(case, LOOKS), &body, &[]);
        let client = lossy(&seen.client.body());
        assert!(!client.contains("forbidden"), "{client}");
        let untouched = lossy(&case.wire.frames(&untouched).concat());
        assert!(client.starts_with(&untouched), "{client}");
        let record = record(&seen);
        let reasons = record["coverage"]["reasons"].as_array().unwrap();
        let is_dropped = reasons.contains(&json!("response:after_end"));
        assert!(is_dropped || record["decision"] == "deny", "{record}");
    });
}

#[test]
fn signs_of_life_pass() {
    each(|case| {
        let life: &[u8] = match case.wire {
            Wire::Sse => b": ping\n\n",
            Wire::Lines | Wire::Array => b"\n",
            // Every message of the event stream means something.
            Wire::Amazon | Wire::AmazonChunks => return,
        };
        let frames = case.wire.frames(&everything(case));
        let mut body = Vec::new();
        for (at, frame) in frames.iter().enumerate() {
            body.extend_from_slice(frame);
            if case.wire != Wire::Array || at + 1 < frames.len() {
                body.extend_from_slice(life);
            }
        }
        let seen = ask(case, &guard(case, LOOKS), &body, &[]);
        assert_eq!(lossy(&seen.client.body()), lossy(&body));
    });
}

/// An exchange whose response begins.
fn begun(case: &StreamCase, guard: &Rc<Guard>) -> Flow {
    let mut flow = Flow::new(Rc::clone(guard));
    let request = request(case);
    let headers = request.header_slices();
    let _ = flow.request_headers(&RequestHead {
        headers: &headers,
        end: case.question.is_empty(),
        properties: &agentguard::proxy::MemoryProperties::default(),
        now: NOW,
    });
    if !case.question.is_empty() {
        let _ = flow.request_body(&mut request.body().as_slice(), true, NOW);
    }
    let _ = flow.response_headers(&ResponseHead {
        headers: &[
            (b":status".as_slice(), b"200".as_slice()),
            (b"content-type", case.wire.media().as_bytes()),
        ],
        end: false,
        now: NOW,
    });
    flow
}

/// What becomes of frames that come so slowly, each with the second at which it comes.
fn slowly(case: &StreamCase, guard: &Rc<Guard>, frames: &[(&[u8], u64)]) -> Vec<Action> {
    let mut flow = begun(case, guard);
    let steps = frames.iter().map(|(frame, seconds)| {
        let mut bytes = *frame;
        let now = NOW + seconds * 1_000_000_000;
        flow.response_body(&mut bytes, false, now).action
    });
    steps.collect()
}

#[test]
fn what_is_held_for_long_is_kept_alive() {
    each(|case| {
        if case.texts != Texts::InPieces {
            return;
        }
        let rules = "rules:
  - id: long
    match: { event: response }
    when: { text: { length_greater_than: 1000 } }
    action: deny
";
        let guard = guard(case, rules);
        let events = (case.answer)(&[Said::Text(&["Hello", " there", " you", " all"])]);
        let is_text =
            |event: &Event| find(&event.1, case.client.text).is_some_and(|text| text != "");
        let first = events.iter().position(is_text).unwrap();
        let frames = case.wire.frames(&events);
        let begun = frames[..first].concat();
        let mut sent: Vec<(&[u8], u64)> = vec![(&frames[first], 1), (&frames[first + 1], 12)];
        if !begun.is_empty() {
            sent.insert(0, (&begun, 0));
        }
        let mut left = slowly(case, &guard, &sent).into_iter().rev();
        let (kept_alive, held) = (left.next().unwrap(), left.next().unwrap());
        assert_eq!(held, Action::Replace(Vec::new()));
        let Action::Replace(kept_alive) = kept_alive else {
            panic!("{kept_alive:?}")
        };
        assert_eq!(lossy(&kept_alive), case.keep_alive);
    });
}

/// What a client gets of a stream whose caller is stopped after some chunks.
fn killed(case: &StreamCase, guard: &Rc<Guard>, frames: &[Vec<u8>], after: usize) -> Vec<u8> {
    guard.kill.set(KillState::Absent);
    let list = r#"{"apiVersion":"agentguard.dev/v1","kind":"AgentKill","generation":1,
                   "kill":[{"all":true,"reason":"Everything leaks."}]}"#;
    let list = Rc::new(KillList::from_json(list.as_bytes()).unwrap());
    let mut flow = begun(case, guard);
    let mut client = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        if number == after {
            guard.kill.set(KillState::List(Rc::clone(&list)));
        }
        // Each in two pieces, so that one is mostly open.
        for piece in [&frame[..frame.len() / 2], &frame[frame.len() / 2..]] {
            let mut bytes = piece;
            match flow.response_body(&mut bytes, false, NOW).action {
                Action::Continue => client.extend_from_slice(piece),
                Action::Replace(bytes) => client.extend_from_slice(&bytes),
                Action::Hold => {}
                action => panic!("{}: {action:?}", case.name),
            }
        }
    }
    client
}

#[test]
fn a_stream_whose_caller_is_stopped_ends_validly_whoever_reads_it() {
    for rules in ["", LOOKS] {
        each(|case| {
            let guard = guard(case, rules);
            let events = everything(case);
            let frames = case.wire.frames(&events);
            for after in 0..frames.len() {
                let client = killed(case, &guard, &frames, after);
                let whole = killed(case, &guard, &frames, usize::MAX);
                if client == whole {
                    continue;
                }
                let events = format!("{:?}", case.wire.events(&client));
                assert!(
                    events.contains("Everything leaks."),
                    "{} after {after}: {events}",
                    case.name
                );
                well_formed(case, &client);
            }
        });
    }
}
