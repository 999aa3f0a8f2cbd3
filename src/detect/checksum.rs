//! Check digits: whether a number could have been issued at all.
//!
//! All functions take the characters of a number without separators, and return false for anything that is not a
//! number of their kind.

use sha2::{Digest, Sha256};

/// Returns the value of each digit; `None` if there are other characters.
pub(super) fn digits(
    text: &[u8],
) -> Option<impl DoubleEndedIterator<Item = u32> + ExactSizeIterator + Clone> {
    are_digits(text).then(|| text.iter().map(|byte| u32::from(byte & 0x0F)))
}

#[inline(never)]
fn are_digits(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}

/// Returns whether Luhn's sum of digits is a multiple of ten (ISO/IEC 7812-1, annex B).
pub(super) fn luhn(number: &[u8]) -> bool {
    luhn_sum(number).is_some_and(|sum| sum.is_multiple_of(10))
}

/// Returns Luhn's sum, with the last digit counted once; `None` if there are other characters than digits.
pub(super) fn luhn_sum(number: &[u8]) -> Option<u32> {
    // Sums of the digits so far: with the last one counted once, and counted twice.
    let (mut once, mut twice) = (0u32, 0u32);
    for byte in number {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        // The sum of the digits of twice a digit.
        let double = digit.wrapping_mul(2);
        let double = if digit > 4 {
            double.wrapping_sub(9)
        } else {
            double
        };
        (once, twice) = (twice.wrapping_add(digit), once.wrapping_add(double));
    }
    Some(once)
}

/// Returns the sum of each digit times the weight at its position; `None` if the number of digits is different.
pub(super) fn weighted(number: &[u8], weights: &[u32]) -> Option<u32> {
    if number.len() != weights.len() {
        return None;
    }
    Some(
        digits(number)?
            .zip(weights)
            .fold(0u32, |sum, (digit, weight)| {
                sum.wrapping_add(digit.wrapping_mul(*weight))
            }),
    )
}

/// Returns the sum as [`weighted`] does, of the first digits of a longer number.
pub(super) fn weighted_head(number: &[u8], weights: &[u32]) -> Option<u32> {
    weighted(number.get(..weights.len())?, weights)
}

/// Returns the digit at a position.
pub(super) fn digit(number: &[u8], place: usize) -> Option<u32> {
    number
        .get(place)
        .filter(|byte| byte.is_ascii_digit())
        .map(|byte| u32::from(byte & 0x0F))
}

/// Returns the remainder of ISO/IEC 7064 MOD 97-10 over letters and digits, A = 10 … Z = 35.
pub(super) fn mod_97(text: impl Iterator<Item = u8>) -> Option<u32> {
    let mut rest = 0u32;
    for byte in text {
        // There is room for another factor of a hundred.
        if rest > 9_999_999 {
            rest = rest.wrapping_rem(97);
        }
        rest = match byte {
            b'0'..=b'9' => rest.wrapping_mul(10).wrapping_add(u32::from(byte & 0x0F)),
            b'A'..=b'Z' => rest
                .wrapping_mul(100)
                .wrapping_add(u32::from(byte.wrapping_sub(b'A')).wrapping_add(10)),
            _ => return None,
        };
    }
    Some(rest.wrapping_rem(97))
}

/// Returns whether ISO/IEC 7064 MOD 11,10 holds for at most eleven digits, the last of which is the check digit.
pub(super) fn mod_11_10(number: &[u8]) -> bool {
    let Some((last, head)) = number.split_last() else {
        return false;
    };
    let Some(head) = digits(head) else {
        return false;
    };
    let product = head.fold(10u32, |product, digit| {
        let sum = product.wrapping_add(digit).wrapping_rem(10);
        let sum = if sum == 0 { 10 } else { sum };
        sum.wrapping_mul(2).wrapping_rem(11)
    });
    let check = 11u32.wrapping_sub(product).wrapping_rem(10);
    last.is_ascii_digit() && u32::from(last & 0x0F) == check
}

/// Returns whether Verhoeff's check over the dihedral group D₅ holds (J. Verhoeff, Error Detecting Decimal Codes,
/// 1969).
pub(super) fn verhoeff(number: &[u8]) -> bool {
    // The product of two halves is that of the whole, and neither half has to wait for the other.
    let Some((first, last)) = number.split_at_checked(number.len() / 2) else {
        return false;
    };
    let last_product = product(last, 0);
    let both = last_product.zip(product(first, last.len()));
    let product =
        both.and_then(|(last, first)| VERHOEFF.get(usize::from(last.wrapping_add(first / 10))));
    product == Some(&0) && !number.is_empty()
}

/// Returns ten times the product of digits, the last of which is at a position counted from the end; `None` if there
/// are other characters.
fn product(digits: &[u8], last: usize) -> Option<u8> {
    let mut product = 0u8;
    for (byte, place) in digits.iter().rev().zip(last..) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        let step = (place & 7)
            .wrapping_mul(100)
            .wrapping_add(usize::from(product));
        product = *VERHOEFF.get(step.wrapping_add(usize::from(digit)))?;
    }
    Some(product)
}

/// For each position, counted from the last, and each product so far: the products with each digit, all of them
/// tenfold.
static VERHOEFF: [u8; 800] = verhoeff_steps();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn verhoeff_steps() -> [u8; 800] {
    let (dihedral, permuted) = (dihedral(), permuted());
    let mut table = [0; 800];
    let mut at = 0;
    while at < table.len() {
        let digit = permuted[at / 100][at % 10];
        table[at] = dihedral[at / 10 % 10][digit as usize] * 10;
        at += 1;
    }
    table
}

/// Products of D₅: rotations are 0–4, reflections 5–9.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn dihedral() -> [[u8; 10]; 10] {
    let mut table = [[0u8; 10]; 10];
    let mut a = 0;
    while a < 10 {
        let mut b = 0;
        while b < 10 {
            let product = match (a < 5, b < 5) {
                (true, true) => (a + b) % 5,
                (true, false) => (a + b - 5) % 5 + 5,
                (false, true) => (a - b) % 5 + 5,
                (false, false) => (a + 5 - b) % 5,
            };
            table[a][b] = product as u8;
            b += 1;
        }
        a += 1;
    }
    table
}

/// Permutation for each position, counted from the last.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn permuted() -> [[u8; 10]; 8] {
    const ONCE: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let mut table = [[0u8; 10]; 8];
    let mut times = 0;
    while times < 8 {
        let mut digit = 0;
        while digit < 10 {
            table[times][digit] = if times == 0 {
                digit as u8
            } else {
                ONCE[table[times - 1][digit] as usize]
            };
            digit += 1;
        }
        times += 1;
    }
    table
}

/// Returns whether a date exists in the Gregorian calendar; any year.
pub(super) fn is_date(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// Returns the number that `len` digits from a position on write.
pub(super) fn number_at(text: &[u8], from: usize, len: usize) -> Option<u32> {
    let part = text.get(from..from.wrapping_add(len))?;
    Some(digits(part)?.fold(0u32, |number, digit| {
        number.wrapping_mul(10).wrapping_add(digit)
    }))
}

const BASE58: [u8; 128] = values(b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz");
const BECH32: [u8; 128] = values(b"qpzry9x8gf2tvdw0s3jn54khce6mua7l");

/// Marks a byte that is not a symbol.
const NONE: u8 = 0xFF;

/// Index of each symbol in its alphabet, by its byte.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "while compiling, where it fails the build"
)]
const fn values(alphabet: &[u8]) -> [u8; 128] {
    let mut values = [NONE; 128];
    let mut at = 0;
    while at < alphabet.len() {
        values[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    values
}

fn value(values: &[u8; 128], symbol: u8) -> Option<u8> {
    let value = values.get(usize::from(symbol)).copied();
    value.filter(|value| *value != NONE)
}

/// Returns the version byte of Base58Check with one version byte and twenty bytes of hash.
pub(super) fn base58_check(text: &[u8]) -> Option<u8> {
    // The lowest 32 bits come first. Five symbols fit into one of them, so that each group costs seven products.
    let mut number = [0u32; 7];
    for symbols in text.chunks(5) {
        let (mut carry, mut scale) = (0u64, 1u64);
        for symbol in symbols {
            let value = value(&BASE58, *symbol)?;
            carry = carry.wrapping_mul(58).wrapping_add(u64::from(value));
            scale = scale.wrapping_mul(58);
        }
        for part in &mut number {
            carry = carry.wrapping_add(u64::from(*part).wrapping_mul(scale));
            *part = u32::try_from(carry & 0xFFFF_FFFF).ok()?;
            carry >>= 32;
        }
        if carry != 0 {
            return None;
        }
    }
    let [low @ .., top] = number;
    let mut bytes = [0u8; 25];
    let (version, rest) = bytes.split_first_mut()?;
    *version = u8::try_from(top).ok()?;
    let (words, _) = rest.as_chunks_mut();
    for (word, part) in words.iter_mut().zip(low.iter().rev()) {
        *word = part.to_be_bytes();
    }
    let (payload, check) = bytes.split_at_checked(21)?;
    let twice = Sha256::digest(Sha256::digest(payload));
    (twice.get(..4)? == check).then(|| payload.first().copied())?
}

/// Returns whether BIP 173 (version 0) or BIP 350 (later versions) holds: `text` is all in one case, `separator` the
/// index of its last 1.
pub(super) fn bech32(text: &[u8], separator: usize) -> bool {
    let Some((human, data)) = text.split_at_checked(separator) else {
        return false;
    };
    let Some(data) = data.get(1..).filter(|data| data.len() > 6) else {
        return false;
    };
    let high = human.iter().map(|byte| byte.to_ascii_lowercase() >> 5);
    let low = human.iter().map(|byte| byte & 0x1F);
    let begun = high.chain([0]).chain(low).fold(1, bech32_step);
    let values = data
        .iter()
        .map(|symbol| value(&BECH32, symbol.to_ascii_lowercase()));
    let check = values
        .clone()
        .try_fold(begun, |check, value| Some(bech32_step(check, value?)));
    let expected = if values.flatten().next() == Some(0) {
        1
    } else {
        0x2BC8_30A3
    };
    check == Some(expected)
}

/// Adds five more bits to the remainder.
fn bech32_step(check: u32, value: u8) -> u32 {
    let generators = [
        0x3B6A_57B2,
        0x2650_8E6D,
        0x1EA1_19FA,
        0x3D42_33DD,
        0x2A14_62B3,
    ];
    let top = check >> 25;
    let check = (check & 0x01FF_FFFF) << 5 ^ u32::from(value);
    generators
        .iter()
        .enumerate()
        .fold(check, |check, (bit, generator)| {
            check ^ if top >> bit & 1 == 1 { *generator } else { 0 }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luhn_accepts_published_numbers_and_no_changed_digit() {
        for number in ["79927398713", "4111111111111111", "378282246310005"] {
            assert!(luhn(number.as_bytes()), "{number}");
            for place in 0..number.len() {
                for digit in b'0'..=b'9' {
                    let mut changed = number.as_bytes().to_vec();
                    changed[place] = digit;
                    assert_eq!(luhn(&changed), changed == number.as_bytes());
                }
            }
        }
        assert!(!luhn(b"4111x"));
    }

    #[test]
    fn verhoeff_catches_every_changed_digit_and_every_swap() {
        let number = b"2363";
        assert!(verhoeff(number));
        assert!(verhoeff(b"123451"));
        for place in 0..number.len() {
            for digit in b'0'..=b'9' {
                let mut changed = number.to_vec();
                changed[place] = digit;
                assert_eq!(verhoeff(&changed), changed == number);
            }
        }
        assert!(!verhoeff(b"3263"));
        assert!(!verhoeff(b""));
    }

    #[test]
    fn iso_7064_accepts_its_published_examples() {
        assert_eq!(
            mod_97(
                b"3704004405320130001314 89"
                    .iter()
                    .copied()
                    .filter(|b| *b != b' ')
            ),
            Some(1)
        );
        assert_eq!(mod_97(b"370400440532013000DE89".iter().copied()), Some(1));
        assert!(mod_11_10(b"86095742719"));
        assert!(!mod_11_10(b"86095742718"));
        assert!(mod_11_10(b"136695976"));
    }

    #[test]
    fn dates_follow_the_calendar() {
        assert!(is_date(2024, 2, 29) && is_date(2000, 2, 29) && is_date(1999, 12, 31));
        assert!(
            !is_date(2023, 2, 29)
                && !is_date(1900, 2, 29)
                && !is_date(2024, 13, 1)
                && !is_date(2024, 4, 31)
        );
    }

    #[test]
    fn bitcoin_addresses_of_the_specifications_are_valid() {
        assert_eq!(base58_check(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"), Some(0));
        assert_eq!(base58_check(b"3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"), Some(5));
        assert_eq!(base58_check(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"), None);
        assert_eq!(base58_check(b"0"), None);
        let valid = |text: &str| bech32(text.as_bytes(), text.rfind('1').unwrap());
        assert!(valid("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"));
        assert!(valid("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"));
        assert!(valid(
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
        ));
        assert!(!valid("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"));
    }
}
