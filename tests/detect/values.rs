//! Values with valid check digits, made here without the detectors' arithmetic: a random candidate is drawn until the
//! check, written anew from the published rule, accepts it.

/// A reproducible source of numbers (Steele, Lea, Flood: SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }

    pub fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    /// `9` a digit, `A` a capital letter, `X` either; everything else stands for itself.
    pub fn fill(&mut self, form: &str) -> String {
        form.chars()
            .map(|c| match c {
                '9' => char::from(b'0' + self.below(10) as u8),
                'A' => char::from(b'A' + self.below(26) as u8),
                'X' => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[self.below(36)].into(),
                other => other,
            })
            .collect()
    }

    /// A day as it stands in a form of `y`, `m` and `d`.
    pub fn date(&mut self, form: &str) -> String {
        let (year, month, day) = (
            1940 + self.below(65),
            1 + self.below(12),
            1 + self.below(28),
        );
        form.replace("yyyy", &format!("{year}"))
            .replace("yy", &format!("{:02}", year % 100))
            .replace("mm", &format!("{month:02}"))
            .replace("dd", &format!("{day:02}"))
    }
}

/// A kind of value.
pub struct Kind {
    pub name: &'static str,
    /// A word that stands before it, as in prose and as a name in programs.
    pub word: &'static str,
    pub draw: fn(&mut Dice) -> String,
    pub valid: fn(&str) -> bool,
}

impl Kind {
    pub fn value(&self, dice: &mut Dice) -> String {
        loop {
            let value = (self.draw)(dice);
            if (self.valid)(&value) {
                return value;
            }
        }
    }
}

fn numbers(value: &str) -> Vec<i64> {
    value
        .chars()
        .filter_map(|c| c.to_digit(36))
        .map(i64::from)
        .collect()
}

fn sum(digits: &[i64], weights: &[i64]) -> i64 {
    digits.iter().zip(weights).map(|(d, w)| d * w).sum()
}

fn luhn(value: &str) -> bool {
    let mut total = 0;
    for (place, digit) in numbers(value).iter().rev().enumerate() {
        let mut n = digit * if place % 2 == 1 { 2 } else { 1 };
        while n > 0 {
            total += n % 10;
            n /= 10;
        }
    }
    total % 10 == 0
}

fn mod_97(value: &str) -> i64 {
    let long: String = numbers(value).iter().map(i64::to_string).collect();
    long.bytes()
        .fold(0, |rest, c| (rest * 10 + i64::from(c - b'0')) % 97)
}

fn mod_11_10(value: &str) -> bool {
    let digits = numbers(value);
    let (check, head) = digits.split_last().unwrap();
    let mut product = 10;
    for digit in head {
        let mut s = (digit + product) % 10;
        if s == 0 {
            s = 10;
        }
        product = (2 * s) % 11;
    }
    (11 - product) % 10 == *check
}

/// The dihedral group of order ten, by its rules instead of its table.
fn verhoeff(value: &str) -> bool {
    let multiply = |a: i64, b: i64| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 - b + 5) % 5 + 5,
        (false, false) => (a - b + 5) % 5,
    };
    let permute = |mut digit: i64, times: usize| {
        for _ in 0..times {
            digit = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4][usize::try_from(digit).unwrap()];
        }
        digit
    };
    numbers(value)
        .iter()
        .rev()
        .enumerate()
        .fold(0, |check, (place, digit)| {
            multiply(check, permute(*digit, place % 8))
        })
        == 0
}

fn icao(value: &str) -> bool {
    let values = numbers(value);
    let (check, head) = values.split_last().unwrap();
    head.iter()
        .zip([7, 3, 1].iter().cycle())
        .map(|(v, w)| v * w)
        .sum::<i64>()
        % 10
        == *check
}

/// The remainder of a weighted sum and what the last digit must be for it.
fn checked(value: &str, weights: &[i64], modulus: i64, check: fn(i64) -> i64) -> bool {
    let digits = numbers(value);
    digits.len() == weights.len() + 1
        && check(sum(&digits, weights) % modulus) == digits[weights.len()]
}

fn real_date(month: &str, day: &str) -> bool {
    let (month, day): (u32, u32) = (month.parse().unwrap(), day.parse().unwrap());
    (1..=12).contains(&month) && (1..=28).contains(&day)
}

const LETTERS_23: &str = "TRWAGMYFPDXBNJZSQVHLCKE";

fn es_letter(number: &str, letter: char) -> bool {
    let rest = number.parse::<usize>().unwrap() % 23;
    LETTERS_23.chars().nth(rest) == Some(letter)
}

fn fiscal_code(value: &str) -> bool {
    // The values of odd places are published as a list; even places count 0–25.
    let odd: [i64; 36] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3,
        6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
    ];
    let values = numbers(value);
    let total: i64 = values[..15]
        .iter()
        .enumerate()
        .map(|(place, v)| {
            if place % 2 == 0 {
                odd[usize::try_from(*v).unwrap()]
            } else if *v >= 10 {
                v - 10
            } else {
                *v
            }
        })
        .sum();
    total % 26 == values[15] - 10
}

fn gstin(value: &str) -> bool {
    let values = numbers(value);
    let total: i64 = values[..14]
        .iter()
        .zip([1, 2].iter().cycle())
        .map(|(v, w)| v * w / 36 + v * w % 36)
        .sum();
    (36 - total % 36) % 36 == values[14]
}

fn curp(value: &str) -> bool {
    let alphabet = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ";
    let place = |c: char| i64::try_from(alphabet.chars().position(|a| a == c).unwrap()).unwrap();
    let total: i64 = value
        .chars()
        .take(17)
        .zip((2..=18).rev())
        .map(|(c, w)| place(c) * w)
        .sum();
    (10 - total % 10) % 10 == i64::from(value.chars().last().unwrap().to_digit(10).unwrap_or(99))
}

pub const KINDS: &[Kind] = &[
    Kind {
        name: "credit_card",
        word: "card",
        draw: |dice| {
            let form = dice.of(&[
                "4999999999999999",
                "5199999999999999",
                "2301999999999999",
                "349999999999999",
                "6011999999999999",
                "3056999999999999",
            ]);
            dice.fill(form)
        },
        valid: |value| luhn(value),
    },
    Kind {
        name: "iban",
        word: "iban",
        draw: |dice| {
            let form = dice.of(&[
                "DE99999999999999999999",
                "GB99AAAA99999999999999",
                "FR9999999999999999999999999",
                "NL99AAAA9999999999",
                "ES9999999999999999999999",
            ]);
            let countries = &form[..2];
            format!("{countries}{}", dice.fill(&form[2..]))
        },
        valid: |value| mod_97(&format!("{}{}", &value[4..], &value[..4])) == 1,
    },
    Kind {
        name: "us_aba_routing",
        word: "routing number",
        draw: |dice| dice.fill("021999999"),
        valid: |value| sum(&numbers(value), &[3, 7, 1, 3, 7, 1, 3, 7, 1]) % 10 == 0,
    },
    Kind {
        name: "us_npi",
        word: "npi",
        draw: |dice| dice.fill("1999999999"),
        valid: |value| luhn(&format!("80840{value}")),
    },
    Kind {
        name: "us_dea",
        word: "dea",
        draw: |dice| format!("B{}", dice.fill("A9999999")),
        valid: |value| {
            let d = numbers(&value[2..]);
            (d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 == d[6]
        },
    },
    Kind {
        name: "uk_nhs",
        word: "nhs",
        draw: |dice| dice.fill("4999999999"),
        valid: |value| {
            checked(value, &[10, 9, 8, 7, 6, 5, 4, 3, 2], 11, |rest| {
                (11 - rest) % 11
            })
        },
    },
    Kind {
        name: "ca_sin",
        word: "social insurance number",
        draw: |dice| dice.fill("599999999"),
        valid: |value| luhn(value),
    },
    Kind {
        name: "au_abn",
        word: "abn",
        draw: |dice| dice.fill("59999999999"),
        valid: |value| {
            let mut d = numbers(value);
            d[0] -= 1;
            sum(&d, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]) % 89 == 0
        },
    },
    Kind {
        name: "au_acn",
        word: "acn",
        draw: |dice| dice.fill("099999999"),
        valid: |value| {
            checked(value, &[8, 7, 6, 5, 4, 3, 2, 1], 10, |rest| {
                (10 - rest) % 10
            })
        },
    },
    Kind {
        name: "au_tfn",
        word: "tfn",
        draw: |dice| dice.fill("899999999"),
        valid: |value| sum(&numbers(value), &[1, 4, 3, 7, 5, 8, 6, 9, 10]) % 11 == 0,
    },
    Kind {
        name: "au_medicare",
        word: "medicare",
        draw: |dice| dice.fill("2999999991"),
        valid: |value| {
            sum(&numbers(value)[..8], &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == numbers(value)[8]
        },
    },
    Kind {
        name: "in_aadhaar",
        word: "aadhaar",
        draw: |dice| dice.fill("599999999999"),
        valid: |value| verhoeff(value),
    },
    Kind {
        name: "in_gstin",
        word: "gst",
        draw: |dice| format!("27{}Z{}", dice.fill("AAAPA9999A1"), dice.fill("X")),
        valid: |value| gstin(value),
    },
    Kind {
        name: "es_nif",
        word: "dni",
        draw: |dice| dice.fill("99999999A"),
        valid: |value| es_letter(&value[..8], value.chars().last().unwrap()),
    },
    Kind {
        name: "es_nie",
        word: "nie",
        draw: |dice| format!("{}{}", dice.of(&["X", "Y", "Z"]), dice.fill("9999999A")),
        valid: |value| {
            let first = ["X", "Y", "Z"]
                .iter()
                .position(|letter| value.starts_with(letter))
                .unwrap();
            es_letter(
                &format!("{first}{}", &value[1..8]),
                value.chars().last().unwrap(),
            )
        },
    },
    Kind {
        name: "it_fiscal_code",
        word: "codice fiscale",
        draw: |dice| {
            let month = dice.of(&["A", "B", "C", "D", "E", "H", "L", "M", "P", "R", "S", "T"]);
            let day = dice.of(&["01", "15", "28", "41", "68"]);
            format!(
                "RSSMRA{}{month}{day}H501{}",
                dice.fill("99"),
                dice.fill("A")
            )
        },
        valid: |value| fiscal_code(value),
    },
    Kind {
        name: "it_vat",
        word: "partita iva",
        draw: |dice| dice.fill("09999990159"),
        valid: |value| luhn(value),
    },
    Kind {
        name: "pl_pesel",
        word: "pesel",
        draw: |dice| format!("{}{}", dice.date("yymmdd"), dice.fill("99999")),
        valid: |value| {
            checked(value, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3], 10, |rest| {
                (10 - rest) % 10
            })
        },
    },
    Kind {
        name: "pl_nip",
        word: "nip",
        draw: |dice| dice.fill("5269999999"),
        valid: |value| checked(value, &[6, 5, 7, 2, 3, 4, 5, 6, 7], 11, |rest| rest),
    },
    Kind {
        name: "sg_nric",
        word: "nric",
        draw: |dice| format!("S{}", dice.fill("9999999A")),
        valid: |value| {
            let rest = sum(&numbers(&value[1..8]), &[2, 7, 6, 5, 4, 3, 2]) % 11;
            "JZIHGFEDCBA".chars().nth(usize::try_from(rest).unwrap()) == value.chars().last()
        },
    },
    Kind {
        name: "fi_hetu",
        word: "henkilötunnus",
        draw: |dice| format!("{}-{}", dice.date("ddmmyy"), dice.fill("999X")),
        valid: |value| {
            let number: usize = format!("{}{}", &value[..6], &value[7..10]).parse().unwrap();
            let serial: usize = value[7..10].parse().unwrap();
            (2..900).contains(&serial)
                && real_date(&value[2..4], &value[..2])
                && "0123456789ABCDEFHJKLMNPRSTUVWXY".chars().nth(number % 31)
                    == value.chars().last()
        },
    },
    Kind {
        name: "se_personnummer",
        word: "personnummer",
        draw: |dice| format!("{}-{}", dice.date("yymmdd"), dice.fill("9999")),
        valid: |value| luhn(&value.replace('-', "")) && real_date(&value[2..4], &value[4..6]),
    },
    Kind {
        name: "se_orgnr",
        word: "organisationsnummer",
        draw: |dice| dice.fill("556999-9999"),
        valid: |value| luhn(&value.replace('-', "")),
    },
    Kind {
        name: "kr_brn",
        word: "brn",
        draw: |dice| dice.fill("999-81-99999"),
        valid: |value| {
            let d = numbers(value);
            let total = sum(&d, &[1, 3, 7, 1, 3, 7, 1, 3]) + d[8] * 5 % 10 + d[8] * 5 / 10;
            (10 - total % 10) % 10 == d[9] && d[0] > 0
        },
    },
    Kind {
        name: "th_tnin",
        word: "thai id",
        draw: |dice| dice.fill("1999999999999"),
        valid: |value| {
            checked(
                value,
                &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2],
                11,
                |rest| (11 - rest) % 10,
            ) && value.as_bytes()[1] != b'0'
        },
    },
    Kind {
        name: "tr_national_id",
        word: "tc kimlik no",
        draw: |dice| dice.fill("49999999999"),
        valid: |value| {
            let d = numbers(value);
            let odd = d[0] + d[2] + d[4] + d[6] + d[8];
            let even = d[1] + d[3] + d[5] + d[7];
            (7 * odd - even).rem_euclid(10) == d[9] && d[..10].iter().sum::<i64>() % 10 == d[10]
        },
    },
    Kind {
        name: "za_id",
        word: "id number",
        draw: |dice| format!("{}{}", dice.date("yymmdd"), dice.fill("9999089")),
        valid: |value| luhn(value) && real_date(&value[2..4], &value[4..6]),
    },
    Kind {
        name: "ng_nin",
        word: "nin",
        draw: |dice| dice.fill("59999999999"),
        valid: |value| verhoeff(value),
    },
    Kind {
        name: "de_tax_id",
        word: "steuer-id",
        draw: |dice| dice.fill("59999999999"),
        valid: |value| {
            let head = &value[..10];
            let mut counts = [0; 10];
            for byte in head.bytes() {
                counts[usize::from(byte - b'0')] += 1;
            }
            let repeated: Vec<_> = counts.iter().filter(|count| **count > 1).collect();
            let tripled = head
                .as_bytes()
                .windows(3)
                .any(|w| w[0] == w[1] && w[1] == w[2]);
            mod_11_10(value) && repeated.len() == 1 && *repeated[0] <= 3 && !tripled
        },
    },
    Kind {
        name: "de_vat_id",
        word: "ust-id",
        draw: |dice| format!("DE{}", dice.fill("199999999")),
        valid: |value| mod_11_10(&value[2..]),
    },
    Kind {
        name: "de_lanr",
        word: "lanr",
        draw: |dice| dice.fill("599999901"),
        valid: |value| {
            let d = numbers(value);
            (10 - sum(&d[..6], &[4, 9, 4, 9, 4, 9]) % 10) % 10 == d[6]
        },
    },
    Kind {
        name: "de_id_card",
        word: "personalausweis",
        draw: |dice| format!("L{}", dice.fill("99999999") + &dice.fill("9")),
        valid: |value| icao(value),
    },
    Kind {
        name: "nl_bsn",
        word: "bsn",
        draw: |dice| dice.fill("199999999"),
        valid: |value| {
            let d = numbers(value);
            (sum(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) - d[8]) % 11 == 0
        },
    },
    Kind {
        name: "be_national_number",
        word: "rijksregisternummer",
        draw: |dice| format!("{}{}", dice.date("yymmdd"), dice.fill("12399")),
        valid: |value| {
            // Who was born in 2000 or later has a 2 before the number.
            let head: i64 = value[..9].parse().unwrap();
            let key: i64 = value[9..].parse().unwrap();
            97 - head % 97 == key || 97 - (head + 2_000_000_000) % 97 == key
        },
    },
    Kind {
        name: "pt_nif",
        word: "nif",
        draw: |dice| dice.fill("299999999"),
        valid: |value| {
            checked(value, &[9, 8, 7, 6, 5, 4, 3, 2], 11, |rest| {
                if rest < 2 { 0 } else { 11 - rest }
            })
        },
    },
    Kind {
        name: "fr_nir",
        word: "numéro de sécurité sociale",
        draw: |dice| {
            let born = dice.date("yymm");
            format!("1{born}{}", dice.fill("7511699999"))
        },
        valid: |value| {
            97 - value[..13].parse::<i64>().unwrap() % 97 == value[13..].parse::<i64>().unwrap()
        },
    },
    Kind {
        name: "no_fodselsnummer",
        word: "fødselsnummer",
        draw: |dice| format!("{}{}", dice.date("ddmmyy"), dice.fill("29999")),
        valid: |value| {
            let d = numbers(value);
            let first = (11 - sum(&d[..9], &[3, 7, 6, 1, 8, 9, 4, 5, 2]) % 11) % 11;
            let second = (11 - sum(&d[..10], &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
            first == d[9] && second == d[10] && real_date(&value[2..4], &value[..2])
        },
    },
    Kind {
        name: "jp_my_number",
        word: "マイナンバー",
        draw: |dice| dice.fill("599999999999"),
        valid: |value| {
            checked(value, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2], 11, |rest| {
                if rest < 2 { 0 } else { 11 - rest }
            })
        },
    },
    Kind {
        name: "br_cpf",
        word: "cpf",
        draw: |dice| dice.fill("599.999.999-99"),
        valid: |value| {
            let d = numbers(value);
            let digit = |rest: i64| if rest < 2 { 0 } else { 11 - rest };
            digit(sum(&d[..9], &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) == d[9]
                && digit(sum(&d[..10], &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) == d[10]
        },
    },
    Kind {
        name: "br_cnpj",
        word: "cnpj",
        draw: |dice| dice.fill("59.999.999/0001-99"),
        valid: |value| {
            let d = numbers(value);
            let digit = |rest: i64| if rest < 2 { 0 } else { 11 - rest };
            digit(sum(&d[..12], &[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) == d[12]
                && digit(sum(&d[..13], &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) == d[13]
        },
    },
    Kind {
        name: "mx_curp",
        word: "curp",
        draw: |dice| format!("GARC{}HDFRRL{}", dice.date("yymmdd"), dice.fill("09")),
        valid: |value| curp(value),
    },
    Kind {
        name: "ch_ahv",
        word: "ahv",
        draw: |dice| dice.fill("756.9999.9999.99"),
        valid: |value| {
            let d = numbers(value);
            let threes: i64 = d.iter().skip(1).step_by(2).sum();
            let ones: i64 = d.iter().step_by(2).sum();
            (ones + 3 * threes) % 10 == 0
        },
    },
    Kind {
        name: "at_svnr",
        word: "svnr",
        draw: |dice| format!("{}{}", dice.fill("8999"), dice.date("ddmmyy")),
        valid: |value| {
            let d = numbers(value);
            sum(&d, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11 == d[3]
                && real_date(&value[6..8], &value[4..6])
        },
    },
    Kind {
        name: "cz_rodne_cislo",
        word: "rodné číslo",
        draw: |dice| format!("{}/{}", dice.date("yymmdd"), dice.fill("9999")),
        valid: |value| {
            let number: i64 = value.replace('/', "").parse().unwrap();
            let women = numbers(&value[2..3])[0] >= 5;
            let month = numbers(&value[2..4]);
            let month = 10 * month[0] + month[1] - if women { 50 } else { 0 };
            // A tenth of the remainders counts as 0 in numbers until 1985.
            number / 10 % 11 % 10 == number % 10 && real_date(&format!("{month}"), &value[4..6])
        },
    },
    Kind {
        name: "ro_cnp",
        word: "cnp",
        draw: |dice| format!("1{}{}", dice.date("yymmdd"), dice.fill("229999")),
        valid: |value| {
            let county = numbers(&value[7..9]);
            let county = 10 * county[0] + county[1];
            "1256".contains(&value[..1])
                && (1..=46).contains(&county)
                && real_date(&value[3..5], &value[5..7])
                && checked(value, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9], 11, |rest| {
                    if rest == 10 { 1 } else { rest }
                })
        },
    },
    Kind {
        name: "gr_amka",
        word: "αμκα",
        draw: |dice| format!("{}{}", dice.date("ddmmyy"), dice.fill("99999")),
        valid: |value| luhn(value) && real_date(&value[2..4], &value[..2]),
    },
    Kind {
        name: "gr_afm",
        word: "afm",
        draw: |dice| dice.fill("099999999"),
        valid: |value| {
            checked(value, &[256, 128, 64, 32, 16, 8, 4, 2], 11, |rest| {
                rest % 10
            })
        },
    },
    Kind {
        name: "hu_taj",
        word: "taj",
        draw: |dice| dice.fill("999999999"),
        valid: |value| checked(value, &[3, 7, 3, 7, 3, 7, 3, 7], 10, |rest| rest),
    },
    Kind {
        name: "hu_tax_id",
        word: "adóazonosító",
        draw: |dice| dice.fill("8399999999"),
        valid: |value| {
            value.starts_with('8') && checked(value, &[1, 2, 3, 4, 5, 6, 7, 8, 9], 11, |rest| rest)
        },
    },
    Kind {
        name: "bg_egn",
        word: "егн",
        draw: |dice| format!("{}{}", dice.date("yymmdd"), dice.fill("9999")),
        valid: |value| {
            let century = numbers(&value[2..3])[0] / 2 * 20;
            let month = numbers(&value[2..4]);
            let month = 10 * month[0] + month[1] - century;
            real_date(&format!("{month}"), &value[4..6])
                && checked(value, &[2, 4, 8, 5, 10, 9, 7, 3, 6], 11, |rest| rest % 10)
        },
    },
    Kind {
        name: "ie_pps",
        word: "ppsn",
        draw: |dice| format!("{}A", dice.fill("9999999A")),
        valid: |value| {
            let rest = sum(&numbers(&value[..7]), &[8, 7, 6, 5, 4, 3, 2]) + 9;
            "WABCDEFGHIJKLMNOPQRSTUV"
                .chars()
                .nth(usize::try_from(rest % 23).unwrap())
                == value.chars().nth(7)
        },
    },
];

/// A token that is known by how it begins: the detector, the beginning, the alphabet, how many.
pub struct Token {
    pub name: &'static str,
    pub beginning: &'static str,
    pub alphabet: Alphabet,
    pub length: usize,
}

#[derive(Clone, Copy)]
pub enum Alphabet {
    Hexadecimal,
    Small,
    Capital,
    Any,
    Url,
}

impl Token {
    pub fn value(&self, dice: &mut Dice) -> String {
        let alphabet: &[u8] = match self.alphabet {
            Alphabet::Hexadecimal => b"0123456789abcdef",
            Alphabet::Small => b"0123456789abcdefghijklmnopqrstuvwxyz",
            Alphabet::Capital => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            Alphabet::Any => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            Alphabet::Url => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-",
        };
        let mut value = self.beginning.to_owned();
        for place in 0..self.length {
            // A hyphen at the end could be a mark of the sentence.
            let from = if place + 1 == self.length {
                alphabet.len().min(62)
            } else {
                alphabet.len()
            };
            value.push(alphabet[dice.below(from)].into());
        }
        value
    }
}

const fn token(
    name: &'static str,
    beginning: &'static str,
    alphabet: Alphabet,
    length: usize,
) -> Token {
    Token {
        name,
        beginning,
        alphabet,
        length,
    }
}

pub const TOKENS: &[Token] = &[
    token("aws_access_key", "AKIA", Alphabet::Capital, 16),
    token("github_token", "ghp_", Alphabet::Any, 36),
    token("github_token", "ghs_", Alphabet::Any, 36),
    token("github_token", "github_pat_", Alphabet::Any, 82),
    token("gitlab_token", "glpat-", Alphabet::Url, 20),
    token("gitlab_token", "gldt-", Alphabet::Url, 20),
    token("google_api_key", "AIza", Alphabet::Url, 35),
    token("stripe_key", "sk_live_", Alphabet::Any, 24),
    token("stripe_key", "rk_live_", Alphabet::Any, 24),
    token("npm_token", "npm_", Alphabet::Any, 36),
    token("digitalocean_token", "dop_v1_", Alphabet::Hexadecimal, 64),
    token("shopify_token", "shpat_", Alphabet::Hexadecimal, 32),
    token("databricks_token", "dapi", Alphabet::Hexadecimal, 32),
    token("huggingface_token", "hf_", Alphabet::Any, 34),
    token("twilio_key", "SK", Alphabet::Hexadecimal, 32),
    token("vendor_token", "lin_api_", Alphabet::Small, 40),
    token("vendor_token", "pul-", Alphabet::Hexadecimal, 40),
    token("vendor_token", "rubygems_", Alphabet::Hexadecimal, 48),
    token("vendor_token", "pplx-", Alphabet::Any, 48),
    token(
        "slack_token",
        "xapp-1-A0123456789-0123456789012-",
        Alphabet::Small,
        64,
    ),
    token("square_token", "sq0atp-", Alphabet::Url, 22),
    token("pypi_token", "pypi-AgEIcHlwaS5vcmc", Alphabet::Url, 120),
    token("anthropic_key", "sk-ant-api03-", Alphabet::Any, 95),
];

#[test]
fn the_checks_accept_published_numbers() {
    for (name, published) in [
        ("credit_card", "4111111111111111"),
        ("iban", "GB82WEST12345698765432"),
        ("us_aba_routing", "021000021"),
        ("us_npi", "1234567893"),
        ("uk_nhs", "9434765919"),
        ("ca_sin", "046454286"),
        ("au_abn", "53004085616"),
        ("au_acn", "004085616"),
        ("au_tfn", "123456782"),
        ("in_gstin", "27AAPFU0939F1ZV"),
        ("es_nif", "12345678Z"),
        ("it_fiscal_code", "RSSMRA85T10A562S"),
        ("pl_pesel", "44051401359"),
        ("sg_nric", "S1234567D"),
        ("fi_hetu", "131052-308T"),
        ("se_personnummer", "811228-9874"),
        ("tr_national_id", "10000000146"),
        ("de_tax_id", "86095742719"),
        ("de_vat_id", "DE136695976"),
        ("nl_bsn", "111222333"),
        ("fr_nir", "255081416802538"),
        ("br_cpf", "111.444.777-35"),
        ("br_cnpj", "11.222.333/0001-81"),
        ("ch_ahv", "756.9217.0769.85"),
        ("at_svnr", "1237010180"),
        ("cz_rodne_cislo", "710319/2745"),
        ("ro_cnp", "1630615123457"),
        ("gr_amka", "01013099997"),
        ("gr_afm", "094259216"),
        ("hu_taj", "111111110"),
        ("hu_tax_id", "8071592153"),
        ("bg_egn", "7523169263"),
        ("ie_pps", "1234567FA"),
    ] {
        let kind = KINDS.iter().find(|kind| kind.name == name).unwrap();
        assert!((kind.valid)(published), "{name}");
    }
    assert!(verhoeff("2363") && !verhoeff("2364"));
    assert!(icao("L898902C36"));
}
