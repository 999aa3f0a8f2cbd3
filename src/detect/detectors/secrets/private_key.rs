//! Private keys in text form.

use std::ops::Range;

use crate::detect::scan::alphabet::SearchState;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::first_in;
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::scan::text::Text;
use crate::detect::{Confidence, Detector, Doc, hit, miss};
use crate::wire::work;

pub(in crate::detect) static BLOCK: Detector = Detector {
    name: "private_key",
    groups: &["secrets.key"],
    doc: Doc {
        finds: "From `-----BEGIN … PRIVATE KEY-----` (PKCS, EC, DSA, OpenSSH, PGP) to the END line, line ends escaped or not; without an END line as far as it looks like a key. The header with less than a key behind it with low confidence.",
        misses: "Public keys and certificates; what goes on after 16,384 characters.",
        source: "RFC 7468, RFC 4716, RFC 9580 section 6; OpenSSH PROTOCOL.key",
    },
    reach: REACH,
    context: &[],
    anchors: &[Anchor::Dashes(block)],
    hits: &[
        hit(
            concat!(
                "key:\n-----BEGIN RSA PRI",
                "VATE KEY-----\nMIIEpAIBAAKCAQEAwhlLvNcc0xqVXW63T40ZIYdZze1CEZaH7FbH\n-----END RSA PRI",
                "VATE KEY-----\n"
            ),
            &[concat!(
                "-----BEGIN RSA PRI",
                "VATE KEY-----\nMIIEpAIBAAKCAQEAwhlLvNcc0xqVXW63T40ZIYdZze1CEZaH7FbH\n-----END RSA PRI",
                "VATE KEY-----"
            )],
        ),
        hit(
            concat!(
                "\"-----BEGIN PRI",
                "VATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDA\\n-----END PRI",
                "VATE KEY-----\\n\""
            ),
            &[concat!(
                "-----BEGIN PRI",
                "VATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDA\\n-----END PRI",
                "VATE KEY-----"
            )],
        ),
        hit(
            concat!(
                "-----BEGIN PGP PRI",
                "VATE KEY BLOCK-----\n\nlQWGBGSVV4YBDAClvRnxezIRy2Yv7SFlzC0iFiRFOjePSw+XYhvcrTaq\n=8xQN"
            ),
            &[concat!(
                "-----BEGIN PGP PRI",
                "VATE KEY BLOCK-----\n\nlQWGBGSVV4YBDAClvRnxezIRy2Yv7SFlzC0iFiRFOjePSw+XYhvcrTaq\n=8xQN"
            )],
        ),
    ],
    misses: &[
        miss(
            concat!("the line -----BEGIN PRI", "VATE KEY----- starts a key file"),
            "a mention",
        ),
        miss(
            concat!(
                "-----BEGIN PRI",
                "VATE KEY-----\nanything\n-----END PRI",
                "VATE KEY-----"
            ),
            "too short for a key",
        ),
        miss(
            "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwhlLvNcc0xqVXW63\n-----END PUBLIC KEY-----",
            "a public key",
        ),
    ],
};

/// An RSA key of 16,384 bits has 12,700 characters.
const REACH: usize = 16_384;

/// Minimum characters of a key, minus one.
const LEAST: usize = 28;

/// Beginnings of the line that ends a key, and of the line that begins another.
const END: &[u8] = b"-----END ";
const BEGIN: &[u8] = b"-----BEGIN ";

/// Returns the end of the first line of a private key, whose hyphens end at `begin`: `BEGIN RSA PRIVATE KEY-----`.
fn header(text: &Text<'_>, begin: usize) -> Option<usize> {
    if !text.follows(begin, "BEGIN ") {
        return None;
    }
    let label = begin.wrapping_add(6);
    let label_end = text.run(label, 64, is_of_label);
    let name = text.slice(label..label_end);
    let named = name.ends_with(b"PRIVATE KEY") || name.ends_with(b"PRIVATE KEY BLOCK");
    (named && text.follows(label_end, "-----")).then(|| label_end.wrapping_add(5))
}

fn is_of_label(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' '
}

/// Returns whether a byte belongs to Base64, or to the headers that old formats put before it.
fn is_of_body(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=\n\r\t :,.()-".contains(&byte)
}

/// Returns where the next private key begins. The text before a key is not part of another key's body.
fn next_key(text: &Text<'_>, range: Range<usize>) -> Option<usize> {
    let mut from = range.start;
    while let Some(found) = first_in(text.slice(from..range.end), BEGIN) {
        let at = from.wrapping_add(found);
        if header(text, at.wrapping_add(5)).is_some() {
            return Some(at);
        }
        from = at.wrapping_add(1);
    }
    None
}

fn block(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let begin = text.run(place.at, 8, |byte| byte == b'-');
    let body = header(text, begin)?;
    let most = REACH
        .saturating_sub(body.wrapping_sub(place.at))
        .saturating_sub(80);
    // After many beginnings in a row, the text that follows is read once.
    let last = body.saturating_add(most);
    let known = body..last.min(text.len());
    let end = text.find_by(SearchState::KeyBreak, 1, known.clone(), |range| {
        let from = range.start;
        let rest = text.slice(range);
        let len = rest.iter().position(|byte| !is_of_body(*byte))?;
        Some(from.wrapping_add(len))
    });
    let end = end.unwrap_or_else(|| text.end_within(body, most));
    let next = text.find_by(SearchState::KeyBegin, BEGIN.len(), body..end, |range| {
        next_key(text, range)
    });
    let written = text.slice(body..next.unwrap_or(end));
    let close = text.find(SearchState::KeyEnd, END, body..next.unwrap_or(end));
    let (key, end) = match close {
        Some(close) => {
            let label = text.run(close.wrapping_add(END.len()), 64, is_of_label);
            (
                text.slice(body..close),
                text.run(label, 5, |byte| byte == b'-'),
            )
        }
        None => {
            let run = text.run(body, written.len(), |byte| {
                byte.is_ascii_alphanumeric() || b"+/=\n\r\t".contains(&byte)
            });
            let run = text.run_back(run, 64, |byte| byte.is_ascii_whitespace());
            (text.slice(body..run), run)
        }
    };
    work::spend(key.len().wrapping_mul(2));
    let solid = key
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
        .count();
    let lines = key
        .split(|byte| byte.is_ascii_whitespace())
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0);
    let is_key = solid > LEAST && (lines > LEAST || close.is_some());
    Some(match is_key {
        true => Match {
            start: place.at,
            end,
            confidence: Confidence::High,
        },
        false => Match {
            start: place.at,
            end: if close.is_some() { end } else { body },
            confidence: Confidence::Low,
        },
    })
}
