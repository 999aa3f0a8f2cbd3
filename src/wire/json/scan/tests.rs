use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits { max_depth: 64 };

fn kinds(bytes: &[u8]) -> Result<Vec<NodeKind>, ScanErrorKind> {
    let mut tape = Tape::default();
    scan(bytes, LIMITS, &mut tape).map_err(|error| error.kind)?;
    Ok(tape.nodes.iter().map(|node| node.kind).collect())
}

fn error_kind(bytes: &[u8]) -> (ScanErrorKind, usize) {
    let mut tape = Tape::default();
    let error = scan(bytes, LIMITS, &mut tape).expect_err("refused");
    (error.kind, error.at)
}

#[test]
fn records_values_in_the_order_of_their_bytes() {
    use NodeKind::*;
    assert_eq!(
        kinds(br#" {"a": [1, true, "x"], "b": null} "#),
        Ok(vec![Object, Key, Array, Number, True, String, Key, Null])
    );
}

#[test]
fn a_node_knows_where_the_next_sibling_is() {
    let mut tape = Tape::default();
    scan(br#"{"a":[1,2],"b":3}"#, LIMITS, &mut tape).unwrap();
    let next: Vec<u32> = tape.nodes.iter().map(|node| node.next).collect();
    assert_eq!(next, [7, 2, 5, 4, 5, 6, 7]);
}

#[test]
fn duplicate_keys_are_found_at_every_level_and_in_every_spelling() {
    for (body, at) in [
        (r#"{"a":1,"a":2}"#, 8),
        (r#"{"a":1,"\u0061":2}"#, 8),
        (r#"[{"x":{"y":{"k":0,"k":1}}}]"#, 19),
        (r#"{"":1,"":2}"#, 7),
    ] {
        assert_eq!(
            error_kind(body.as_bytes()),
            (ScanErrorKind::DuplicateKey, at),
            "{body}"
        );
    }
    assert!(kinds(br#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
}

#[test]
fn many_keys_are_compared_without_comparing_each_pair() {
    let mut body: String = (0..50_000).map(|n| format!("\"k{n}\":0,")).collect();
    body = format!("{{{body}\"last\":0}}");
    assert!(kinds(body.as_bytes()).is_ok());
    let doubled = body.replace("\"last\"", "\"k777\"");
    assert_eq!(
        error_kind(doubled.as_bytes()).0,
        ScanErrorKind::DuplicateKey
    );
}

#[test]
fn depth_has_a_limit() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(kinds(nested(64).as_bytes()).is_ok());
    assert_eq!(
        error_kind(nested(65).as_bytes()),
        (ScanErrorKind::TooDeep, 64)
    );
    assert_eq!(
        error_kind(nested(1_000_000).as_bytes()).0,
        ScanErrorKind::TooDeep
    );
}

#[test]
fn other_encodings_are_encoding_errors() {
    for body in [
        &b"\xEF\xBB\xBF{}"[..],
        b"\xFF\xFE{\0}\0",
        b"\xFE\xFF\0{\0}",
        b"{\0}\0",
        b"\0\0\0{",
        b"\"\xff\"",
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"{\"\x80\":1}",
    ] {
        assert_eq!(error_kind(body).0, ScanErrorKind::Encoding, "{body:?}");
    }
    assert_eq!(
        error_kind("\"aé".as_bytes().get(..3).unwrap()).0,
        ScanErrorKind::Syntax
    );
}

#[test]
fn an_error_names_the_byte() {
    assert_eq!(error_kind(b""), (ScanErrorKind::Empty, 0));
    assert_eq!(error_kind(b"  "), (ScanErrorKind::Empty, 2));
    assert_eq!(error_kind(b"{} x"), (ScanErrorKind::Trailing, 3));
    assert_eq!(error_kind(b"{\"a\":}"), (ScanErrorKind::Syntax, 5));
    assert_eq!(error_kind(b"[1,]"), (ScanErrorKind::Syntax, 3));
    assert_eq!(error_kind(b"\"a\nb\""), (ScanErrorKind::Syntax, 2));
    assert_eq!(
        error_kind(br#"{"\ud800":1}"#),
        (ScanErrorKind::SurrogateInKey, 1)
    );
}

#[test]
fn a_lone_surrogate_in_a_value_is_flagged_not_rejected() {
    let mut tape = Tape::default();
    scan(br#"["\ud83d\ude00","\ud83d"]"#, LIMITS, &mut tape).unwrap();
    let lone: Vec<bool> = tape
        .nodes
        .iter()
        .map(|node| node.flags & LONE_SURROGATE != 0)
        .collect();
    assert_eq!(lone, [false, false, true]);
}

#[test]
fn a_quote_is_found_at_every_distance() {
    for length in 0..80 {
        for filler in ["a", "é"] {
            let body = format!("[\"{}\",1]", filler.repeat(length));
            assert_eq!(
                kinds(body.as_bytes()),
                Ok(vec![NodeKind::Array, NodeKind::String, NodeKind::Number]),
                "{length} × {filler}"
            );
        }
    }
}

#[test]
fn digits_end_at_every_other_byte_and_distance() {
    for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
        for length in 0..20 {
            let digits = "9876543210".bytes().cycle().take(length);
            let text: Vec<u8> = digits.chain([byte]).chain(*b"0\xFF012345678").collect();
            let mut at = 0;
            assert_eq!(skip_digits(&text, &mut at), length > 0);
            assert_eq!(at, length, "{byte} after {length} digits");
        }
    }
}

proptest! {
    /// In an array they are read one after the other, or in turn with what stands between them.
    #[test]
    fn numbers_are_read_alike_whatever_stands_between_them(
        numbers in prop::collection::vec("-?(0|[1-9][0-9]{0,9})([.][0-9]{0,9})?([eE][+-]?[0-9]{0,2})?|-|[.]|01", 1..8),
        ends in prop::sample::select(vec![("[", "]"), ("{\"a\":", "}"), ("", ""), ("[0,[", "]]"), ("[", "}")]),
    ) {
        let read = |between: &str| {
            let text = format!("{}{}{}", ends.0, numbers.join(between), ends.1);
            let mut tape = Tape::default();
            scan(text.as_bytes(), LIMITS, &mut tape).map_err(|error| error.kind)?;
            let is_number = |node: &&Node| node.kind == NodeKind::Number;
            let spelled = tape.nodes.iter().filter(is_number);
            let spelled: Vec<Vec<u8>> = spelled.map(|node| node.span.of(text.as_bytes()).to_vec()).collect();
            Ok::<_, ScanErrorKind>((spelled, tape.nodes.last().map(|node| node.next)))
        };
        let slowly = read("\n,\t");
        for between in [",", ", ", ",  "] {
            prop_assert_eq!(read(between), slowly.clone());
        }
        if let Ok((spelled, _)) = slowly
            && ends.0 == "["
        {
            prop_assert_eq!(spelled, numbers.iter().map(|number| number.as_bytes().to_vec()).collect::<Vec<_>>());
        }
    }
}

/// A strategy for JSON-like text: valid values with any white space, and texts with one wrong byte.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter_map("finite", |n| n.is_finite().then(|| format!("{n:e}"))),
        ".*".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[a-z\\\\u0-9d]{0,12}".prop_map(|text| format!("\"{text}\"")),
    ];
    let value = leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[{}]", items.join(" ,\n"))),
            prop::collection::vec(("[a-d]{0,2}", inner), 0..6).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(k, v)| format!("\"{k}\" : {v}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    (
        value,
        any::<prop::sample::Index>(),
        any::<u8>(),
        any::<bool>(),
    )
        .prop_map(|(text, at, byte, damage)| {
            let mut bytes = text.into_bytes();
            if damage && !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        })
}

/// serde_json as the reference. The flag is set if an object has a duplicate key, which serde_json accepts.
#[derive(Debug)]
struct Oracle(bool);

impl<'de> serde::Deserialize<'de> for Oracle {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Oracle;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Oracle, E> {
                Ok(Oracle(false))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Oracle, E> {
                Ok(Oracle(false))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Oracle, E> {
                Ok(Oracle(false))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Oracle, E> {
                Ok(Oracle(false))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Oracle, E> {
                Ok(Oracle(false))
            }
            fn visit_str<E>(self, _: &str) -> Result<Oracle, E> {
                Ok(Oracle(false))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Oracle, A::Error> {
                let mut twice = false;
                while let Some(Oracle(inner)) = seq.next_element()? {
                    twice |= inner;
                }
                Ok(Oracle(twice))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Oracle, A::Error> {
                let mut keys = crate::wire::sorted_map::SortedSet::new();
                let mut twice = false;
                while let Some((key, Oracle(inner))) = map.next_entry::<String, Oracle>()? {
                    twice |= inner | !keys.insert(key);
                }
                Ok(Oracle(twice))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn accepts_what_serde_json_accepts_but_for_duplicate_keys(body in json_like()) {
        let ours = kinds(&body);
        match serde_json::from_slice::<Oracle>(&body) {
            Ok(Oracle(true)) => prop_assert_eq!(ours, Err(ScanErrorKind::DuplicateKey)),
            Ok(Oracle(false)) => prop_assert!(ours.is_ok(), "{:?}", ours),
            Err(error) => {
                // serde_json also rejects unpaired surrogates and numbers beyond a double.
                let stricter = error.to_string().contains("surrogate")
                    || error.to_string().contains("hex escape")
                    || error.to_string().contains("out of range");
                prop_assert!(ours.is_err() || stricter, "{}", error);
            }
        }
    }

    #[test]
    fn never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = kinds(&body);
    }
}

/// The nodes or the error of a scan, and its steps.
fn scanned(bytes: &[u8], limits: Limits) -> (Result<String, ScanError>, u64) {
    let mut tape = Tape::default();
    let (scanned, steps) = work::count(|| scan(bytes, limits, &mut tape));
    (scanned.map(|()| format!("{:?}", tape.nodes)), steps)
}

/// Elements of the kind that agents send with every request, some of them nested, with many keys or escapes, or broken.
fn any_element() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        4 => "[a-z\u{e9}]{0,40}".prop_map(|text| format!("\"{text}\"")),
        1 => Just(r#""a\nb\ud83d\ude00""#.to_owned()),
        1 => (0..60usize).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
        1 => (17..40usize).prop_map(|keys| {
            let keys: Vec<String> = (0..keys).map(|key| format!("\"k{key}\":{key}")).collect();
            format!("{{{}}}", keys.join(","))
        }),
        1 => prop::sample::select(vec![r#"{"k":1,"k":2}"#, "\"\u{1}\"", "tru", "[1,]", "-0.5e3", r#""\ud800""#])
            .prop_map(str::to_owned),
    ];
    (0..4u8, prop::collection::vec(value, 0..8)).prop_map(|(name, values)| {
        let members = values.iter().enumerate();
        let members: Vec<String> = members
            .map(|(at, value)| format!("\"member {at}\": {value}"))
            .collect();
        format!(
            r#"{{"name":"tool {name}","description":"{}",{}}}"#,
            "what it does ".repeat(9),
            members.join(",")
        )
    })
}

proptest! {
    /// Elements that have come before, wherever they stand now, make no difference.
    #[test]
    fn a_document_is_scanned_alike_whatever_came_before(
        elements in prop::collection::vec(any_element(), 1..5),
        documents in prop::collection::vec((prop::collection::vec(0..5usize, 1..9), 0..4usize, 3..70u16), 1..12),
    ) {
        for (chosen, around, max_depth) in documents {
            let chosen: Vec<&str> = chosen
                .iter()
                .filter_map(|at| elements.get(*at).map(String::as_str))
                .collect();
            let array = format!("[{}]", chosen.join(", "));
            let document = format!(
                r#"{}{{"pad":"{}","tools":{array}}}{}"#,
                "[".repeat(around),
                "-".repeat(REQUEST),
                "]".repeat(around),
            );
            let limits = Limits { max_depth };
            let now = scanned(document.as_bytes(), limits);
            let cut = document.len().saturating_sub(around + 2);
            let now_cut = scanned(&document.as_bytes()[..cut], limits);
            let kept = ELEMENTS.take();
            prop_assert_eq!(&now, &scanned(document.as_bytes(), limits));
            prop_assert_eq!(&now_cut, &scanned(&document.as_bytes()[..cut], limits));
            ELEMENTS.set(kept);
        }
    }
}

#[test]
fn an_element_that_comes_a_third_time_is_not_scanned_again() {
    let members: Vec<String> = (0..8)
        .map(|at| format!("\"property {at}\":{{\"type\":\"string\"}}"))
        .collect();
    let element = format!("{{{}}}", members.join(","));
    let document = format!("[\"{}\",{element}]", "-".repeat(REQUEST));
    ELEMENTS.take();
    for known in [false, true, true] {
        scanned(document.as_bytes(), LIMITS).0.unwrap();
        assert_eq!(is_known(&element), known);
    }
}

/// Returns whether an element would be found.
fn is_known(element: &str) -> bool {
    let mut elements = ELEMENTS.take();
    let known = elements.look_up(element.as_bytes()).is_some();
    ELEMENTS.set(elements);
    known
}
