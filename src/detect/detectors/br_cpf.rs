//! Brazilian taxpayer numbers of people (CPF).

use crate::detect::checksum::{digit, weighted_head};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::Candidate;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(super) static DETECTOR: Detector = Detector {
    name: "br_cpf",
    groups: &["pii.br"],
    doc: Doc {
        finds: "Eleven digits as 999.999.999-99 with two check digits modulo 11; without separators after the word `CPF`.",
        misses: "Eleven digits in a row without the word.",
        source: "Receita Federal do Brasil, Cadastro de Pessoas Físicas, dígitos verificadores",
    },
    reach: 14,
    context: &["cpf", "cpfs", "cadastro de pessoas"],
    anchors: &[Anchor::Forms(
        &[
            "999.999.999-99",
            "?999999999-99",
            "?99999999999",
            "?999 999 999 99",
            "?999-999-999-99",
        ],
        validate,
    )],
    hits: &[
        hit("see 111.444.777-35", &["111.444.777-35"]),
        hit("CPF 52998224725", &["52998224725"]),
        hit("{\"cpf\":\"529.982.247-25\"}", &["529.982.247-25"]),
        hit("CPF 529 982 247 25", &["529 982 247 25"]),
    ],
    misses: &[
        miss("CPF 111.444.777-36", "wrong check digit"),
        miss("CPF 111.111.111-11", "one digit repeated"),
        miss("id 52998224725", "eleven digits that could be anything"),
    ],
};

fn validate(candidate: &Candidate<'_>) -> Option<Confidence> {
    let number = candidate.compact();
    let check = |weights: &[u32]| {
        Some(
            weighted_head(number, weights)?
                .wrapping_mul(10)
                .wrapping_rem(11)
                .wrapping_rem(10),
        )
    };
    let first = check(&[10, 9, 8, 7, 6, 5, 4, 3, 2])?;
    let second = check(&[11, 10, 9, 8, 7, 6, 5, 4, 3, 2])?;
    let repeated = number.iter().all(|byte| Some(byte) == number.first());
    if repeated || digit(number, 9) != Some(first) || digit(number, 10) != Some(second) {
        return None;
    }
    candidate.high_or(if candidate.form == 0 {
        Confidence::Medium
    } else {
        Confidence::Low
    })
}
