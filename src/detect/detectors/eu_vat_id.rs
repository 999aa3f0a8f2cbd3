//! VAT identification numbers of the European Union, other than those with detectors of their own.

use crate::detect::checksum::{digit, luhn, number_at, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "eu_vat_id",
    groups: &["pii.eu"],
    doc: Doc {
        finds: "The country and the number, with its check where it has one: Austria, Belgium, Denmark, Finland, France, Ireland, Luxembourg, the Netherlands, Poland, Spain, Sweden.",
        misses: "Numbers without the country in front, and small countries' numbers.",
        source: "European Commission, VIES, VAT identification number structure",
    },
    reach: 16,
    context: &["vat", "ust id", "uid", "tva", "btw", "iva", "moms", "vies"],
    anchors: &[Anchor::Forms(
        &[
            "AAA99999999",
            "AA9999999999",
            "AA99999999",
            "AAXX999999999",
            "AA999999999A99",
            "AAX9999999X",
            "AA999999999999",
            "AA9999999AA",
        ],
        validate,
    )],
    hits: &[
        hit("UID ATU13585627", &["ATU13585627"]),
        hit("VAT: FR83404833048", &["FR83404833048"]),
        hit("btw NL004495445B01", &["NL004495445B01"]),
        hit("BE0411905847", &["BE0411905847"]),
    ],
    misses: &[
        miss("VAT ATU13585626", "wrong check digit"),
        miss("VAT BE0411905848", "wrong key"),
        miss("VAT XX0411905847", "no such country"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let code = candidate.compact();
    let (country, number) = code.split_at_checked(2)?;
    let mod_11 = |weights: &[u32], place: usize| {
        let check = 11u32.wrapping_sub(weighted_head(number, weights)?.wrapping_rem(11));
        Some(digit(number, place)? == if check > 9 { 0 } else { check })
    };
    let checked = match (country, number.len()) {
        (b"AT", 9) => austrian(number)?,
        (b"BE", 10) => {
            let key = number_at(number, 8, 2)?;
            97u32.wrapping_sub(number_at(number, 0, 8)?.wrapping_rem(97)) == key
        }
        (b"DK", 8) => weighted_head(number, &[2, 7, 6, 5, 4, 3, 2, 1])?.is_multiple_of(11),
        (b"FI", 8) => mod_11(&[7, 9, 10, 5, 8, 4, 2], 7)?,
        (b"FR", 11) => {
            let siren = number_at(number, 2, 9)?;
            luhn(number.get(2..)?)
                && number_at(number, 0, 2).is_none_or(|key| {
                    siren
                        .wrapping_rem(97)
                        .wrapping_mul(3)
                        .wrapping_add(12)
                        .wrapping_rem(97)
                        == key
                })
        }
        (b"LU", 8) => number_at(number, 0, 6)?.wrapping_rem(89) == number_at(number, 6, 2)?,
        (b"NL", 12) if number.get(9) == Some(&b'B') => {
            let rest = weighted_head(number, &[9, 8, 7, 6, 5, 4, 3, 2])?.wrapping_rem(11);
            // Numbers of sole traders since 2020 have a check of their own, over the letters.
            digit(number, 8)? == rest
                || crate::detect::checksum::mod_97(code.iter().copied()) == Some(1)
        }
        (b"PL", 10) => {
            digit(number, 9)?
                == weighted_head(number, &[6, 5, 7, 2, 3, 4, 5, 6, 7])?.wrapping_rem(11)
        }
        (b"SE", 12) => luhn(number.get(..10)?) && number.ends_with(b"01"),
        (b"ES" | b"IE", 8 | 9) => return candidate.high_or(Confidence::Low),
        _ => false,
    };
    if checked {
        candidate.high_or(Confidence::Medium)
    } else {
        None
    }
}

/// U and eight digits.
fn austrian(number: &[u8]) -> Option<bool> {
    let digits = number.strip_prefix(b"U")?;
    let sum = digits
        .iter()
        .take(7)
        .enumerate()
        .fold(0u32, |sum, (place, byte)| {
            let value = u32::from(byte & 0x0F);
            let doubled = value.wrapping_mul(2);
            let counted = if place.is_multiple_of(2) {
                value
            } else {
                doubled
                    .div_euclid(10)
                    .wrapping_add(doubled.wrapping_rem(10))
            };
            sum.wrapping_add(counted)
        });
    let check = 10u32
        .wrapping_sub(sum.wrapping_add(4).wrapping_rem(10))
        .wrapping_rem(10);
    Some(digit(digits, 7)? == check)
}
