//! UK national insurance numbers.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "uk_nino",
    groups: &["pii.uk"],
    doc: Doc {
        finds: "Two letters, six digits, a letter A–D, with or without spaces. D, F, I, Q, U and V are not used, nor O in second place, nor the prefixes BG, GB, KN, NK, NT, TN and ZZ.",
        misses: "Small letters in one piece without a word such as `NINO`, where the text is more than that.",
        source: "HMRC National Insurance Manual, NIM39110",
    },
    reach: 13,
    context: &[
        "nino",
        "national insurance",
        "ni number",
        "ni no",
        "insurance number",
        "nin",
    ],
    anchors: &[Anchor::Forms(
        &[
            "aa999999a",
            "aa 99 99 99 a",
            "aa-99-99-99-a",
            "aa 999999 a",
            "aa 999999a",
            "aa999999 a",
        ],
        validate,
    )],
    hits: &[
        hit(
            "my National Insurance number is RA 01 88 64 C",
            &["RA 01 88 64 C"],
        ),
        hit("NINO=KM318300C;status=ok", &["KM318300C"]),
        hit("tw483726b", &["tw483726b"]),
        hit("hh 01 02 03 d", &["hh 01 02 03 d"]),
    ],
    misses: &[
        miss("NINO BG318894A", "the prefix BG is not used"),
        miss("NINO AO318894A", "O in second place"),
        miss("NINO AB123456E", "ends in E"),
        miss("order tw483726b", "nothing says that it is one"),
        miss("commit ab123456c", "hexadecimal"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.capitals();
    let [first, second, .., last] = *number else {
        return None;
    };
    let unused = matches!(first, b'D' | b'F' | b'I' | b'Q' | b'U' | b'V')
        || matches!(second, b'D' | b'F' | b'I' | b'Q' | b'U' | b'V' | b'O')
        || matches!(
            &[first, second],
            b"BG" | b"GB" | b"KN" | b"NK" | b"NT" | b"TN" | b"ZZ"
        )
        || !matches!(last, b'A'..=b'D');
    if unused {
        return None;
    }
    let small = candidate.form == 0 && candidate.compact() != &*number;
    if small && candidate.compact().iter().all(u8::is_ascii_hexdigit) {
        candidate.high_or(Confidence::Low)
    } else if small {
        candidate.high_or_whole(Confidence::Medium)
    } else {
        candidate.high_or(Confidence::Medium)
    }
}
