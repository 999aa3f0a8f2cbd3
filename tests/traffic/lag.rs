//! How far behind a stream its client is, in frames and characters: what is measured is what was held back when a frame had
//! been judged, and no clock.

use super::streams::{Streamed, all, guard, transcript_of};
use agentguard::event::Kind;
use agentguard::flow::simulation::HttpMessage;
use agentguard::flow::{Action, Flow, RequestHead, ResponseHead};
use agentguard::wire::frame::{Frames, Framing};
use std::rc::Rc;

const NOW: u64 = 1_763_622_245_000_000_000;

/// How many characters of a text may wait for what follows them, beside those of the frame that waits and of the one that
/// came last.
const CHARACTERS: usize = 64;

/// More places of a stream than this are not looked at.
const PLACES: usize = 40;

/// All detectors, and a phrase of several words.
const LOOKS: &str = "  - id: found
    match: { event: [response, tool_result] }
    when: { text: { detects: [pii, secrets] } }
    action: redact
  - id: phrase
    match: { event: response }
    when: { text: { contains: nowhere in any recording } }
    action: deny
";

pub(super) fn frames_of(streamed: &Streamed) -> Vec<Vec<u8>> {
    frames_in(streamed.framing, &streamed.body)
}

pub(super) fn frames_in(framing: Framing, body: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Frames::new(framing, usize::MAX);
    frames.push(body);
    let mut found = Vec::new();
    while let Ok(Some(frame)) = frames.next_frame() {
        found.push(frame.raw);
    }
    found
}

/// An exchange whose answer is about to begin.
fn begun(rules: &str, streamed: &Streamed) -> Flow {
    let mut flow = Flow::new(Rc::clone(&guard(rules)));
    let headers = |half: &HttpMessage| half.headers.clone();
    let sent = headers(&streamed.request);
    let sent: Vec<(&[u8], &[u8])> = sent.iter().map(|(n, v)| (&**n, &**v)).collect();
    let body = streamed.request.body();
    let _ = flow.request_headers(&RequestHead {
        headers: &sent,
        end: body.is_empty(),
        properties: &agentguard::proxy::MemoryProperties::default(),
        now: NOW,
    });
    if !body.is_empty() {
        let _ = flow.request_body(&mut body.as_slice(), true, NOW);
    }
    let came = headers(&streamed.response);
    let came: Vec<(&[u8], &[u8])> = came.iter().map(|(n, v)| (&**n, &**v)).collect();
    let _ = flow.response_headers(&ResponseHead {
        headers: &came,
        end: false,
        now: NOW,
    });
    flow
}

/// Characters of all texts that arrive in pieces.
fn characters(streamed: &Streamed, body: &[u8]) -> usize {
    let parts = transcript_of(streamed, body).parts;
    let texts = parts
        .iter()
        .filter(|part| part.at.is_some())
        .filter_map(|part| {
            let event = part.reading.events.first()?;
            // Calls are held until they are complete.
            if event.kind != Kind::Response {
                return None;
            }
            part.json
                .value(event.at)?
                .text()
                .map(|text| text.chars().count())
        });
    texts.sum()
}

#[test]
fn a_client_is_at_most_a_frame_and_64_characters_behind() {
    let mut count = 0;
    for streamed in all() {
        let frames = frames_of(&streamed);
        let mut flow = begun(LOOKS, &streamed);
        let every = frames.len().div_ceil(PLACES).max(1);
        let (mut came, mut left) = (Vec::new(), Vec::new());
        let mut told_before = 0;
        for (number, frame) in frames.iter().enumerate() {
            let is_place = number % every == every - 1;
            if is_place {
                told_before = characters(&streamed, &came);
            }
            came.extend_from_slice(frame);
            let step = flow.response_body(&mut frame.as_slice(), false, NOW);
            match step.action {
                Action::Continue => left.extend_from_slice(frame),
                Action::Replace(bytes) => left.extend_from_slice(&bytes),
                other => panic!("{}: {other:?}", streamed.id),
            }
            // Once something is replaced, characters can't be compared.
            if !came.starts_with(&left) {
                break;
            }
            if is_place {
                let released = characters(&streamed, &left);
                // A frame leaves as a whole: the beginning of its text waits with the end of it.
                let ends = frames.iter().scan(0, |end, frame| {
                    *end += frame.len();
                    Some(*end)
                });
                let first = ends.into_iter().find(|end| *end > left.len());
                let first = came.get(..first.unwrap_or(0)).unwrap_or(&came);
                let first = characters(&streamed, first).saturating_sub(released);
                let behind = told_before.saturating_sub(released + first);
                assert!(
                    behind <= CHARACTERS,
                    "{}: {behind} characters at frame {number}",
                    streamed.id
                );
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn what_holds_whole_messages_is_never_behind() {
    let mut count = 0;
    for streamed in all().filter(|streamed| streamed.protocol.name() == "mcp") {
        let mut flow = begun(
            "  - { id: never, match: { event: tool_result }, when: { text: { contains: nowhere in any } }, action: deny }\n",
            &streamed,
        );
        for frame in frames_of(&streamed) {
            let step = flow.response_body(&mut frame.as_slice(), false, NOW);
            assert_eq!(step.action, Action::Continue, "{}", streamed.id);
            count += 1;
        }
    }
    assert!(count > 5, "{count}");
}
