//! What was looked for in one text, and what was found.

use crate::detect::Finding;
use std::ops::Range;

/// What rules look for in texts; which of it is asked of a text depends on the half of the exchange it stands in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MatchKinds {
    pub(crate) literals: bool,
    pub(crate) patterns: bool,
    pub(crate) detectors: bool,
}

impl MatchKinds {
    const NONE: MatchKinds = MatchKinds {
        literals: false,
        patterns: false,
        detectors: false,
    };
    pub(crate) const LITERALS: MatchKinds = MatchKinds {
        literals: true,
        ..MatchKinds::NONE
    };
    pub(crate) const PATTERNS: MatchKinds = MatchKinds {
        patterns: true,
        ..MatchKinds::NONE
    };
    pub(crate) const DETECTORS: MatchKinds = MatchKinds {
        detectors: true,
        ..MatchKinds::NONE
    };

    pub(crate) fn join(&mut self, other: MatchKinds) {
        self.literals |= other.literals;
        self.patterns |= other.patterns;
        self.detectors |= other.detectors;
    }

    pub(crate) fn and(self, other: MatchKinds) -> MatchKinds {
        MatchKinds {
            literals: self.literals && other.literals,
            patterns: self.patterns && other.patterns,
            detectors: self.detectors && other.detectors,
        }
    }

    /// The kinds of these bits.
    fn of_flags(flags: u8) -> MatchKinds {
        MatchKinds {
            literals: flags & 1 != 0,
            patterns: flags & 2 != 0,
            detectors: flags & 4 != 0,
        }
    }

    /// One bit for each.
    pub(crate) fn flags(self) -> u8 {
        u8::from(self.literals) | u8::from(self.patterns) << 1 | u8::from(self.detectors) << 2
    }
}

/// What is known of one text. Most texts hold nothing that any rule looks for, and a body may have thousands: such a text
/// takes no memory but this.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptScan {
    /// What was looked for so far, as [`MatchKinds::flags`].
    looked: u8,
    found: Option<Box<TextScan>>,
}

static BLANK: TextScan = TextScan {
    literals: Vec::new(),
    exact: Vec::new(),
    patterns: Vec::new(),
    findings: Vec::new(),
    splits: Vec::new(),
    incomplete: false,
    spans: None,
};

impl KeptScan {
    /// A scan that is complete for what was looked for.
    pub(crate) fn new(looked: MatchKinds, found: TextScan) -> KeptScan {
        KeptScan {
            looked: looked.flags(),
            found: Some(Box::new(found)),
        }
    }

    /// What of this was not looked for yet.
    pub(crate) fn missing(&self, wants: MatchKinds) -> MatchKinds {
        MatchKinds::of_flags(wants.flags() & !self.looked)
    }

    /// Whether detectors looked.
    pub(crate) fn is_detected(&self) -> bool {
        self.looked & MatchKinds::DETECTORS.flags() != 0
    }

    /// Whether nothing was looked for yet, and nothing is known.
    pub(crate) fn is_new(&self) -> bool {
        self.looked == 0 && self.found.is_none()
    }

    /// What was found so far.
    pub(crate) fn scan(&self) -> &TextScan {
        self.found.as_deref().unwrap_or(&BLANK)
    }

    /// Whether nothing was found by what was looked for, and nothing was left out.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.found.is_none()
    }

    /// Notes that nothing stands in the text, as far as it was looked at.
    pub(crate) fn blank(&mut self, looked: MatchKinds, incomplete: bool) {
        if incomplete {
            return self.extend(looked, |scan| scan.incomplete = true);
        }
        self.looked |= looked.flags();
    }

    /// Looks for more.
    pub(crate) fn extend(&mut self, more: MatchKinds, look: impl FnOnce(&mut TextScan)) {
        self.looked |= more.flags();
        if let Some(found) = &mut self.found {
            return look(found);
        }
        let mut found = TextScan::default();
        look(&mut found);
        if !found.is_blank() || found.incomplete {
            self.found = Some(Box::new(found));
        }
    }
}

/// What was found in one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextScan {
    /// Literals that stand in the text as written or as it is read, ascending.
    pub(crate) literals: Vec<u32>,
    /// Of these, those that stand there exactly as written.
    pub(crate) exact: Vec<u32>,
    /// Patterns that match, ascending.
    pub(crate) patterns: Vec<u32>,
    /// What detectors found.
    pub(crate) findings: Vec<Finding>,
    /// Its parts of findings that go over several texts.
    pub(crate) splits: Vec<CrossTextMatch>,
    /// There is more in it than detectors tell of one text.
    pub(crate) incomplete: bool,
    /// Where literals and patterns stand, if the text was looked at in pieces: what stands before a piece, which decides
    /// where they match, is gone when a redaction asks.
    pub(crate) spans: Option<Box<TextSpans>>,
}

/// Where literals and patterns stand in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextSpans {
    /// Pattern and place.
    pub(crate) patterns: Vec<(u32, Range<usize>)>,
    /// Literal, place, and whether it stands there exactly as written.
    pub(crate) literals: Vec<(u32, Range<usize>, bool)>,
}

impl TextScan {
    /// Nothing that any rule looks for.
    pub(crate) fn is_blank(&self) -> bool {
        self.found() == 0 && self.splits.is_empty()
    }

    /// Whether a literal stands in the text, or begins or ends in it.
    pub(crate) fn stands(&self, literal: u32) -> bool {
        let mut splits = self.splits.iter();
        self.literals.binary_search(&literal).is_ok()
            || splits.any(|split| split.literal == Some(literal))
    }

    /// How much stands in the text itself.
    pub(crate) fn found(&self) -> usize {
        [
            self.literals.len(),
            self.patterns.len(),
            self.findings.len(),
        ]
        .iter()
        .sum()
    }
}

/// A part of a finding that goes over several texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CrossTextMatch {
    /// The text, as a number in [`Reading::texts`](crate::event::Reading).
    pub(crate) text: u32,
    /// Which text of a rule it is, if no detector found it.
    pub(crate) literal: Option<u32>,
    /// What of it lies in this text.
    pub(crate) finding: Finding,
    /// Whether it begins here.
    pub(crate) is_first: bool,
}
