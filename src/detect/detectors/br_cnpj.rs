//! Brazilian taxpayer numbers of companies (CNPJ).

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "br_cnpj",
    groups: &["pii.br"],
    doc: Doc {
        finds: "Fourteen digits as 99.999.999/9999-99 with two check digits modulo 11; without separators after the word `CNPJ`.",
        misses: "Fourteen digits in a row without the word, and the numbers with letters of 2026.",
        source: "Receita Federal do Brasil, Cadastro Nacional da Pessoa Jurídica, dígitos verificadores",
    },
    reach: 18,
    context: &["cnpj", "cnpjs", "pessoa juridica"],
    anchors: &[Anchor::Forms(
        &["99.999.999/9999-99", "99999999/9999-99", "?99999999999999"],
        validate,
    )],
    hits: &[
        hit("see 11.222.333/0001-81", &["11.222.333/0001-81"]),
        hit("CNPJ 11444777000161", &["11444777000161"]),
        hit("{\"cnpj\":\"11.444.777/0001-61\"}", &["11.444.777/0001-61"]),
    ],
    misses: &[
        miss("CNPJ 11.222.333/0001-82", "wrong check digit"),
        miss("CNPJ 00.000.000/0000-00", "zeros"),
        miss(
            "id 11444777000161",
            "fourteen digits that could be anything",
        ),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let check = |weights: &[u32]| {
        let rest = weighted_head(number, weights)?.wrapping_rem(11);
        Some(if rest < 2 {
            0
        } else {
            11u32.wrapping_sub(rest)
        })
    };
    let first = check(&[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])?;
    let second = check(&[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])?;
    if number.starts_with(b"00000000")
        || digit(number, 12) != Some(first)
        || digit(number, 13) != Some(second)
    {
        return None;
    }
    candidate.high_or(if candidate.form <= 1 {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
