//! JSON web tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::detect::entropy::shannon_entropy_tenths;
use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::scan::token_form::{self, TokenPrefix};
use crate::detect::{Confidence, Detector, Doc, hit, miss};
use crate::wire::work;

pub(in crate::detect) static TOKEN: Detector = Detector {
    name: "jwt",
    groups: &["secrets.token"],
    doc: Doc {
        finds: "A header that decodes to JSON with `alg`, a dot, a payload that begins like JSON, and a signature if there is one; also encrypted tokens of five parts, and tokens that were encoded in Base64 once more.",
        misses: "A header alone; what goes on after 8,192 characters.",
        source: "RFC 7519, RFC 7515 section 3, RFC 7516 section 3",
    },
    reach: REACH,
    context: &[],
    anchors: &[
        Anchor::Word(&["eyJ"], token),
        Anchor::Mixed(19..=95, PreFilter::ALWAYS, odd),
        Anchor::Beginning(ENCODED),
    ],
    hits: &[
        hit(
            concat!(
                "Bearer eyJhbGciOiJIUzI1NiJ9",
                ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
            ),
            &[concat!(
                "eyJhbGciOiJIUzI1NiJ9",
                ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
            )],
        ),
        hit(
            concat!(
                "?token=eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0",
                ".eyJuYW1lIjoiSm9lIn0&s=1"
            ),
            &[concat!(
                "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0",
                ".eyJuYW1lIjoiSm9lIn0"
            )],
        ),
        hit(
            concat!("eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxIn0."),
            &[concat!("eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxIn0.")],
        ),
    ],
    misses: &[
        miss("eyJhbGciOiJIUzI1NiJ9", "a header alone"),
        miss("eyJust.like.text", "no JSON"),
        miss(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
            "the header is cut",
        ),
        miss("a.b.c", "no tokens"),
    ],
};

const REACH: usize = 8_192;

/// Tokens that were encoded once more: the first key of a header as Base64 of Base64.
const ENCODED: &[TokenPrefix] = &[
    encoded("ZXlKaGJHY2lPaU"),
    encoded("ZXlKMGVYQWlPaU"),
    encoded("ZXlKcmFXUWlPaU"),
    encoded("ZXlKbGJtTWlPaU"),
    encoded("ZXlKamRIa2lPaU"),
    encoded("ZXlKNE5YUWlPaU"),
    encoded("ZXlKcGMzTWlPaU"),
    encoded("ZXlKemRXSWlPaU"),
    encoded("ZXlKaGRXUWlPaU"),
    encoded("ZXlKcWEzVWlPaU"),
    encoded("ZXlKcWQyc2lPaU"),
    encoded("ZXlKNmFYQWlPaU"),
    encoded("ZXlKcmRIa2lPaU"),
    encoded("ZXlKMlpYSWlPaU"),
    encoded("ZXlKNE5YVWlPaU"),
    encoded("ZXlKNE5XTWlPaU"),
];

const fn encoded(prefix: &'static str) -> TokenPrefix {
    token_form::token(prefix, "[0-9a-zA-Z+/=]{40,8000}").entropy(30)
}

/// Maximum bytes of a header that is decoded.
const HEADER: usize = 1_024;

fn token(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    if text.slice(place.at..place.end) != b"eyJ" {
        return None;
    }
    let header_end = text.run_of(Alphabet::Base64Url, place.at, HEADER);
    if text.at(header_end) != b'.' {
        return None;
    }
    work::spend(header_end.wrapping_sub(place.at));
    let header = URL_SAFE_NO_PAD
        .decode(text.slice(place.at..header_end))
        .ok()?;
    let names_algorithm = header.windows(5).any(|window| window == b"\"alg\"");
    if header.first() != Some(&b'{') || header.last() != Some(&b'}') || !names_algorithm {
        return None;
    }
    let payload = header_end.wrapping_add(1);
    // The parts of an encrypted token are random; its header shows that it is encrypted.
    let encrypted = header.windows(5).any(|window| window == b"\"enc\"");
    if !encrypted && !text.follows(payload, "ey") {
        return None;
    }
    let most = |at: usize| REACH.saturating_sub(at.wrapping_sub(place.at));
    let mut end = text.run_of(Alphabet::Base64Url, payload, most(payload));
    let parts = if encrypted { 3 } else { 1 };
    for _ in 0..parts {
        if text.at(end) != b'.' || end.wrapping_sub(place.at) >= REACH.saturating_sub(1) {
            break;
        }
        let next = end.wrapping_add(1);
        end = text.run_of(Alphabet::Base64UrlPadded, next, most(next));
    }
    Some(Match {
        start: place.at,
        end,
        confidence: Confidence::High,
    })
}

/// Tokens whose header begins with a space or line break before the JSON have another third letter.
fn odd(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let head = text.slice(place.at..place.end);
    if !head.starts_with(b"ey") || head.get(2) == Some(&b'J') {
        return None;
    }
    let header_end = text.run_of(Alphabet::Base64Url, place.at, HEADER);
    let payload = header_end.wrapping_add(1);
    if text.at(header_end) != b'.' || !text.follows(payload, "ey") {
        return None;
    }
    let payload_end = text.run_of(Alphabet::Base64Url, payload, HEADER);
    let end = if text.at(payload_end) == b'.' {
        let signature = payload_end.wrapping_add(1);
        text.run_of(Alphabet::Base64UrlPadded, signature, HEADER)
    } else {
        return None;
    };
    let long = header_end.wrapping_sub(place.at) >= 19 && payload_end.wrapping_sub(payload) >= 19;
    (long && shannon_entropy_tenths(text.slice(place.at..end)) >= 35).then_some(Match {
        start: place.at,
        end,
        confidence: Confidence::Medium,
    })
}
