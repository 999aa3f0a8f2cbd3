//! Version of a policy: SHA-256 of its RFC 8785 form, the same for YAML, JSON and Struct, whatever the formatting. The
//! members of `spec` count as top-level members. `examples` are left out, and so is `zones`, which `build` adds: so the
//! output of `build` has the version of its input.

use super::node::{Member, Node, NodeValue};
use crate::wire::hex;
use crate::wire::json::{Decimal, key_order, quote};
use crate::wire::sort;
use sha2::{Digest, Sha256};

/// Returns `sha256:` and 64 hex digits.
pub(crate) fn of(root: &Node) -> String {
    let mut canonical = Vec::new();
    write_document(root, &mut canonical);
    format!("sha256:{}", hex::encode(&Sha256::digest(&canonical)))
}

fn write_document(root: &Node, out: &mut Vec<u8>) {
    let opened: Vec<&Member> = root
        .members()
        .iter()
        .flat_map(|member| {
            if &*member.key == "spec" {
                member.value.members().iter().collect::<Vec<_>>()
            } else {
                vec![member]
            }
        })
        .filter(|member| &*member.key != "zones")
        .collect();
    write_members(
        opened,
        out,
        &mut |member, out| match (&*member.key, &member.value.data) {
            ("rules", NodeValue::List(rules)) => write_list(rules, out, &mut |rule, out| {
                let kept: Vec<&Member> = rule
                    .members()
                    .iter()
                    .filter(|member| &*member.key != "examples")
                    .collect();
                match rule.data {
                    NodeValue::Map(_) => {
                        write_members(kept, out, &mut |member, out| write(&member.value, out))
                    }
                    _ => write(rule, out),
                }
            }),
            ("policies", NodeValue::List(documents)) => {
                write_list(documents, out, &mut |document, out| match document.data {
                    NodeValue::Map(_) => write_document(document, out),
                    _ => write(document, out),
                });
            }
            ("shadow", NodeValue::Map(_)) => write_document(&member.value, out),
            _ => write(&member.value, out),
        },
    );
}

fn write(node: &Node, out: &mut Vec<u8>) {
    match &node.data {
        NodeValue::Null => out.extend_from_slice(b"null"),
        NodeValue::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        NodeValue::Number(text) if is_canonical(text) => out.extend_from_slice(text.as_bytes()),
        NodeValue::Number(text) => out.extend_from_slice(number(text).as_bytes()),
        NodeValue::String(text) => quote(text, out),
        NodeValue::List(items) => write_list(items, out, &mut write),
        NodeValue::Map(members) => {
            let members = members.iter().collect();
            write_members(members, out, &mut |member, out| write(&member.value, out));
        }
    }
}

fn write_list(items: &[Node], out: &mut Vec<u8>, each: &mut dyn FnMut(&Node, &mut Vec<u8>)) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        each(item, out);
    }
    out.push(b']');
}

fn write_members(
    mut members: Vec<&Member>,
    out: &mut Vec<u8>,
    each: &mut dyn FnMut(&Member, &mut Vec<u8>),
) {
    sort::sort_by(&mut members, |a, b| key_order(&a.key, &b.key));
    out.push(b'{');
    for (at, member) in members.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        quote(&member.key, out);
        out.push(b':');
        each(member, out);
    }
    out.push(b'}');
}

/// Returns whether a number is already in canonical form, as usual ones are.
fn is_canonical(text: &str) -> bool {
    text.len() <= 15 && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns a number as ECMAScript writes it (RFC 8785 §3.2.2.3). [`Decimal`] writes exact values in this form, so that a
/// number that a double can't represent keeps its value.
pub(crate) fn number(text: &str) -> String {
    Decimal::parse(text).map_or_else(|| text.to_owned(), |exact| exact.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_ecmascript_writes_them() {
        // RFC 8785 appendix B.
        for (text, written) in [
            ("0", "0"),
            ("-0", "0"),
            ("1.0", "1"),
            ("4.50", "4.5"),
            ("2e-3", "0.002"),
            ("0.000001", "0.000001"),
            ("1e-7", "1e-7"),
            ("1E30", "1e+30"),
            ("1e21", "1e+21"),
            ("100000000000000000000", "100000000000000000000"),
            ("0.1", "0.1"),
        ] {
            assert_eq!(number(text), written, "{text}");
        }
    }

    #[test]
    fn a_number_that_a_double_does_not_hold_keeps_its_value() {
        assert_eq!(number("9007199254740993"), "9007199254740993");
        assert_eq!(number("0.30000000000000000001"), "0.30000000000000000001");
        assert_eq!(number("1.10e3"), "1100");
    }
}
