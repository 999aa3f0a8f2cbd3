//! Private keys in text form.

use crate::detect::scan::place::{Anchor, Found, Place};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
        Hit {
            text: concat!(
                "key:\n-----BEGIN RSA PRI",
                "VATE KEY-----\nMIIEpAIBAAKCAQEAwhlLvNcc0xqVXW63T40ZIYdZze1CEZaH7FbH\n-----END RSA PRI",
                "VATE KEY-----\n"
            ),
            found: &[concat!(
                "-----BEGIN RSA PRI",
                "VATE KEY-----\nMIIEpAIBAAKCAQEAwhlLvNcc0xqVXW63T40ZIYdZze1CEZaH7FbH\n-----END RSA PRI",
                "VATE KEY-----"
            )],
        },
        Hit {
            text: concat!(
                "\"-----BEGIN PRI",
                "VATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDA\\n-----END PRI",
                "VATE KEY-----\\n\""
            ),
            found: &[concat!(
                "-----BEGIN PRI",
                "VATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDA\\n-----END PRI",
                "VATE KEY-----"
            )],
        },
        Hit {
            text: concat!(
                "-----BEGIN PGP PRI",
                "VATE KEY BLOCK-----\n\nlQWGBGSVV4YBDAClvRnxezIRy2Yv7SFlzC0iFiRFOjePSw+XYhvcrTaq\n=8xQN"
            ),
            found: &[concat!(
                "-----BEGIN PGP PRI",
                "VATE KEY BLOCK-----\n\nlQWGBGSVV4YBDAClvRnxezIRy2Yv7SFlzC0iFiRFOjePSw+XYhvcrTaq\n=8xQN"
            )],
        },
    ],
    misses: &[
        Miss {
            text: concat!("the line -----BEGIN PRI", "VATE KEY----- starts a key file"),
            why: "a mention",
        },
        Miss {
            text: concat!(
                "-----BEGIN PRI",
                "VATE KEY-----\nanything\n-----END PRI",
                "VATE KEY-----"
            ),
            why: "too short for a key",
        },
        Miss {
            text: "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwhlLvNcc0xqVXW63\n-----END PUBLIC KEY-----",
            why: "a public key",
        },
    ],
};

/// An RSA key of 16,384 bits has 12,700 characters.
const REACH: usize = 16_384;

/// A key has more characters than this.
const LEAST: usize = 28;

fn block(place: &Place<'_>) -> Option<Found> {
    let text = place.text;
    let begin = text.run(place.at, 8, |byte| byte == b'-');
    if !text.follows(begin, "BEGIN ") {
        return None;
    }
    let label = begin.wrapping_add(6);
    let label_end = text.run(label, 64, |byte| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' '
    });
    let name = text.slice(label..label_end);
    if !name.ends_with(b"PRIVATE KEY") && !name.ends_with(b"PRIVATE KEY BLOCK")
        || !text.follows(label_end, "-----")
    {
        return None;
    }
    let body = label_end.wrapping_add(5);
    let most = REACH
        .saturating_sub(body.wrapping_sub(place.at))
        .saturating_sub(80);
    // Base64, and the headers that old formats put before it.
    let end = text.run(body, most, |byte| {
        byte.is_ascii_alphanumeric() || b"+/=\n\r\t :,.()".contains(&byte) || byte == b'-'
    });
    let written = text.slice(body..end);
    let mark = b"-----END ";
    let close = written
        .windows(mark.len())
        .position(|window| window == mark);
    let (key, end) = match close {
        Some(close) => {
            let close_at = body.wrapping_add(close).wrapping_add(mark.len());
            let label = text.run(close_at, 64, |byte| {
                byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' '
            });
            (
                written.get(..close)?,
                text.run(label, 5, |byte| byte == b'-'),
            )
        }
        None => {
            let run = text.run(body, most, |byte| {
                byte.is_ascii_alphanumeric() || b"+/=\n\r\t".contains(&byte)
            });
            let run = text.run_back(run, 64, |byte| byte.is_ascii_whitespace());
            (text.slice(body..run), run)
        }
    };
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
        true => Found {
            start: place.at,
            end,
            confidence: Confidence::High,
        },
        false => Found {
            start: place.at,
            end: if close.is_some() { end } else { body },
            confidence: Confidence::Low,
        },
    })
}
