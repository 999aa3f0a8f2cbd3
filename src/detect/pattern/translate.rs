//! Translator of a pattern's text to the engine's intermediate form, without Unicode tables.
//!
//! The engine's own translator needs tables for `\w`, `\b` and `(?i)` over characters, or works on bytes instead of
//! characters. A policy needs both: `.` and `[^,]` are whole characters, `\d` is ten digits, `(?i)` any letter. So the syntax tree
//! is walked here, with ASCII meanings where more tables would be needed than the filter has for [letter case](letter_case).

use std::ops::Range;

use regex_syntax::ast::{self, Ast};
use regex_syntax::hir::{
    Class, ClassUnicode, ClassUnicodeRange, Dot, Hir, HirKind, Look, Repetition,
};

use super::PatternError;
use crate::wire::letter_case;

/// Maximum nesting of parentheses and brackets; the walk below recurses.
const NEST: u32 = 48;

/// Maximum words in a list of which every match contains one.
const MAX_REQUIRED: usize = 64;

/// Parses a pattern.
pub(super) fn translate(pattern: &str) -> Result<Hir, PatternError> {
    let tree = ast::parse::ParserBuilder::new()
        .nest_limit(NEST)
        .build()
        .parse(pattern)
        .map_err(|error| syntax_error(&error))?;
    Walk {
        flags: Flags::default(),
    }
    .ast(&tree)
}

/// Returns the length of the longest match in characters; `None` if it has no bound.
pub(super) fn reach(hir: &Hir) -> Option<usize> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(0),
        HirKind::Literal(literal) => {
            // Continuation bytes of UTF-8 do not begin a character.
            Some(
                literal
                    .0
                    .iter()
                    .filter(|byte| **byte & 0xC0 != 0x80)
                    .count(),
            )
        }
        HirKind::Class(_) => Some(1),
        HirKind::Repetition(repetition) => match (repetition.max, reach(&repetition.sub)) {
            (_, Some(0)) | (Some(0), _) => Some(0),
            (Some(times), Some(one)) => one.checked_mul(usize::try_from(times).ok()?),
            _ => None,
        },
        HirKind::Capture(capture) => reach(&capture.sub),
        HirKind::Concat(parts) => parts
            .iter()
            .try_fold(0usize, |sum, part| sum.checked_add(reach(part)?)),
        HirKind::Alternation(parts) => parts
            .iter()
            .try_fold(0usize, |most, part| Some(most.max(reach(part)?))),
    }
}

/// Returns an upper bound of the states of its automaton, not a tight one.
pub(super) fn states(hir: &Hir) -> usize {
    let of = |parts: &[Hir]| {
        let states = parts.iter().map(states);
        states.fold(1, usize::saturating_add)
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(class) if class.is_utf8() && class.maximum_len() == Some(1) => 1,
        HirKind::Class(Class::Bytes(_)) => 1,
        // A range of characters is at most twenty sequences of up to four ranges of bytes.
        HirKind::Class(Class::Unicode(class)) => {
            let states = class
                .ranges()
                .iter()
                .map(|range| match range.start() == range.end() {
                    true => range.start().len_utf8(),
                    false => 128,
                });
            states.sum()
        }
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.saturating_add(1));
            let times = usize::try_from(times).unwrap_or(usize::MAX);
            states(&repetition.sub)
                .saturating_add(2)
                .saturating_mul(times)
        }
        HirKind::Capture(capture) => states(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => of(parts),
    }
}

/// Returns words of which every match contains one, case-insensitively; `None` if there are none that are worth a
/// search.
pub(super) fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Class(class) => Some(vec![vec![letter(class)?]]),
        HirKind::Capture(group) => required(&group.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Alternation(parts) => {
            let words: Option<Vec<Vec<Vec<u8>>>> = parts.iter().map(required).collect();
            Some(words?.concat()).filter(|words| words.len() <= MAX_REQUIRED)
        }
        HirKind::Concat(parts) => required_of_sequence(parts),
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// Returns the longest of what the parts require; neighbouring letters are joined.
fn required_of_sequence(parts: &[Hir]) -> Option<Vec<Vec<u8>>> {
    let mut best: Option<Vec<Vec<u8>>> = None;
    let mut run = Vec::new();
    for part in parts {
        match part.kind() {
            HirKind::Literal(literal) => run.extend_from_slice(&literal.0),
            HirKind::Class(class) if letter(class).is_some() => run.extend(letter(class)),
            HirKind::Look(_) => {}
            _ => {
                best = longer(best, Some(vec![std::mem::take(&mut run)]));
                best = longer(best, required(part));
            }
        }
    }
    longer(best, Some(vec![run])).filter(|words| words.iter().all(|word| !word.is_empty()))
}

/// Returns the list whose shortest word is longer.
fn longer(left: Option<Vec<Vec<u8>>>, right: Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    let shortest = |words: &Option<Vec<Vec<u8>>>| {
        let words = words.iter().flatten();
        words.map(Vec::len).min().unwrap_or(0)
    };
    if shortest(&right) > shortest(&left) {
        right
    } else {
        left
    }
}

/// Returns the single letter of a class, in both cases, or its single ASCII character.
fn letter(class: &Class) -> Option<u8> {
    let Class::Unicode(class) = class else {
        return None;
    };
    let mut characters = class
        .ranges()
        .iter()
        .map(|range| (range.start(), range.end()));
    let (first, last) = characters.next()?;
    let other = characters.next().unwrap_or((first, last));
    let is_one = first == last
        && other.0 == other.1
        && first.eq_ignore_ascii_case(&other.0)
        && characters.next().is_none();
    is_one
        .then_some(first)
        .and_then(|c| u8::try_from(c).ok())
        .filter(u8::is_ascii)
}

/// Returns the language of every beginning of a match: the possible ends of a stream's text while a match is under
/// way.
pub(super) fn prefixes(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(literal) => {
            let bytes: Vec<Hir> = literal.0.iter().map(|byte| Hir::literal([*byte])).collect();
            prefixes_of_sequence(&bytes)
        }
        HirKind::Class(_) => optional(hir.clone()),
        HirKind::Repetition(repetition) => {
            let before = repetition.max.map(|max| max.saturating_sub(1));
            let whole = Hir::repetition(Repetition {
                min: 0,
                max: before,
                greedy: true,
                sub: repetition.sub.clone(),
            });
            Hir::concat(vec![whole, prefixes(&repetition.sub)])
        }
        HirKind::Capture(capture) => prefixes(&capture.sub),
        HirKind::Concat(parts) => prefixes_of_sequence(parts),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(prefixes).collect()),
    }
}

/// Splits a sequence into halves, so that the depth of the result is the logarithm of the length.
fn prefixes_of_sequence(parts: &[Hir]) -> Hir {
    match parts {
        [] => Hir::empty(),
        [one] if matches!(one.kind(), HirKind::Literal(literal) if literal.0.len() == 1) => {
            optional(one.clone())
        }
        [one] => prefixes(one),
        _ => {
            let (first, second) = parts.split_at(parts.len().div_euclid(2));
            let on = Hir::concat(vec![
                Hir::concat(first.to_vec()),
                prefixes_of_sequence(second),
            ]);
            Hir::alternation(vec![prefixes_of_sequence(first), on])
        }
    }
}

fn optional(hir: Hir) -> Hir {
    Hir::repetition(Repetition {
        min: 0,
        max: Some(1),
        greedy: true,
        sub: Box::new(hir),
    })
}

#[derive(Clone, Copy, Default)]
struct Flags {
    no_case: bool,
    multi_line: bool,
    dot_all: bool,
    swap_greed: bool,
}

struct Walk {
    flags: Flags,
}

impl Walk {
    fn ast(&mut self, tree: &Ast) -> Result<Hir, PatternError> {
        match tree {
            Ast::Empty(_) => Ok(Hir::empty()),
            Ast::Flags(set) => {
                self.flags = self.with(&set.flags)?;
                Ok(Hir::empty())
            }
            Ast::Literal(literal) => Ok(self.literal(literal.c)),
            Ast::Dot(_) => Ok(Hir::dot(if self.flags.dot_all {
                Dot::AnyChar
            } else {
                Dot::AnyCharExceptLF
            })),
            Ast::Assertion(assertion) => Ok(Hir::look(self.look(&assertion.kind))),
            Ast::ClassUnicode(class) => Err(unicode_class(&class.span)),
            Ast::ClassPerl(class) => Ok(Hir::class(Class::Unicode(perl(class)))),
            Ast::ClassBracketed(class) => Ok(Hir::class(Class::Unicode(self.bracketed(class)?))),
            Ast::Repetition(repetition) => self.repetition(repetition),
            Ast::Group(group) => {
                // Flags set inside a group end with it.
                let outer = self.flags;
                if let ast::GroupKind::NonCapturing(flags) = &group.kind {
                    self.flags = self.with(flags)?;
                }
                let inner = self.ast(&group.ast);
                self.flags = outer;
                inner
            }
            Ast::Alternation(alternation) => {
                let parts: Result<Vec<Hir>, PatternError> =
                    alternation.asts.iter().map(|part| self.ast(part)).collect();
                Ok(Hir::alternation(parts?))
            }
            Ast::Concat(concat) => {
                let parts: Result<Vec<Hir>, PatternError> =
                    concat.asts.iter().map(|part| self.ast(part)).collect();
                Ok(Hir::concat(parts?))
            }
        }
    }

    fn with(&self, flags: &ast::Flags) -> Result<Flags, PatternError> {
        let mut new = self.flags;
        let mut on = true;
        for item in &flags.items {
            let flag = match &item.kind {
                ast::FlagsItemKind::Negation => {
                    on = false;
                    continue;
                }
                ast::FlagsItemKind::Flag(flag) => flag,
            };
            match flag {
                ast::Flag::CaseInsensitive => new.no_case = on,
                ast::Flag::MultiLine => new.multi_line = on,
                ast::Flag::DotMatchesNewLine => new.dot_all = on,
                ast::Flag::SwapGreed => new.swap_greed = on,
                // The parser has already acted on `x`.
                ast::Flag::IgnoreWhitespace => {}
                ast::Flag::Unicode | ast::Flag::CRLF => {
                    return Err(PatternError {
                        message: "the flags `u` and `R` can't be set".to_owned(),
                        span: range(&item.span),
                        help: Some("a pattern is over characters, and `\\w \\d \\s \\b` are ASCII; a line ends with \\n".to_owned()),
                    });
                }
            }
        }
        Ok(new)
    }

    fn literal(&self, c: char) -> Hir {
        if self.flags.no_case {
            let [capital, small] = in_both_cases(c);
            if capital != small {
                let class = from_ranges(&[c, capital, small].map(|c| (c, c)));
                return Hir::class(Class::Unicode(class));
            }
        }
        Hir::literal(c.to_string().into_bytes())
    }

    fn look(&self, kind: &ast::AssertionKind) -> Look {
        use ast::AssertionKind as Kind;
        match kind {
            Kind::StartLine if self.flags.multi_line => Look::StartLF,
            Kind::EndLine if self.flags.multi_line => Look::EndLF,
            Kind::StartLine | Kind::StartText => Look::Start,
            Kind::EndLine | Kind::EndText => Look::End,
            Kind::WordBoundary => Look::WordAscii,
            Kind::NotWordBoundary => Look::WordAsciiNegate,
            Kind::WordBoundaryStart | Kind::WordBoundaryStartAngle => Look::WordStartAscii,
            Kind::WordBoundaryEnd | Kind::WordBoundaryEndAngle => Look::WordEndAscii,
            Kind::WordBoundaryStartHalf => Look::WordStartHalfAscii,
            Kind::WordBoundaryEndHalf => Look::WordEndHalfAscii,
        }
    }

    fn repetition(&mut self, repetition: &ast::Repetition) -> Result<Hir, PatternError> {
        use ast::{RepetitionKind as Kind, RepetitionRange as Counted};
        let sub = self.ast(&repetition.ast)?;
        let (min, max) = match repetition.op.kind {
            Kind::ZeroOrOne => (0, Some(1)),
            Kind::ZeroOrMore => (0, None),
            Kind::OneOrMore => (1, None),
            Kind::Range(Counted::Exactly(n)) => (n, Some(n)),
            Kind::Range(Counted::AtLeast(n)) => (n, None),
            Kind::Range(Counted::Bounded(n, m)) => (n, Some(m)),
        };
        Ok(Hir::repetition(Repetition {
            min,
            max,
            greedy: repetition.greedy != self.flags.swap_greed,
            sub: Box::new(sub),
        }))
    }

    fn bracketed(&self, class: &ast::ClassBracketed) -> Result<ClassUnicode, PatternError> {
        let mut set = self.set(&class.kind)?;
        if class.negated {
            set.negate();
        }
        Ok(set)
    }

    fn set(&self, set: &ast::ClassSet) -> Result<ClassUnicode, PatternError> {
        match set {
            ast::ClassSet::Item(item) => self.item(item),
            ast::ClassSet::BinaryOp(op) => {
                let mut left = self.set(&op.lhs)?;
                let right = self.set(&op.rhs)?;
                match op.kind {
                    ast::ClassSetBinaryOpKind::Intersection => left.intersect(&right),
                    ast::ClassSetBinaryOpKind::Difference => left.difference(&right),
                    ast::ClassSetBinaryOpKind::SymmetricDifference => {
                        left.symmetric_difference(&right)
                    }
                }
                Ok(left)
            }
        }
    }

    fn item(&self, item: &ast::ClassSetItem) -> Result<ClassUnicode, PatternError> {
        let mut class = ClassUnicode::empty();
        match item {
            ast::ClassSetItem::Empty(_) => {}
            ast::ClassSetItem::Literal(literal) => self.push(&mut class, literal.c, literal.c),
            ast::ClassSetItem::Range(range) => self.push(&mut class, range.start.c, range.end.c),
            ast::ClassSetItem::Ascii(ascii) => {
                class = from_ranges(named(&ascii.kind));
                if self.flags.no_case
                    && matches!(
                        ascii.kind,
                        ast::ClassAsciiKind::Lower | ast::ClassAsciiKind::Upper
                    )
                {
                    class = from_ranges(named(&ast::ClassAsciiKind::Alpha));
                }
                if ascii.negated {
                    class.negate();
                }
            }
            ast::ClassSetItem::Unicode(unicode) => return Err(unicode_class(&unicode.span)),
            ast::ClassSetItem::Perl(class) => return Ok(perl(class)),
            ast::ClassSetItem::Bracketed(inner) => return self.bracketed(inner),
            ast::ClassSetItem::Union(union) => {
                for item in &union.items {
                    class.union(&self.item(item)?);
                }
            }
        }
        Ok(class)
    }

    fn push(&self, class: &mut ClassUnicode, from: char, to: char) {
        if self.flags.no_case {
            push_no_case(class, from, to);
        } else {
            class.push(ClassUnicodeRange::new(from, to));
        }
    }
}

/// Maximum characters of a range that are looked at for their other case. A longer one has most letters in both.
const MAX_CASED: usize = 4_096;

/// Adds the range, and the letters in it in the other case.
fn push_no_case(class: &mut ClassUnicode, from: char, to: char) {
    class.push(ClassUnicodeRange::new(from, to));
    let letters = (from..=to).take(MAX_CASED).map(in_both_cases);
    let others: Vec<(char, char)> = letters
        .filter(|[capital, small]| capital != small)
        .flatten()
        .map(|c| (c, c))
        .collect();
    class.union(&from_ranges(&others));
}

/// Returns the capital and the small letter of a letter; any other character twice.
fn in_both_cases(c: char) -> [char; 2] {
    let (mut upper, mut lower) = (letter_case::upper_of(c), letter_case::lower_of(c));
    [[upper.next(), upper.next()], [lower.next(), lower.next()]].map(|letters| match letters {
        [Some(letter), None] => letter,
        _ => c,
    })
}

fn perl(class: &ast::ClassPerl) -> ClassUnicode {
    let mut set = from_ranges(named(&match class.kind {
        ast::ClassPerlKind::Digit => ast::ClassAsciiKind::Digit,
        ast::ClassPerlKind::Space => ast::ClassAsciiKind::Space,
        ast::ClassPerlKind::Word => ast::ClassAsciiKind::Word,
    }));
    if class.negated {
        set.negate();
    }
    set
}

fn from_ranges(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(
        ranges
            .iter()
            .map(|(from, to)| ClassUnicodeRange::new(*from, *to)),
    )
}

fn named(kind: &ast::ClassAsciiKind) -> &'static [(char, char)] {
    use ast::ClassAsciiKind as Kind;
    match kind {
        Kind::Alnum => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        Kind::Alpha => &[('A', 'Z'), ('a', 'z')],
        Kind::Ascii => &[('\0', '\x7F')],
        Kind::Blank => &[('\t', '\t'), (' ', ' ')],
        Kind::Cntrl => &[('\0', '\x1F'), ('\x7F', '\x7F')],
        Kind::Digit => &[('0', '9')],
        Kind::Graph => &[('!', '~')],
        Kind::Lower => &[('a', 'z')],
        Kind::Print => &[(' ', '~')],
        Kind::Punct => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        Kind::Space => &[('\t', '\r'), (' ', ' ')],
        Kind::Upper => &[('A', 'Z')],
        Kind::Word => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        Kind::Xdigit => &[('0', '9'), ('A', 'F'), ('a', 'f')],
    }
}

fn range(span: &ast::Span) -> Range<usize> {
    span.start.offset..span.end.offset
}

fn unicode_class(span: &ast::Span) -> PatternError {
    PatternError {
        message: "Unicode classes such as `\\p{L}` are not supported".to_owned(),
        span: range(span),
        help: Some("write the characters as a range, as in `[α-ω]`; `[^\\x00-\\x7F]` is every character outside ASCII".to_owned()),
    }
}

fn syntax_error(error: &ast::Error) -> PatternError {
    let help = match error.kind() {
        ast::ErrorKind::UnsupportedBackreference => {
            Some("a pattern is matched in linear time, without back references")
        }
        ast::ErrorKind::UnsupportedLookAround => Some(
            "a pattern is matched in linear time, without look-around; put the exception under `unless`",
        ),
        ast::ErrorKind::RepetitionMissing
        | ast::ErrorKind::GroupUnopened
        | ast::ErrorKind::ClassUnclosed => {
            Some("to match the character itself write a backslash before it")
        }
        ast::ErrorKind::EscapeUnrecognized => {
            Some("in double quotes YAML reads the backslash first; write patterns in single quotes")
        }
        _ => None,
    };
    PatternError {
        message: error.kind().to_string(),
        span: range(error.span()),
        help: help.map(str::to_owned),
    }
}
