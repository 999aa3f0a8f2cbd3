//! German identity cards.

use super::de_passport::{icao_checks, is_serial};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "de_id_card",
    groups: &["pii.eu.de"],
    doc: Doc {
        finds: "Nine or ten digits and capitals without vowels, the last one by the ICAO's weights 7, 3, 1, or T and eight digits as printed since 2010, where the text is nothing else; nine of them after a word such as `Personalausweis`.",
        misses: "Numbers within a text without such a word: article numbers pass the check.",
        source: "Personalausweisgesetz § 5; ICAO Doc 9303 part 3, check digits",
    },
    reach: 10,
    context: &[
        "personalausweis",
        "ausweis",
        "ausweisnummer",
        "ausweisnr",
        "identity card",
        "id card",
        "perso",
        "personalausweisnummer",
        "bundespersonalausweis",
        "dokumentennummer",
        "ausweisdokument",
        "npa",
    ],
    anchors: &[Anchor::Forms(&["axxxxxxxx", "axxxxxxxx9"], validate)],
    hits: &[
        hit("Personalausweis: L01X00T44.", &["L01X00T44"]),
        hit("l01x00t44", &["l01x00t44"]),
        hit("T22000129", &["T22000129"]),
    ],
    misses: &[
        miss("article L01X00T44 is sold", "nothing says that it is one"),
        miss("Ausweis 123456789", "begins with a digit"),
        miss("Ausweis A01234565", "vowels are not used"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.capitals();
    if !is_serial(&number) {
        return None;
    }
    let printed = matches!(&*number, [b'T', digits @ ..] if digits.len() == 8 && digits.iter().all(u8::is_ascii_digit));
    match candidate.form {
        _ if printed || icao_checks(&number) => candidate.high_or_whole(Confidence::Medium),
        0 => candidate.high_or(Confidence::Low),
        _ => None,
    }
}
