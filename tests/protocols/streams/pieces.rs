//! A response leads to the same however it is cut: into deltas, into chunks of bytes, into lines of events; under several rules
//! at once, and with caches that are cold or warm.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

/// Parts of texts and of arguments: what rules look for, its beginnings and ends, disguises, marks of written calls.
const FRAGMENTS: &[&str] = &[
    " ",
    "\n",
    "word ",
    "the ",
    "4111 1111 1111 1111",
    "4111 1111 ",
    "1111 1111",
    "078-05-1120",
    "anna@example.com",
    "bob@",
    "example.com",
    "%40example.com",
    "&commat;",
    "forbidden",
    "for\u{200b}bidden",
    "f&#111;rbidden",
    "\\u0066orbidden",
    "ｆｏｒｂｉｄｄｅｎ",
    "swan\t\r\n  lake",
    "swan ",
    "lake",
    "Straße",
    "СЕКРЕТНЫЙ",
    " КоД",
    "日本語",
    "😀",
    "e\u{301}",
    "\u{200d}",
    "\u{e0041}",
    "AKIAQ3EGRIKTNZ4PXW7D",
    "password: hunter2hunter2",
    "+49 30 1234567",
    "DE89370400440532013000",
    "AB-",
    "9999",
    "x",
    "y",
    "end",
    "name,ssn,password\n",
    "Ann,536221234,kX9#mQ2vL\n",
    "YW5uYUBleGFtcGxlLmNvbQ==",
    "{\"a\":",
    "}",
    "\"",
    "\\",
    "<tool_call>",
    "{\"name\": \"delete_customer\", \"arguments\": {}}",
    "\nAction:",
];

const RULES: &[&str] = &[
    "{ id: pii, match: { event: response }, when: { text: { detects: pii } }, action: redact }",
    "{ id: last4, match: { event: response }, when: { text: { detects: credit_card } }, action: redact, redact: { with: last4 } }",
    "{ id: secrets, match: { event: response }, when: { text: { detects: secrets } }, action: redact, redact: { with: mask } }",
    "{ id: injection, match: { event: response }, when: { text: { detects: injection } }, action: tag, tags: [injection] }",
    "{ id: words, match: { event: response }, when: { text: { contains_any: [forbidden, Straße, Секретный код] } }, action: redact, redact: { with: remove } }",
    "{ id: pattern, match: { event: response }, when: { text: { matches: ['AB-[0-9]{4,9}', 'x+y', '\\bend\\b'] } }, action: redact }",
    "{ id: both, match: { event: response }, when: { all: [{ text: { detects: email } }, { text: { contains: word } }] }, action: redact, redact: { label: both } }",
    "{ id: unless, match: { event: response }, when: { text: { detects: email } }, unless: { text: { contains: word } }, action: redact }",
    "{ id: long, match: { event: response }, when: { text: { length_greater_than: 60 } }, action: tag, tags: [long] }",
    "{ id: begins, match: { event: response }, when: { text: { starts_with: the } }, action: tag, tags: [begins] }",
    "{ id: observed, mode: observe, match: { event: response }, when: { text: { detects: [iban, phone] } }, action: deny }",
    "{ id: argument, match: { tool: send }, when: { args.to: { detects: email } }, action: redact, redact: { what: args.to } }",
    "{ id: arguments, match: { event: response, part: arguments }, when: { text: { detects: [email, credit_card] } }, action: redact }",
    "{ id: delete, match: { tool: delete_customer }, action: deny, reason: Customers stay. }",
    "{ id: lake, match: { event: response }, when: { text: { contains: swan lake } }, action: deny, reason: Not that word. }",
];

fn any_text() -> impl Strategy<Value = String> {
    let fragments = prop::collection::vec(prop::sample::select(FRAGMENTS), 1..9);
    fragments.prop_map(|fragments| fragments.concat())
}

/// A text, or the arguments of a call of a tool, in one line or in several.
fn any_said() -> impl Strategy<Value = (Option<&'static str>, String)> {
    let tool = prop::sample::select(&["send", "find", "delete_customer"][..]);
    let call =
        (tool, any_text(), any_text(), any::<bool>()).prop_map(|(tool, to, other, lines)| {
            let arguments = json!({"to": to, "n": 1, "in": {"x": [other]}});
            let written = match lines {
                true => serde_json::to_string_pretty(&arguments).unwrap(),
                false => arguments.to_string(),
            };
            (Some(tool), written)
        });
    prop_oneof![2 => any_text().prop_map(|text| (None, text)), 1 => call]
}

fn cut<'t>(text: &'t str, cuts: &[Index]) -> Vec<&'t str> {
    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|cut| text.floor_char_boundary(cut.index(text.len() + 1)))
        .collect();
    ends.push(text.len());
    ends.sort_unstable();
    let mut start = 0;
    let mut piece = |end| {
        let piece = text.get(start..end).unwrap();
        start = end;
        piece
    };
    ends.into_iter().map(&mut piece).collect()
}

/// The same events as a server may write them: each line ends in this way, and JSON takes several lines.
fn rewritten(body: &[u8], line_end: &str) -> Vec<u8> {
    let mut out = String::new();
    for line in std::str::from_utf8(body).unwrap().split_terminator('\n') {
        let data = line.strip_prefix("data: ").unwrap_or_default();
        match serde_json::from_str::<Value>(data) {
            Ok(event) => {
                let written = serde_json::to_string_pretty(&event).unwrap();
                let lines = written.lines();
                out.extend(lines.map(|line| format!("data:{line}{line_end}")));
            }
            Err(_) => out.extend([line, line_end]),
        }
    }
    out.into_bytes()
}

/// Lines and JSON as [`Wire::frames`] writes them.
fn as_usual(body: &[u8]) -> Vec<u8> {
    let text = lossy(body).replace("\r\n", "\n").replace('\r', "\n");
    let events = text.split("\n\n").map(|event| {
        let (data, others): (Vec<&str>, Vec<&str>) =
            event.lines().partition(|line| line.starts_with("data:"));
        let data: Vec<&str> = data
            .iter()
            .map(|line| line.trim_start_matches("data:").trim())
            .collect();
        let data = (!data.is_empty()).then(|| format!("data: {}", data.concat()));
        let lines = others.into_iter().map(str::to_owned).chain(data);
        lines.map(|line| line + "\n").collect::<String>() + "\n"
    });
    events.collect::<String>().into_bytes()
}

/// What a client and an auditor get to know. Of a response that was ended, how much had left depends on its pieces.
fn told(case: &StreamCase, seen: &SimulatedResult, body: &[u8], is_call: bool) -> Value {
    let record = record(seen);
    let heard = heard(&case.client, &case.wire.events(body));
    let mut told = json!({"decision": record["decision"], "code": record["code"]});
    if heard.error.is_some() || (record["decision"] == "deny" && !is_call) {
        return told;
    }
    told["heard"] = json!([heard.text, heard.calls, heard.finish]);
    for key in ["would", "rules", "findings", "tags", "tools"] {
        told[key] = record[key].clone();
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_response_leads_to_the_same_in_whatever_pieces_it_comes(
        number in 0..CASES.len(),
        rules in prop::sample::subsequence(RULES, 1..5),
        (tool, said) in any_said(),
        pieces in prop::collection::vec(any::<Index>(), 0..40),
        chunks in prop::collection::vec(any::<Index>(), 0..30),
        line_end in prop::sample::select(&["\n", "\r\n", "\r"][..]),
    ) {
        let case = &CASES[number];
        let has_it = case.texts == Texts::InPieces && (tool.is_none() || has_calls(case));
        // The end of a text is unknown there.
        prop_assume!(has_it && case.protocol != "generic");
        let rules: String = rules.iter().map(|rule| format!("  - {rule}\n")).collect();
        let rules = format!("rules:\n{rules}");
        let of = |parts: &[&str]| bytes(case, &[match tool {
            None => Said::Text(parts),
            Some(tool) => Said::Call(tool, parts),
        }]);
        let (known, is_call) = (guard(case, &rules), tool.is_some());
        let run = |body: &[u8], cuts: &[usize]| {
            let seen = ask(case, &known, body, cuts);
            let client = seen.client.body();
            (told(case, &seen, &client, is_call), seen)
        };
        let at_once = run(&of(&[&said]), &[]).0;
        let body = of(&cut(&said, &pieces));
        let (in_pieces, whole) = run(&body, &[]);
        prop_assert_eq!(&in_pieces, &at_once);
        let mut cuts: Vec<usize> = chunks.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        for guard in [&known, &guard(case, &rules)] {
            let seen = ask(case, guard, &body, &cuts);
            prop_assert_eq!(lossy(&seen.client.body()), lossy(&whole.client.body()));
            prop_assert_eq!(&record(&seen)["coverage"], &record(&whole)["coverage"]);
            prop_assert_eq!(&told(case, &seen, &seen.client.body(), is_call), &at_once);
        }
        if case.wire == Wire::Sse {
            let body = rewritten(&body, line_end);
            let seen = ask(case, &known, &body, &cuts);
            let client = as_usual(&seen.client.body());
            prop_assert_eq!(told(case, &seen, &client, is_call), at_once);
            prop_assert!(record(&seen)["decision"] != "allow" || seen.client.body() == body);
        }
    }
}
