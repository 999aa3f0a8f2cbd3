//! Addresses of crypto currencies.

use crate::detect::checksum::{base58_check, bech32};
use crate::detect::keccak::keccak_256;
use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "crypto_address",
    groups: &["pii", "payment"],
    doc: Doc {
        finds: "Bitcoin addresses with their checks: Base58Check that begins with 1 or 3, Bech32 and Bech32m that begin with `bc1`. Ethereum's `0x` and forty hexadecimal digits whose capitals are their check, or after a word such as `wallet`.",
        misses: "Ethereum addresses in small letters without such a word: other hashes have the same form. Addresses of test networks.",
        source: "BIP 13, BIP 173, BIP 350; ERC-55",
    },
    reach: 62,
    context: &[
        "wallet", "wallets", "eth", "ethereum", "btc", "bitcoin", "address", "erc", "metamask",
        "crypto",
    ],
    anchors: &[Anchor::Mixed(26..=62, PreFilter::ALWAYS, probe)],
    hits: &[
        hit(
            "send to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            &["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"],
        ),
        hit(
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            &["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"],
        ),
        hit(
            "hash 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed, 0x52908400098527886E0F7030069857D2E4169EE7",
            &[
                "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
                "0x52908400098527886E0F7030069857D2E4169EE7",
            ],
        ),
        hit(
            "wallet 0xde709f2102306220921060314715629080e2fb77",
            &["0xde709f2102306220921060314715629080e2fb77"],
        ),
    ],
    misses: &[
        miss("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "wrong check"),
        miss("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "wrong check"),
        miss(
            "hash 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeaEd, 0xde709f2102306220921060314715629080e2fb77",
            "a wrong check, and nothing that says that these are addresses",
        ),
    ],
};

fn probe(place: &MatchSite<'_>) -> Option<Match> {
    let token = place.text.slice(place.at..place.end);
    let confidence = match token {
        [b'1' | b'3', ..] if token.len() <= 35 => {
            let version = base58_check(token)?;
            if version == 0 || version == 5 {
                Confidence::High
            } else {
                return None;
            }
        }
        [b'b', b'c', b'1', ..] if bech32(token, 2) => Confidence::High,
        // QR codes contain addresses in capitals. In text such addresses are so rare that they are likely something
        // else.
        [b'B', b'C', b'1', ..] if bech32(token, 2) => in_context(place, Confidence::Medium),
        [b'0', b'x', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit) => {
            let digits = digits.try_into().ok()?;
            // The context word first, because the hash costs more.
            match in_context(place, Confidence::High) {
                Confidence::Low if is_checked(digits) => Confidence::High,
                confidence => confidence,
            }
        }
        _ => return None,
    };
    Some(Match {
        start: place.at,
        end: place.end,
        confidence,
    })
}

/// Returns whether there are capitals, and exactly those letters are capitals whose digit in the hash of the
/// lower-case address is eight or more.
fn is_checked(digits: &[u8; 40]) -> bool {
    let small = digits.map(|digit| digit.to_ascii_lowercase());
    if small == *digits {
        return false;
    }
    let hash = keccak_256(&small).unwrap_or_default();
    let halves = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .iter()
        .zip(halves)
        .all(|(digit, half)| digit.is_ascii_digit() || digit.is_ascii_uppercase() == (half >= 8))
}

fn in_context(place: &MatchSite<'_>, with: Confidence) -> Confidence {
    if place.context(place.at) {
        with
    } else {
        Confidence::Low
    }
}
