//! Which detectors look at a token of letters and digits.

use std::ops::RangeInclusive;

use super::SelectedDetector;
use super::anchor::{ContextWordNeed, MARKED, PreFilter};
use super::context::DetectorSet;
use super::probe::ProbeFn;
use crate::detect::Confidence;

const FIRSTS: usize = 16;

/// What looks at tokens of a length.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenProbe {
    pub(super) probe: (usize, ProbeFn),
    /// The first digits that it is looked at with, and [`MARKED`]; with others only in context.
    pub(super) firsts: Option<u16>,
    /// Detectors of which a word before the token is such context.
    pub(super) gate: DetectorSet,
    /// Whether it is asked first where the words before the token have not been read: that costs more.
    pub(super) eager: bool,
    /// The characters that may follow; none: any.
    pub(super) next: &'static [u8],
    /// What may stand behind that, where more of the text is known; a character stands for its class, none: any.
    second: &'static [u8],
    /// Whether one of them must follow, even where the text ends behind the token.
    pub(super) strict: bool,
    /// Whether a name must begin behind that.
    pub(super) named: bool,
    /// Whether it begins groups of digits, so that more follow behind a separator.
    pub(super) grouped: bool,
    /// Whether it is asked only where the text is not plain.
    pub(super) wide: bool,
    /// Whether it is asked only about tokens that begin with two letters.
    pub(super) lettered: bool,
}

impl TokenProbe {
    pub(super) fn new(
        slots: &[SelectedDetector],
        slot: usize,
        when: PreFilter,
        probe: ProbeFn,
    ) -> Self {
        let context = slots.get(slot).map_or(0, |known| known.context);
        let low = slots
            .get(slot)
            .is_some_and(|known| known.threshold == Confidence::Low);
        let (gate, firsts) = match when.words {
            ContextWordNeed::None => (0, when.firsts),
            ContextWordNeed::UnlessLow if low || context == 0 => (0, None),
            ContextWordNeed::UnlessLow | ContextWordNeed::OrFirst => {
                (context, Some(when.firsts.unwrap_or(0)))
            }
        };
        Self {
            probe: (slot, probe),
            gate,
            firsts,
            eager: when.words != ContextWordNeed::None && !when.next.is_empty() && !when.grouped,
            next: when.next,
            second: when.second,
            strict: when.strict,
            named: when.named,
            grouped: when.grouped,
            wide: when.wide,
            lettered: when.lettered,
        }
    }
}

/// All that look at tokens of a length, and what tells at once who has to: a bit for each of the probes.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenProbes {
    pub(super) probes: Vec<TokenProbe>,
    /// By the first digit, in that of [`MARKED`] behind `+` or `(`: those that need no word before the token.
    by_first: [u32; FIRSTS],
    /// Those that may be asked with other digits where a word stands before the token.
    pub(super) gated: u32,
    /// The detectors whose words these are.
    pub(super) gates: DetectorSet,
    /// By what follows the token, and by what stands behind that.
    by_next: [u32; CLASSES],
    by_second: [u32; CLASSES],
    wide: u32,
    /// Those that are asked only about tokens which begin with two letters.
    pub(super) lettered: u32,
}

impl TokenProbes {
    fn add(&mut self, probe: TokenProbe) {
        let place = u32::try_from(self.probes.len()).unwrap_or(u32::MAX);
        let bit = 1u32.checked_shl(place).unwrap_or(0);
        debug_assert!(bit != 0, "more probes of one length than bits");
        for (first, asked) in (0u32..).zip(&mut self.by_first) {
            let fits = |firsts: u16| firsts.checked_shr(first).unwrap_or(0) & 1 == 1;
            if probe.firsts.is_none_or(fits) {
                *asked |= bit;
            }
        }
        if probe.gate != 0 {
            self.gated |= bit;
            self.gates |= probe.gate;
        }
        for (known, asked) in [
            (probe.next, &mut self.by_next),
            (probe.second, &mut self.by_second),
        ] {
            for (class, asked) in (0u8..).zip(asked) {
                let among = || known.iter().any(|byte| class_of(*byte) == class);
                if known.is_empty() || among() {
                    *asked |= bit;
                }
            }
        }
        if probe.wide {
            self.wide |= bit;
        }
        if probe.lettered {
            self.lettered |= bit;
        }
        self.probes.push(probe);
    }

    /// Those that may be asked about a token before two such characters.
    #[inline]
    pub(super) fn before(&self, next: u8, second: u8, plain: bool) -> u32 {
        let of = |list: &[u32; CLASSES], byte| {
            let class = usize::from(class_of(byte));
            list.get(class).copied().unwrap_or(0)
        };
        let asked = of(&self.by_next, next) & of(&self.by_second, second);
        if plain { asked & !self.wide } else { asked }
    }

    /// Those that may be asked about a token with such first digits whatever words stand before it.
    #[inline]
    pub(super) fn with(&self, first: u8, marked: bool) -> u32 {
        let of = |first: usize| self.by_first.get(first).copied().unwrap_or(0);
        let marked = if marked {
            of(MARKED.trailing_zeros() as usize)
        } else {
            0
        };
        of(usize::from(first & 15)) | marked
    }
}

/// What may stand behind a token as far as probes tell it apart: each of these marks, what is not ASCII, digits,
/// capitals, and all else.
const MARKS: [u8; 15] = *b" -./():|~,_\t\n\r\x0C";
const NOT_ASCII: u8 = 16;
const DIGIT: u8 = 17;
const CAPITAL: u8 = 18;
const CLASSES: usize = 19;

static CLASS_OF: [u8; 256] = class_table();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn class_table() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'A'..=b'Z' => CAPITAL,
            128.. => NOT_ASCII,
            _ => 0,
        };
        byte += 1;
    }
    let mut mark = 0;
    while mark < MARKS.len() {
        classes[MARKS[mark] as usize] = mark as u8 + 1;
        mark += 1;
    }
    classes
}

fn class_of(byte: u8) -> u8 {
    CLASS_OF.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Enters what looks at tokens of such lengths into the lists by length.
pub(super) fn add_by_length(
    lists: &mut [TokenProbes],
    lengths: &RangeInclusive<usize>,
    token: TokenProbe,
) {
    for (_, list) in lists
        .iter_mut()
        .enumerate()
        .filter(|(len, _)| lengths.contains(len))
    {
        list.add(token);
    }
}
