//! Hungarian tax identification numbers of persons (adóazonosító jel).

use crate::detect::checksum::{digit, number_at, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "hu_tax_id",
    groups: &["pii.eu.hu"],
    doc: Doc {
        finds: "An 8, the days from 1867 to the birthday in five digits, three digits and a check digit (each digit times its position, modulo 11), after a word such as `adóazonosító`.",
        misses: "Ten digits without such a word.",
        source: "1996. évi XX. törvény a személyazonosító jel helyébe lépő azonosítási módokról, melléklet",
    },
    reach: 13,
    context: &[
        "adóazonosító",
        "adóazonosítója",
        "adóazonosítóm",
        "adóazonosító jel",
        "adószám",
        "adószáma",
        "adószámom",
        "hungarian tax",
    ],
    anchors: &[Anchor::Forms(
        &["?9999999999", "?9999 999 999", "?9 999 999 999"],
        validate,
    )],
    hits: &[
        hit("adóazonosító jel: 8256945818", &["8256945818"]),
        hit("Az adóazonosítóm 8426285430.", &["8426285430"]),
        hit("{\"adoazonosito_jel\":\"8318638522\"}", &["8318638522"]),
    ],
    misses: &[
        miss("adóazonosító jel 8256945819", "wrong check digit"),
        miss("adóazonosító jel 9256945818", "begins with 9"),
        miss("id 8256945818", "ten digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let rest = weighted_head(number, &[1, 2, 3, 4, 5, 6, 7, 8, 9])?.wrapping_rem(11);
    // From the 1890s, and for forty years to come.
    let dated = matches!(number_at(number, 1, 5)?, 10_000..=73_000);
    if number.first() != Some(&b'8') || !dated || digit(number, 9) != Some(rest) {
        return None;
    }
    candidate.high_or(Confidence::Low)
}
