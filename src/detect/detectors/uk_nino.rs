//! UK national insurance numbers.

use crate::detect::scan::place::{Anchor, Candidate};
use crate::detect::{Confidence, Detector, Doc, Hit, Miss};

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
        judge,
    )],
    hits: &[
        Hit {
            text: "my National Insurance number is RA 01 88 64 C",
            found: &["RA 01 88 64 C"],
        },
        Hit {
            text: "NINO=KM318300C;status=ok",
            found: &["KM318300C"],
        },
        Hit {
            text: "tw483726b",
            found: &["tw483726b"],
        },
        Hit {
            text: "hh 01 02 03 d",
            found: &["hh 01 02 03 d"],
        },
    ],
    misses: &[
        Miss {
            text: "NINO BG318894A",
            why: "the prefix BG is not used",
        },
        Miss {
            text: "NINO AO318894A",
            why: "O in second place",
        },
        Miss {
            text: "NINO AB123456E",
            why: "ends in E",
        },
        Miss {
            text: "order tw483726b",
            why: "nothing says that it is one",
        },
        Miss {
            text: "commit ab123456c",
            why: "hexadecimal",
        },
    ],
};

fn judge(candidate: &Candidate<'_>) -> Option<Confidence> {
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
