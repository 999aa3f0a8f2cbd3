use super::*;
use proptest::prelude::*;

fn read(framing: Framing, chunks: &[&[u8]]) -> Result<Vec<Frame>, FrameError> {
    let mut frames = Frames::new(framing, 1 << 16);
    let mut found = Vec::new();
    for chunk in chunks {
        frames.push(chunk);
        while let Some(frame) = frames.next_frame()? {
            found.push(frame);
        }
    }
    found.extend(frames.finish()?);
    Ok(found)
}

fn payloads(framing: Framing, bytes: &[u8]) -> Vec<String> {
    read(framing, &[bytes])
        .unwrap()
        .iter()
        .filter_map(|frame| frame.payload.as_ref())
        .map(|payload| String::from_utf8_lossy(payload).into_owned())
        .collect()
}

#[test]
fn events_end_at_blank_lines_whatever_ends_a_line() {
    for stream in [
        "data: a\n\ndata: b\n\n",
        "data: a\r\n\r\ndata: b\r\n\r\n",
        "data: a\r\rdata: b\r\r",
    ] {
        assert_eq!(
            payloads(Framing::Sse, stream.as_bytes()),
            ["a", "b"],
            "{stream:?}"
        );
    }
    assert_eq!(
        payloads(Framing::Sse, b"data:a\n\ndata:  b\n\ndata\n\n"),
        ["a", " b", ""]
    );
    assert_eq!(payloads(Framing::Sse, b"data: a\ndata: b\n\n"), ["a\nb"]);
    assert_eq!(payloads(Framing::Sse, b"\xEF\xBB\xBFdata: a\n\n"), ["a"]);
    assert_eq!(
        payloads(Framing::Sse, b"data: a\n\ndata: last"),
        ["a", "last"]
    );
}

#[test]
fn names_comments_and_ids_of_events_are_kept_apart() {
    let frames = read(
        Framing::Sse,
        &[b": hi\nevent: x\nid: 7\nretry: 3\nfoo: bar\ndata: {}\n\n: ping\n\n"],
    )
    .unwrap();
    assert_eq!(frames[0].event.as_deref(), Some("x"));
    assert_eq!(frames[0].ids, ["7"]);
    assert_eq!(frames[0].asides, ["hi", "retry: 3", "foo: bar"]);
    assert_eq!(frames[1].payload, None);
    assert_eq!(frames[1].asides, ["ping"]);
}

#[test]
fn a_line_without_a_colon_is_evaluated_too() {
    let frames = read(Framing::Sse, &[b"4111 1111\ndata: {}\n\n"]).unwrap();
    assert_eq!(frames[0].asides, ["4111 1111"]);
}

#[test]
fn a_json_response_with_the_content_type_of_a_stream_is_malformed() {
    for answer in [
        &b"{\"choices\": []}"[..],
        b"\n\n{\n\"choices\": []}\n\n",
        b"data: {}\n\n  [{}]\n",
    ] {
        assert_eq!(
            read(Framing::Sse, &[answer]).unwrap_err(),
            FrameError::Malformed
        );
    }
}

/// Returns whether the parser refuses to read on.
fn refuses(framing: Framing, stream: &str) -> bool {
    read(framing, &[stream.as_bytes()]) == Err(FrameError::Malformed)
}

#[test]
fn what_only_some_clients_take_for_the_end_of_a_line_hides_no_field() {
    // Python's `splitlines`, which older clients of server-sent events use, ends a line at each of them.
    for end in [
        '\u{B}', '\u{C}', '\u{1C}', '\u{1D}', '\u{1E}', '\u{85}', '\u{2028}', '\u{2029}',
    ] {
        for line in [": x", "id: 7", "event: x", "retry: 3", "x"] {
            let stream = format!("{line}{end}data: {{}}\n\n");
            assert!(refuses(Framing::Sse, &stream), "{stream:?}");
        }
        // In a payload it is a character of a text.
        let stream = format!("data: \"a{end}b\"\n\n");
        assert!(!refuses(Framing::Sse, &stream), "{stream:?}");
    }
    assert!(!refuses(Framing::Sse, ": Grüße\tan alle\n\n"));
}

#[test]
fn an_event_has_one_name_and_one_payload() {
    // Clients take the first name, the last one, or the one before the data.
    assert!(refuses(Framing::Sse, "event: a\nevent: b\ndata: {}\n\n"));
    assert!(!refuses(Framing::Sse, "event: a\nevent: a\ndata: {}\n\n"));
    // A client that reads line by line takes each whole line for an event.
    for stream in [
        "data: {\"x\":\ndata: {\"a\": 1}\ndata: }\n\n",
        "data: {\"x\":\ndata: [{\"a\": 1}]\ndata: }\n\n",
        "data: [{},\ndata:   {\"a\": 1} \ndata: ]\n\n",
    ] {
        assert!(refuses(Framing::Sse, stream), "{stream:?}");
    }
    for stream in [
        "data: {\ndata:   \"a\": {\"b\": 1},\ndata:   \"c\": [\ndata:     {}\ndata:   ]\ndata: }\n\n",
        "data: {\"a\": 1}\ndata:\n\n",
        "data: if (x)\ndata: { y(); }\n\n",
    ] {
        assert!(!refuses(Framing::Sse, stream), "{stream:?}");
    }
}

#[test]
fn a_field_that_is_data_once_it_is_trimmed_is_none() {
    for name in ["\0data", "data\u{1}", "\u{7F}DATA"] {
        assert!(
            refuses(Framing::Sse, &format!("{name}: {{}}\n\n")),
            "{name:?}"
        );
    }
}

#[test]
fn a_json_line_has_no_line_end_inside() {
    assert!(refuses(Framing::Lines, "{\"x\":\r{\"a\":1}\r}\n"));
    assert!(refuses(Framing::Lines, "{\"a\":1}\r{\"b\":2}\n"));
    assert!(!refuses(Framing::Lines, "{\"a\":1}\r\n\r\n{\"b\":2}\r\n"));
}

#[test]
fn a_payload_can_be_put_where_there_was_an_empty_one() {
    for empty in ["data\n\n", "data:\n\n", "data: \n\n", "data\ndata\n\n"] {
        let frames = read(Framing::Sse, &[empty.as_bytes()]).unwrap();
        let edited = frames[0].with_payload(b"x");
        assert_eq!(payloads(Framing::Sse, &edited), ["x"], "{empty:?}");
    }
}

#[test]
fn a_payload_of_several_lines_is_put_on_the_one_line_that_its_frame_has() {
    let payload = "{\n  \"to\":\r\n \"a\\nb\"\r}";
    let on_one_line = payload.replace(['\n', '\r'], " ");
    for (framing, stream) in [
        (Framing::Sse, "event: a\ndata: {}\n\n"),
        (Framing::Lines, "{}\n"),
    ] {
        let frames = read(framing, &[stream.as_bytes()]).unwrap();
        let put = frames.first().unwrap().with_payload(payload.as_bytes());
        let made = compose(framing, Some("a"), payload.as_bytes());
        for bytes in [put, made] {
            assert_eq!(
                payloads(framing, &bytes),
                [on_one_line.as_str()],
                "{framing:?}"
            );
        }
    }
}

#[test]
fn an_element_of_an_array_keeps_its_lines() {
    let frames = read(Framing::Array, &[b"[{\n  \"a\": 1\n}"]).unwrap();
    let put = frames.first().unwrap().with_payload(b"{\n  \"a\": 2\n}");
    assert_eq!(put, b"[{\n  \"a\": 2\n}");
}

#[test]
fn of_an_event_that_may_not_pass_only_its_id_stays() {
    let frames = read(
        Framing::Sse,
        &[b"event: x\nid: 7\ndata: {}\n\nevent: x\ndata: {}\n\n"],
    )
    .unwrap();
    assert_eq!(frames[0].without_payload(), b"id: 7\ndata:\n\n");
    assert_eq!(frames[1].without_payload(), b"");
}

#[test]
fn lines_and_elements_are_frames() {
    assert_eq!(
        payloads(Framing::Lines, b"{\"a\":1}\n\r\n {\"b\":2} \r\n{\"c\":3}"),
        ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]
    );
    assert_eq!(
        payloads(
            Framing::Array,
            b" [{\"a\":\"]}\\\"\"}\n,\r\n{\"b\":[{}]}\n]\n"
        ),
        ["{\"a\":\"]}\\\"\"}", "{\"b\":[{}]}"]
    );
    assert_eq!(payloads(Framing::Array, b"[]"), Vec::<String>::new());
    // An error may come without an array around it.
    assert_eq!(
        payloads(Framing::Array, b" {\"a\":[1,2]}\n"),
        ["{\"a\":[1,2]}"]
    );
    for broken in [
        &b"[{}"[..],
        b"[1]",
        b"{},{}",
        b"{}[",
        b"[{}]x",
        b"[{\"a\":1",
    ] {
        let read = read(Framing::Array, &[broken]);
        assert!(read.is_err() || broken == b"[{}", "{broken:?}");
    }
}

#[test]
fn a_message_of_the_event_stream_is_checked_and_rewritten() {
    let message = compose(Framing::Amazon, Some("chunk"), b"{\"bytes\":\"eA==\"}");
    let frames = read(Framing::Amazon, &[&message, &message]).unwrap();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].event.as_deref(), Some("chunk"));
    assert_eq!(
        frames[0].payload.as_deref(),
        Some(&b"{\"bytes\":\"eA==\"}"[..])
    );
    let longer = frames[0].with_payload(b"{\"bytes\":\"eXl5eXl5\"}");
    let again = read(Framing::Amazon, &[&longer]).unwrap();
    assert_eq!(
        again[0].payload.as_deref(),
        Some(&b"{\"bytes\":\"eXl5eXl5\"}"[..])
    );
    for at in 0..message.len() {
        let mut damaged = message.clone();
        damaged[at] ^= 1;
        assert_eq!(
            read(Framing::Amazon, &[&damaged]),
            Err(FrameError::Malformed),
            "byte {at}"
        );
    }
    assert_eq!(
        read(Framing::Amazon, &[&message[..20]]),
        Err(FrameError::Malformed)
    );
}

#[test]
fn a_frame_has_a_largest_size() {
    let long = vec![b'a'; 1 << 17];
    for framing in [Framing::Sse, Framing::Lines] {
        assert_eq!(read(framing, &[&long]), Err(FrameError::TooLarge));
    }
    let huge = compose(Framing::Amazon, None, &long);
    assert_eq!(
        read(Framing::Amazon, &[&huge[..16]]),
        Err(FrameError::TooLarge)
    );
}

#[test]
fn only_the_payload_of_a_frame_is_rewritten() {
    let frames = read(
        Framing::Sse,
        &[b"event: x\r\ndata:{\"a\":1}\r\nid: 2\r\n\r\n"],
    )
    .unwrap();
    assert_eq!(
        frames[0].with_payload(b"{}"),
        b"event: x\r\ndata:{}\r\nid: 2\r\n\r\n"
    );
    let frames = read(Framing::Sse, &[b"data: {\nid: 1\ndata: }\n\n"]).unwrap();
    assert_eq!(
        frames[0].with_payload(b"[\n]"),
        b"data: [\ndata: ]\nid: 1\n\n"
    );
}

fn streams() -> impl Strategy<Value = (Framing, Vec<u8>)> {
    let text = prop::collection::vec(
        prop_oneof![
            Just("data: x"),
            Just("data:"),
            Just(":c"),
            Just("event: é"),
            Just("\n"),
            Just("\r"),
            Just("\r\n"),
            Just("\n\n"),
            Just("id"),
            Just("{\"a\":\"\\\"}\"}"),
            Just("["),
            Just(","),
            Just("]"),
            Just(" "),
        ],
        0..20,
    )
    .prop_map(|parts| parts.concat().into_bytes());
    let messages = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4).prop_map(
        |payloads| {
            payloads
                .iter()
                .map(|payload| compose(Framing::Amazon, Some("chunk"), payload))
                .collect::<Vec<_>>()
                .concat()
        },
    );
    prop_oneof![
        text.clone().prop_map(|text| (Framing::Sse, text)),
        text.clone().prop_map(|text| (Framing::Lines, text)),
        text.prop_map(|text| (Framing::Array, text)),
        messages.prop_map(|messages| (Framing::Amazon, messages)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_chunking_gives_the_same_payloads_and_loses_no_byte(
        (framing, stream) in streams(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.sort_unstable();
        at.push(stream.len());
        let mut chunks = Vec::new();
        let mut start = 0;
        for end in at {
            chunks.push(&stream[start..end]);
            start = end;
        }
        let whole = read(framing, &[&stream]);
        let pieces = read(framing, &chunks);
        let summary = |frames: &Vec<Frame>| -> Vec<_> {
            frames
                .iter()
                .filter(|frame| frame.payload.is_some() || !frame.asides.is_empty())
                .map(|frame| (frame.event.clone(), frame.payload.clone(), frame.asides.clone()))
                .collect()
        };
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => {
                prop_assert_eq!(summary(whole), summary(pieces));
                let bytes: Vec<u8> = pieces.iter().flat_map(|frame| frame.raw.clone()).collect();
                prop_assert_eq!(bytes, stream);
            }
            (whole, pieces) => prop_assert_eq!(whole.is_err(), pieces.is_err()),
        }
    }
}

#[test]
fn frames_of_a_large_chunk_keep_no_more_memory_than_their_own() {
    let mut frames = Frames::new(Framing::Sse, 1_000);
    frames.push(&b"data: {}\n\n".repeat(10_000));
    frames.push(b"data: {");
    let mut count = 0;
    while let Some(frame) = frames.next_frame().unwrap() {
        assert!(frame.raw.capacity() <= 16, "{}", frame.raw.capacity());
        count += 1;
    }
    assert_eq!(count, 10_000);
    assert_eq!(frames.held(), 7);
    assert!(
        frames.arrived.capacity() <= 16,
        "{}",
        frames.arrived.capacity()
    );
}
