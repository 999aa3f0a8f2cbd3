//! Policies with many rules, and the time of one decision: a tool call and a message, evaluated by rules on tools, by
//! rules on texts, and by a typical mix.

use agentguard::event::{
    Author, Class, Direction, Event, Facts, Form, Kind, Known, Models, Part, Reading, Text,
    TextNames,
};
use agentguard::policy::{Context, EvaluationPhase, Policy, ScanScratch, Scans, load_json};
use agentguard::wire::json::{JsonBody, Limits, NodeId};
use std::cell::RefCell;
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

const BODY: &[u8] = br#"{"text": "Please refund order 4711 to the customer, thanks.", "args": {"amount": 120, "to": "a@example.com"}}"#;

/// Measuring time for one event; V8 compiles its best code meanwhile.
const BUDGET: Duration = Duration::from_millis(400);

/// Events evaluated between two readings of the clock.
const ROUND: u32 = 200;

/// Returns the JSON of a rule by its number.
type Rule = fn(usize) -> String;

const KINDS: [(&str, Rule); 3] = [
    ("name tools", tool),
    ("look for texts", text),
    ("do all of it", |n| match n % 10 {
        0..=4 => tool(n),
        5 => format!(r#"{{"id":"model-{n}","match":{{"model":"model-{n}"}},"action":"deny"}}"#),
        6 => format!(
            r#"{{"id":"role-{n}","match":{{"tool":["a_{n}","b_{n}"]}},"unless":{{"principal.roles":"role-{n}"}},"action":"require_approval","approval":{{"by":["lead"]}}}}"#
        ),
        7 | 8 => text(n),
        _ => format!(
            r#"{{"id":"pattern-{n}","match":{{"event":"message"}},"when":{{"text":{{"matches":"(?i)project-{n}-[0-9]{{2,4}}"}}}},"action":"deny"}}"#
        ),
    }),
];

fn tool(n: usize) -> String {
    format!(
        r#"{{"id":"tool-{n}","match":{{"tool":"tool_{n}"}},"when":{{"args.amount":{{"greater_than":{n}}}}},"action":"deny"}}"#
    )
}

fn text(n: usize) -> String {
    format!(
        r#"{{"id":"text-{n}","match":{{"event":"message"}},"when":{{"text":{{"contains":"needle {n} of many"}}}},"action":"deny"}}"#
    )
}

fn document(count: usize, rule: Rule) -> String {
    let mut json = r#"{"apiVersion":"agentguard.dev/v1","kind":"AgentPolicy","metadata":{"name":"bench"},"require":"none","defaults":{"action":"allow"},"rules":["#.to_owned();
    for n in 0..count {
        let comma = if n == 0 { "" } else { "," };
        write!(json, "{comma}{}", rule(n)).unwrap();
    }
    json.push_str("]}");
    json
}

/// Returns the policy, and the least time in ms for parsing and compiling it.
fn compiled(json: &str) -> (Policy, f64) {
    let mut least = f64::INFINITY;
    let begun = Instant::now();
    loop {
        let start = Instant::now();
        let policy = load_json(json.as_bytes()).policy.unwrap();
        least = least.min(start.elapsed().as_secs_f64() * 1e3);
        if begun.elapsed() > BUDGET {
            return (policy, least);
        }
    }
}

/// Returns nanoseconds per event: the least of many rounds.
fn evaluated(policy: &Policy, event: &Event, reading: &Reading, json: &JsonBody<'_>) -> f64 {
    let facts = Facts {
        models: Models {
            spellings: Vec::new(),
            unknown: false,
            names: vec!["gpt-4o".into()],
        },
        ..Facts::unknown()
    };
    let scratch = RefCell::new(ScanScratch::default());
    let mut least = f64::INFINITY;
    let begun = Instant::now();
    while begun.elapsed() < BUDGET {
        let start = Instant::now();
        for _ in 0..ROUND {
            let scans = RefCell::new(Scans::default());
            let context = Context {
                policy,
                facts: &facts,
                reading,
                json,
                scans: &scans,
                scratch: &scratch,
            };
            black_box(policy.evaluate(event, &context, EvaluationPhase::Whole));
        }
        least = least.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUND));
    }
    least
}

/// Measures and prints the table.
pub fn run() {
    let json = JsonBody::scan(BODY, Limits { max_depth: 8 }, 0).unwrap();
    let body = json.body().unwrap();
    let place = |key: &str| body.root().get(key).unwrap().place();
    let mut reading = Reading::default();
    reading.texts.push(Text {
        place: place("text"),
        class: Class::Text,
        form: Form::String,
        names: TextNames::NONE,
        is_data: false,
    });
    let mut call = Event::new(Kind::ToolCall, Direction::Request, NodeId::default());
    call.tool = Known::Is("tool_10".into());
    call.args = Known::Is(place("args"));
    let mut message = Event::new(Kind::Message, Direction::Request, NodeId::default());
    message.from = Known::Is(Author::User);
    message.part = Part::Text;
    message.texts = 0..1;
    println!("| rules | compile, ms | a call, ns | a message, ns |\n| --- | ---: | ---: | ---: |");
    for count in [1, 100, 1_000, 10_000] {
        for (name, rule) in KINDS {
            let (policy, compile) = compiled(&document(count, rule));
            println!(
                "| {count} that {name} | {compile:.2} | {:.0} | {:.0} |",
                evaluated(&policy, &call, &reading, &json),
                evaluated(&policy, &message, &reading, &json),
            );
        }
    }
}
