//! Operators `contains*`, `starts_with`, `ends_with`. The allow side compares texts as written. The deny side ignores case,
//! disguises, and the kind and length of white space.

use super::Polarity;
use crate::detect::NormalisedText;
use crate::detect::literals::squeezed;
use crate::wire::letter_case;

/// `contains`, `contains_any`, `contains_all`: numbers of literals in the policy's automaton.
#[derive(Clone, Debug)]
pub(crate) struct Contains {
    /// For each needle the numbers of three literals: as written, normalised, and without case outside ASCII.
    pub(crate) needles: Vec<[u32; 3]>,
    /// Whether all needles must be contained, not just one.
    pub(crate) all: bool,
}

/// `starts_with`, `ends_with`.
#[derive(Clone, Debug)]
pub(crate) struct Affix {
    needles: Vec<Needle>,
    at_end: bool,
}

#[derive(Clone, Debug)]
struct Needle {
    exact: Box<str>,
    /// Needle normalised, in lower case.
    seen: Box<str>,
    /// Needle normalised, without case outside ASCII.
    caseless: Box<str>,
}

impl Affix {
    /// Returns whether one of the needles contains this character.
    pub(crate) fn asks_for(&self, character: char) -> bool {
        self.needles
            .iter()
            .any(|needle| needle.exact.contains(character))
    }

    /// Returns whether the beginning of a text is tested.
    pub(crate) fn is_at_start(&self) -> bool {
        !self.at_end
    }

    pub(crate) fn new(needles: &[Box<str>], at_end: bool) -> Affix {
        Affix {
            needles: needles
                .iter()
                .map(|needle| {
                    let seen = seen(needle);
                    Needle {
                        exact: needle.clone(),
                        caseless: seen_without_case(needle)
                            .unwrap_or_else(|| seen.clone())
                            .into(),
                        seen: seen.into(),
                    }
                })
                .collect(),
            at_end,
        }
    }

    pub(crate) fn evaluate(&self, text: &str, side: Polarity) -> bool {
        let fits = |text: &str, needle: &str| {
            if self.at_end {
                text.ends_with(needle)
            } else {
                text.starts_with(needle)
            }
        };
        if self.needles.iter().any(|needle| fits(text, &needle.exact)) {
            return true;
        }
        if side == Polarity::Loosening {
            return false;
        }
        let lower = letter_case::lower(text);
        let reads = |seen: &str| {
            // A reader skips invisible characters around a text.
            let mut needles = self.needles.iter().filter(|needle| needle.is_shown());
            needles.any(|needle| {
                let forms = [&needle.seen, &needle.caseless];
                let mut forms = forms.iter();
                forms.any(|form| fits(seen, form) || fits(seen.trim(), form))
            })
        };
        let mut is_read = false;
        each_seen(text, &mut |seen| is_read = is_read || reads(seen));
        is_read
            || self
                .needles
                .iter()
                .any(|needle| fits(&lower, &letter_case::lower(&needle.exact)))
    }
}

impl Needle {
    /// Returns whether the needle is more than white space. White space is only searched as written.
    fn is_shown(&self) -> bool {
        !self.seen.trim().is_empty()
    }
}

/// Operators `contains`, `contains_any`, `contains_all` with texts of another field.
#[derive(Clone, Debug)]
pub(crate) struct ContainsDynamic {
    needles: Vec<Needle>,
    all: bool,
}

impl ContainsDynamic {
    /// Returns `None` if a needle is empty, because every text contains it.
    pub(crate) fn new(needles: &[Box<str>], all: bool) -> Option<ContainsDynamic> {
        let Affix { needles, .. } = Affix::new(needles, false);
        let is_empty = |needle: &Needle| needle.exact.trim().is_empty() || !needle.is_shown();
        let is_sound = !needles.is_empty() && !needles.iter().any(is_empty);
        is_sound.then_some(ContainsDynamic { needles, all })
    }

    pub(crate) fn evaluate(&self, text: &str, side: Polarity) -> bool {
        let mut readings = vec![text.to_owned()];
        if side == Polarity::Restricting {
            readings.push(letter_case::lower(text));
            each_seen(text, &mut |seen| readings.push(seen.to_owned()));
        }
        let stands = |needle: &Needle| {
            readings.iter().any(|reading| {
                reading.contains(&*needle.exact)
                    || (side == Polarity::Restricting
                        && (reading.contains(&*needle.seen) || reading.contains(&*needle.caseless)))
            })
        };
        match self.all {
            true => self.needles.iter().all(stands),
            false => self.needles.iter().any(stands),
        }
    }
}

/// Returns a text normalised and in lower case, with each run of white space as one space.
pub(crate) fn seen(text: &str) -> String {
    match NormalisedText::of(text) {
        Some(view) => squeezed_lower(view.text()),
        None => squeezed_lower(text),
    }
}

/// Returns a text as [`seen`] does, but without case outside ASCII: some capitals there look like other letters than their
/// small ones. `None`: the result is the same.
pub(crate) fn seen_without_case(text: &str) -> Option<String> {
    NormalisedText::without_case(text).map(|view| squeezed_lower(view.text()))
}

/// Calls `visit` with a text as written and in all readings, each in lower case, with each run of white space as one space.
#[inline(never)]
pub(crate) fn each_seen(text: &str, visit: &mut dyn FnMut(&str)) {
    visit(&squeezed_lower(text));
    let mut show = |view: &NormalisedText| visit(&squeezed_lower(view.text()));
    NormalisedText::each_reading(text, &mut show);
    NormalisedText::each_without_case(text, &mut show);
}

fn squeezed_lower(text: &str) -> String {
    letter_case::lower(&squeezed(text))
}
