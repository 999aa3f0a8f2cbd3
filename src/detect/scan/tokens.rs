//! Selection of the detectors to run on a token of letters and digits.

use std::ops::RangeInclusive;

use super::SelectedDetector;
use super::anchor::{ContextWordNeed, MARKED, PreFilter};
use super::context::DetectorSet;
use super::probe::ProbeFn;
use crate::detect::Confidence;

const FIRSTS: usize = 16;

/// Probe of a detector for tokens of one length.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenProbe {
    pub(super) probe: (usize, ProbeFn),
    /// Allowed first digits, and [`MARKED`]. With any other first character the probe runs only in context.
    pub(super) firsts: Option<u16>,
    /// Detectors of which a context word before the token is such context.
    pub(super) gate: DetectorSet,
    /// Whether the probe runs first where the words before the token are not read yet, because reading them costs
    /// more.
    pub(super) eager: bool,
    /// Characters that may follow the token; empty: any.
    pub(super) next: &'static [u8],
    /// Characters that may follow after that, where more of the text is known. A character stands for its class;
    /// empty: any.
    second: &'static [u8],
    /// Whether one of them must follow, even at the end of the text.
    pub(super) strict: bool,
    /// Whether a name must begin after those characters.
    pub(super) named: bool,
    /// Whether the token begins groups of digits, so that more digits follow after a separator.
    pub(super) grouped: bool,
    /// Whether the probe runs only near characters outside ASCII.
    pub(super) wide: bool,
    /// Whether the probe runs only on tokens that begin with two letters.
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

/// Probes for tokens of one length, with bit sets that select the probes to run: one bit each.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenProbes {
    pub(super) probes: Vec<TokenProbe>,
    /// By first digit, and at [`MARKED`] after `+` or `(`: probes that need no context word before the token.
    by_first: [u32; FIRSTS],
    /// Probes that may run with other digits if a context word is before the token.
    pub(super) gated: u32,
    /// Detectors of those context words.
    pub(super) gates: DetectorSet,
    /// By the character after the token, and by the one after that.
    by_next: [u32; CLASSES],
    by_second: [u32; CLASSES],
    /// Probes that run only near characters outside ASCII.
    pub(super) wide: u32,
    /// Probes that run only on tokens which begin with two letters.
    pub(super) lettered: u32,
    /// Probes that run only on the first of several groups of digits.
    pub(super) grouped: u32,
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
        if probe.grouped {
            self.grouped |= bit;
        }
        self.probes.push(probe);
    }

    /// Returns the probes that may run on a token before these two characters.
    #[inline]
    pub(super) fn before(&self, next: u8, second: u8) -> u32 {
        let of = |list: &[u32; CLASSES], byte| {
            let class = usize::from(class_of(byte));
            list.get(class).copied().unwrap_or(0)
        };
        of(&self.by_next, next) & of(&self.by_second, second)
    }

    /// Returns the probes that may run on a token with this first digit, independent of the words before it.
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

/// Characters after a token that probes distinguish: each of these marks, non-ASCII, digits, capitals, and all
/// others.
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

/// Adds a probe for tokens of these lengths to the lists by length.
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
