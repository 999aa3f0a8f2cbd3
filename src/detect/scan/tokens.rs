//! Which detectors look at a token of letters and digits.

use std::ops::RangeInclusive;

use super::Slot;
use super::context::Slots;
use super::place::{Probe, When};
use crate::detect::Confidence;

/// In a set of first digits: those behind `+` or `(`.
pub(super) const MARKED: u16 = 1 << 10;
const FIRSTS: usize = 16;

/// What looks at tokens of a length.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenProbe {
    pub(super) probe: (usize, Probe),
    /// The first digits that it is looked at with, and [`MARKED`]; with others only in context.
    pub(super) firsts: Option<u16>,
    /// Detectors of which a word before the token is such context.
    pub(super) gate: Slots,
    /// Whether it is asked first where the words before the token have not been read: that costs more.
    pub(super) eager: bool,
    /// The characters that may follow; none: any.
    pub(super) next: &'static [u8],
    /// Whether one of them must, even where the text ends behind the token.
    pub(super) strict: bool,
    /// Whether a name must begin behind that.
    pub(super) named: bool,
    /// Whether it begins groups of digits, so that more follow behind a separator.
    pub(super) grouped: bool,
    /// Whether it asks for the words before the token itself.
    in_own_context: bool,
    /// Whether it is asked only where the text is not plain.
    pub(super) wide: bool,
}

impl TokenProbe {
    pub(super) fn new(slots: &[Slot], slot: usize, when: When, probe: Probe) -> Self {
        let context = slots.get(slot).map_or(0, Slot::context_bit);
        let low = slots
            .get(slot)
            .is_some_and(|known| known.threshold == Confidence::Low);
        let (gate, firsts) = match when {
            When::InContext | When::InContextBefore(_) | When::InWideContext
                if !low && context != 0 =>
            {
                (context, Some(0))
            }
            When::InContextOr(digits) | When::GroupsInContextOr(digits) => {
                (context, Some(digits | MARKED))
            }
            When::First(digits) | When::FirstOfGroups(digits) => (0, Some(digits | MARKED)),
            When::BeforeName => (context, Some(0)),
            When::Always
            | When::Before(_)
            | When::InContext
            | When::InContextBefore(_)
            | When::InOwnContextBefore(_)
            | When::InWideContext => (0, None),
        };
        Self {
            probe: (slot, probe),
            gate,
            firsts,
            eager: matches!(when, When::InContextBefore(_) | When::BeforeName),
            next: match when {
                When::Before(next)
                | When::InContextBefore(next)
                | When::InOwnContextBefore(next) => next,
                When::BeforeName => b" ",
                When::FirstOfGroups(_) | When::GroupsInContextOr(_) => b" -./()",
                _ => &[],
            },
            strict: matches!(when, When::Before(_) | When::BeforeName),
            named: when == When::BeforeName,
            in_own_context: matches!(when, When::InOwnContextBefore(_)),
            grouped: matches!(when, When::FirstOfGroups(_) | When::GroupsInContextOr(_)),
            wide: when == When::InWideContext,
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
    /// By what follows the token.
    by_next: [u32; NEXTS],
    wide: u32,
}

impl TokenProbes {
    fn add(&mut self, probe: TokenProbe) {
        let place = u32::try_from(self.probes.len()).unwrap_or(u32::MAX);
        let bit = 1u32.checked_shl(place).unwrap_or(0);
        debug_assert!(bit != 0, "more probes of one length than bits");
        for (first, asked) in (0u32..).zip(&mut self.by_first) {
            let fits = |firsts: u16| firsts.checked_shr(first).unwrap_or(0) & 1 == 1;
            if probe.firsts.is_none_or(fits) && !probe.in_own_context {
                *asked |= bit;
            }
        }
        if probe.gate != 0 || probe.in_own_context {
            self.gated |= bit;
        }
        for (class, asked) in (0u8..).zip(&mut self.by_next) {
            let among = || probe.next.iter().any(|next| class_of_next(*next) == class);
            if probe.next.is_empty() || among() {
                *asked |= bit;
            }
        }
        if probe.wide {
            self.wide |= bit;
        }
        self.probes.push(probe);
    }

    /// Those that may be asked about a token before such a character.
    #[inline]
    pub(super) fn before(&self, next: u8, plain: bool) -> u32 {
        let class = usize::from(class_of_next(next));
        let asked = self.by_next.get(class).copied().unwrap_or(0);
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

/// What may follow a token as far as probes tell it apart: each of these, what is not ASCII, and all else.
const NEXT: [u8; 15] = *b" -./():|~,_\t\n\r\x0C";
const NOT_ASCII: u8 = 16;
const NEXTS: usize = 17;

static NEXT_CLASSES: [u8; 256] = next_classes();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, which rejects an index out of bounds"
)]
const fn next_classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 128;
    while byte < 256 {
        classes[byte] = NOT_ASCII;
        byte += 1;
    }
    let mut mark = 0;
    while mark < NEXT.len() {
        classes[NEXT[mark] as usize] = mark as u8 + 1;
        mark += 1;
    }
    classes
}

fn class_of_next(byte: u8) -> u8 {
    NEXT_CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
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
