//! Globs over names and texts: `*` any run, `**` any run across separators, `?` one character, `[abc]` `[a-z]` `[!a]` one
//! character of a set. `**/` at the beginning or after a `/` is any number of folders, including none: `**/.env` also
//! matches `.env`.

use crate::wire::{letter_case, work};

/// Compiled glob. It matches whole values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
    /// Whether the glob is a lone `*` or `**`, which crosses separators under both readings.
    everything: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    Any,
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// Any run of characters. `crosses`: also crosses separators and control characters under the narrow reading. `may_go`: the run and the `/`
    /// after it may both be absent.
    Run {
        crosses: bool,
        may_go: bool,
    },
}

/// Reading of a glob: broad on the deny side, narrow on the allow side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GlobReading {
    /// `*` crosses `/` and `:`.
    Broad,
    /// `*` stops at `/`, `:` and control characters, and `?` and sets don't match the latter: behind a line end, other
    /// text begins.
    Narrow,
}

/// Returns whether a character is one that no name has: a control character, or another line end.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Returns whether `*` stops at a character under the narrow reading.
fn separates(c: char) -> bool {
    matches!(c, '/' | ':') || is_control(c)
}

impl Glob {
    /// Returns whether a text contains a character that globs give a meaning.
    pub(crate) fn is_glob(text: &str) -> bool {
        text.contains(['*', '?', '['])
    }

    /// Compiles a glob. The error describes what is malformed.
    pub(crate) fn parse(text: &str) -> Result<Glob, String> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let token = match c {
                '*' => {
                    let mut crosses = false;
                    while chars.next_if_eq(&'*').is_some() {
                        crosses = true;
                    }
                    let begins = matches!(tokens.last(), None | Some(Token::Literal('/')));
                    Token::Run {
                        crosses,
                        may_go: crosses && begins && chars.peek() == Some(&'/'),
                    }
                }
                '?' => Token::Any,
                '[' => {
                    let negated = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
                    let mut ranges = Vec::new();
                    loop {
                        let Some(low) = chars.next() else {
                            return Err(format!("`[` is not closed in `{text}`"));
                        };
                        if low == ']' && !ranges.is_empty() {
                            break;
                        }
                        let mut ahead = chars.clone();
                        let high = match (ahead.next(), ahead.next()) {
                            (Some('-'), Some(high)) if high != ']' => {
                                chars = ahead;
                                high
                            }
                            _ => low,
                        };
                        if high < low {
                            return Err(format!("`{low}-{high}` runs backwards in `{text}`"));
                        }
                        ranges.push((low, high));
                    }
                    Token::Set { negated, ranges }
                }
                _ => Token::Literal(c),
            };
            tokens.push(token);
        }
        Ok(Glob {
            everything: tokens.len() == 1 && matches!(tokens.first(), Some(Token::Run { .. })),
            tokens,
        })
    }

    /// Returns whether the whole text matches. Work is bounded by the product of both lengths.
    pub(crate) fn matches(&self, text: &str, reading: GlobReading) -> bool {
        self.everything
            || self
                .after(text, reading)
                .is_some_and(|states| states.last().copied().unwrap_or(false))
    }

    /// Returns whether some text with this beginning could match.
    pub(crate) fn could_begin_with(&self, start: &str, reading: GlobReading) -> bool {
        self.everything || self.after(start, reading).is_some()
    }

    /// Returns whether every text that matches another glob also matches this one, under either reading. `true` is certain;
    /// `false` proves nothing.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn covers(&self, other: &Glob) -> bool {
        if self.everything || self == other {
            return true;
        }
        if other.everything {
            return false;
        }
        let goes = |token: &Token| matches!(token, Token::Run { may_go: true, .. });
        if let Some(at) = other.tokens.iter().position(goes) {
            return other.tokens.len() <= MOST_TOKENS
                && other.both(at).iter().all(|each| self.covers(each));
        }
        // The other glob's tokens are read like the characters of a text. Only a run matches a run.
        let mut states = vec![false; self.tokens.len().saturating_add(1)];
        enter(&mut states, 0, &self.tokens);
        for symbol in &other.tokens {
            let mut next = vec![false; states.len()];
            for (at, token) in self.tokens.iter().enumerate() {
                if !states.get(at).copied().unwrap_or(false) {
                    continue;
                }
                let (stays, moves) = match (token, symbol) {
                    (Token::Run { crosses, .. }, Token::Run { crosses: wide, .. }) => {
                        (*crosses || !wide, false)
                    }
                    (Token::Run { crosses, .. }, Token::Literal(c)) => {
                        (*crosses || !separates(*c), false)
                    }
                    (Token::Run { crosses, .. }, _) => (*crosses, false),
                    (_, Token::Run { .. }) => (false, false),
                    (Token::Any | Token::Set { .. }, Token::Literal(c)) if is_control(*c) => {
                        (false, false)
                    }
                    (Token::Any, _) => (false, true),
                    (Token::Set { negated, ranges }, Token::Literal(c)) => {
                        let within = ranges.iter().any(|(low, high)| (*low..=*high).contains(c));
                        (false, within != *negated)
                    }
                    (own, theirs) => (false, own == theirs),
                };
                if stays {
                    stay(&mut next, at, &self.tokens);
                }
                if moves {
                    enter(&mut next, at.saturating_add(1), &self.tokens);
                }
            }
            states = next;
        }
        states.last().copied().unwrap_or(false)
    }

    /// Returns the glob with the optional folders at this token, and without them.
    #[cfg(not(target_arch = "wasm32"))]
    fn both(&self, at: usize) -> [Glob; 2] {
        let mut with = self.clone();
        if let Some(Token::Run { may_go, .. }) = with.tokens.get_mut(at) {
            *may_go = false;
        }
        let mut without = with.clone();
        without
            .tokens
            .drain(at..at.saturating_add(2).min(self.tokens.len()));
        [with, without]
    }

    /// Returns whether the glob contains this literal character.
    pub(crate) fn asks_for(&self, c: char) -> bool {
        self.tokens
            .iter()
            .any(|token| matches!(token, Token::Literal(own) if *own == c))
    }

    /// Returns the states that are alive after a text; `None` if none is.
    fn after(&self, text: &str, reading: GlobReading) -> Option<Vec<bool>> {
        // Shortcut: most names differ from most globs in their first letters.
        let begins = self.tokens.iter().zip(text.chars());
        for (token, c) in begins {
            match token {
                Token::Literal(expected) if *expected == c => {}
                Token::Literal(_) => return None,
                _ => break,
            }
        }
        // Set of tokens that could come next. `states` is for the text read so far, `next` for one more character.
        let length = self.tokens.len();
        let mut states = vec![false; length.saturating_add(1)];
        let mut next = states.clone();
        enter(&mut states, 0, &self.tokens);
        for c in text.chars() {
            work::spend(length.saturating_mul(2));
            if work::is_exhausted() {
                return None;
            }
            next.fill(false);
            let mut alive = false;
            let is_narrow = reading == GlobReading::Narrow;
            let is_literal_only = is_narrow && is_control(c);
            for (at, token) in self.tokens.iter().enumerate() {
                if !states.get(at).copied().unwrap_or(false) {
                    continue;
                }
                let stays = match token {
                    Token::Run { crosses, .. } => *crosses || !is_narrow || !separates(c),
                    _ => false,
                };
                if stays {
                    stay(&mut next, at, &self.tokens);
                    alive = true;
                }
                let moves = match token {
                    Token::Literal(expected) => *expected == c,
                    Token::Any | Token::Set { .. } if is_literal_only => false,
                    Token::Any => true,
                    Token::Set { negated, ranges } => {
                        ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
                    }
                    Token::Run { .. } => false,
                };
                if moves {
                    enter(&mut next, at.saturating_add(1), &self.tokens);
                    alive = true;
                }
            }
            if !alive {
                return None;
            }
            std::mem::swap(&mut states, &mut next);
        }
        Some(states)
    }

    /// Returns the glob with its literals and ranges passed through a fold, for names that are compared broadly.
    pub(crate) fn folded(&self, fold: impl Fn(&str) -> String) -> Glob {
        let mut tokens = Vec::with_capacity(self.tokens.len());
        let mut literal = String::new();
        for token in &self.tokens {
            if let Token::Literal(c) = token {
                literal.push(*c);
                continue;
            }
            tokens.extend(
                fold(&std::mem::take(&mut literal))
                    .chars()
                    .map(Token::Literal),
            );
            tokens.push(match token {
                Token::Set { negated, ranges } => Token::Set {
                    negated: *negated,
                    ranges: ranges
                        .iter()
                        .flat_map(|(low, high)| {
                            let lower = |c: &char| letter_case::lower_of(*c).next().unwrap_or(*c);
                            [(*low, *high), (lower(low), lower(high).max(lower(low)))]
                        })
                        .collect(),
                },
                other => other.clone(),
            });
        }
        tokens.extend(fold(&literal).chars().map(Token::Literal));
        Glob {
            tokens,
            everything: self.everything,
        }
    }
}

/// Marks a state, and those after runs that may be empty.
fn enter(states: &mut [bool], at: usize, tokens: &[Token]) {
    let mut at = at;
    while let Some(state) = states.get_mut(at) {
        *state = true;
        let Some(Token::Run { may_go, .. }) = tokens.get(at) else {
            return;
        };
        if *may_go {
            enter(states, at.saturating_add(2), tokens);
        }
        at = at.saturating_add(1);
    }
}

/// Marks the state of a run that continues, and those after it.
fn stay(states: &mut [bool], at: usize, tokens: &[Token]) {
    if let Some(state) = states.get_mut(at) {
        *state = true;
    }
    enter(states, at.saturating_add(1), tokens);
}

/// Maximum tokens of a glob with optional folders for which [`Glob::covers`] proves anything.
#[cfg(not(target_arch = "wasm32"))]
const MOST_TOKENS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn broad(glob: &str, text: &str) -> bool {
        Glob::parse(glob).unwrap().matches(text, GlobReading::Broad)
    }

    fn narrow(glob: &str, text: &str) -> bool {
        Glob::parse(glob)
            .unwrap()
            .matches(text, GlobReading::Narrow)
    }

    #[test]
    fn a_glob_matches_the_whole_value() {
        assert!(broad("gpt-4*", "gpt-4o-mini"));
        assert!(broad("gpt-4*", "gpt-4"));
        assert!(!broad("gpt-4", "gpt-4o"));
        assert!(!broad("gpt-4*", "x-gpt-4"));
        assert!(broad("*delete*", "user_delete_all"));
        assert!(broad("a?c", "abc") && !broad("a?c", "ac"));
        assert!(broad("", "") && !broad("", "x"));
    }

    #[test]
    fn sets_name_one_character() {
        assert!(broad("v[0-9]", "v7") && !broad("v[0-9]", "vx"));
        assert!(broad("[!a-c]", "d") && !broad("[!a-c]", "b"));
        assert!(broad("[]]", "]") && broad("[a-]", "-"));
    }

    #[test]
    fn where_it_loosens_a_star_stops_at_separators() {
        assert!(broad("openai*", "openai/gpt-4"));
        assert!(!narrow("openai*", "openai/gpt-4"));
        assert!(narrow("openai/*", "openai/gpt-4"));
        assert!(!narrow("*:free", "a/b:free"));
        assert!(narrow("**", "a/b:c") && narrow("*", "a/b:c") && narrow("a**c", "a/b:c"));
    }

    #[test]
    fn where_it_loosens_only_two_stars_cross_a_line_end() {
        for end in ["\n", "\r", "\t", "\0", "\u{7f}", "\u{85}", "\u{2028}"] {
            let text = format!("a{end}b");
            for glob in ["a*", "*b", "a?b", "a[!x]b", "a*b"] {
                assert!(broad(glob, &text), "{glob} {text:?}");
                assert!(!narrow(glob, &text), "{glob} {text:?}");
            }
            for glob in ["a**", "*", "**", &format!("a{end}*"), &format!("?{end}b")] {
                assert!(narrow(glob, &text), "{glob} {text:?}");
            }
        }
        assert!(narrow("a*", "a b"));
    }

    #[test]
    fn any_folders_may_be_none() {
        assert!(narrow("**/.env", ".env") && narrow("**/.env", "a/b/.env"));
        assert!(!broad("**/.env", "x.env") && !broad("**/.env", "a/x.env"));
        assert!(narrow("a/**/b", "a/b") && narrow("a/**/b", "a/x/y/b") && !broad("a/**/b", "ab"));
        assert!(!broad("a**/b", "ab") && !broad("**/", "x") && broad("**/", "x/"));
        let covers = |wide, narrow| {
            Glob::parse(wide)
                .unwrap()
                .covers(&Glob::parse(narrow).unwrap())
        };
        assert!(covers("**/.env", ".env") && covers("**/.env", "**/a/.env"));
        assert!(!covers("**/a/.env", "**/.env") && !covers("*/.env", "**/.env"));
    }

    #[test]
    fn a_malformed_glob_says_so() {
        assert!(Glob::parse("[abc").is_err());
        assert!(Glob::parse("[z-a]").is_err());
    }

    #[test]
    fn many_stars_stay_linear() {
        let glob = "*a".repeat(30);
        assert!(!broad(&glob, &"a".repeat(2_000).replace('a', "b")));
        assert!(broad(&glob, &"a".repeat(2_000)));
    }

    proptest! {
        #[test]
        fn what_is_covered_fits(wide in "[ab*?/\n]{0,6}", thin in "[ab*?/\n]{0,6}", text in "[ab/\n]{0,6}") {
            let (wide, thin) = (Glob::parse(&wide).unwrap(), Glob::parse(&thin).unwrap());
            for reading in [GlobReading::Broad, GlobReading::Narrow] {
                prop_assert!(!wide.covers(&thin) || !thin.matches(&text, reading) || wide.matches(&text, reading));
            }
        }

        #[test]
        fn agrees_with_a_plain_recursive_reading(glob in "[ab*?/]{0,8}", text in "[ab/]{0,8}") {
            fn plain(glob: &[char], text: &[char], crosses: bool, begins: bool) -> bool {
                match glob {
                    [] => text.is_empty(),
                    ['*', '*', '*', rest @ ..] => plain(&[&['*', '*'], rest].concat(), text, crosses, begins),
                    ['*', '*', '/', rest @ ..] if begins && plain(rest, text, crosses, true) => true,
                    ['*', '*', rest @ ..] => (0..=text.len()).any(|n| plain(rest, &text[n..], crosses, false)),
                    ['*', rest @ ..] => (0..=text.len())
                        .take_while(|&n| crosses || n == 0 || text[n - 1] != '/')
                        .any(|n| plain(rest, &text[n..], crosses, false)),
                    ['?', rest @ ..] => !text.is_empty() && plain(rest, &text[1..], crosses, false),
                    [c, rest @ ..] => text.first() == Some(c) && plain(rest, &text[1..], crosses, *c == '/'),
                }
            }
            let g: Vec<char> = glob.chars().collect();
            let t: Vec<char> = text.chars().collect();
            prop_assert_eq!(broad(&glob, &text), plain(&g, &t, true, true));
            let lone = !glob.is_empty() && glob.chars().all(|c| c == '*');
            prop_assert_eq!(narrow(&glob, &text), lone || plain(&g, &t, false, true));
        }
    }
}
