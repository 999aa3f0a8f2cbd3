//! Operators `path_within` and `path_not_within`: compare file paths, decoded and resolved without a file system.
//!
//! A path is read in each way in which a tool may read it: as written, percent-decoded once and twice, with and without the
//! white space around it, and with `\` as a separator (also as a letter, in a path that begins with `/` or `~/`, or
//! contains `/..`). Each distinct reading is a separate value. Doubled slashes and `.` are ignored, `..` goes up. Whole
//! names are compared, so that `/data-evil` is not within `/data`. Comparison is case-sensitive.
//!
//! A path is unreadable if by its letters it is in no folder, but some system may take it for one that is: macOS and
//! Windows ignore case and the forms of Unicode; `~` is a folder of `/home`, `/Users` or `C:\Users`; `/c`, `/mnt/c` and a
//! path without a drive are on a drive; `/private/etc` is `/etc`; relative paths and relative folders begin at the tool's
//! working directory; `*` and `?` match any name; and some reader may end a name earlier (`.env::$DATA`, `.env#x`,
//! `.env,b`).
//!
//! A text with several paths (`/srv/a /etc/b`, one on each line) is also read as each of them.
//!
//! Letters that look like `.`, `/` and `\\` (`．．／`) are also read as these, without invisible characters. A path with
//! quotes, or with `\` as a shell's escape, is also read without them.
//!
//! `~` and `~bob` are separate roots, as are Windows drives and servers (`C:\`, `\\server\share`). A relative path is only
//! within relative operands. Unreadable are: an empty text, NUL, a URL, a path that climbs above its start, that begins
//! with a variable (`$HOME/x`, `%TEMP%\x`) or that contains a shell expansion (`$(id)`, `${x}`, `$HOME`, backticks,
//! `{a,../b}`), a name that some reader takes for `..` (`.?`, `..;x`, `.. `, `.$x.`) or for nothing before a `..` (`**/..`,
//! `$x/..`), a relative path that is an option, a pipe or begins with a host (`-x`, `|x`, `host:x`), `/proc/self/root` and
//! similar links, and on Windows drive-relative (`C:x`), verbatim (`\\?\`) and device paths, short names (`PROGRA~1`),
//! streams (`x:y`) and names that end in a dot or a space.
//!
//! Out of scope: symbolic links and mounts.

use super::url::percent_decoded;
use super::{OperandError, TestResult};
use crate::detect::fold_name;
use crate::policy::glob::{Glob, GlobReading};
use crate::wire::letter_case;
use crate::wire::work;

/// Maximum bytes of a path: Windows takes 32,767 characters, others far fewer.
const MAX_BYTES: usize = 128 << 10;

/// Maximum bytes of a name in file systems. A longer pattern is not tried and may match any name.
const MAX_NAME: usize = 255;

/// Work steps for comparing a path with a folder.
const COMPARED: usize = 4;

/// Work steps for a pattern, and for each of its bytes.
const PATTERN: usize = 64;
const PATTERN_BYTE: usize = 8;

/// Folders to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folders {
    folders: Vec<(Path, FoldedNames)>,
    /// Whether `//server/share` may mean a server: only if the list contains Windows paths.
    windows: bool,
    negative: bool,
}

/// Resolved path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Path {
    root: PathRoot,
    names: Vec<Box<str>>,
}

/// Root of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PathRoot {
    Relative,
    Absolute,
    /// Home folder of a user; the empty name is the own home.
    Home(Box<str>),
    /// Drive letter, in upper case.
    Drive(char),
    /// Server and share, in lower case.
    Server(Box<str>, Box<str>),
}

impl Path {
    fn is_windows(&self) -> bool {
        matches!(self.root, PathRoot::Drive(_) | PathRoot::Server(..))
    }

    fn is_within(&self, folder: &Path) -> bool {
        self.root == folder.root && self.names.starts_with(&folder.names)
    }
}

impl Folders {
    /// Parses the entries of a list.
    pub(crate) fn parse(entries: &[Box<str>], negative: bool) -> Result<Folders, OperandError> {
        let mut folders = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let folder = resolve(entry, Backslash::Separates).ok_or_else(|| {
                OperandError::new(
                    at,
                    format!("`{entry}` is no folder that a path could be compared with"),
                    "write for example `/srv/data`, `src`, `~/work` or `C:\\data`",
                )
            })?;
            let folded = FoldedNames::of(&folder);
            folders.push((folder, folded));
        }
        Ok(Folders {
            windows: folders.iter().any(|(folder, _)| folder.is_windows()),
            folders,
            negative,
        })
    }

    /// Evaluates each reading of a path.
    pub(crate) fn evaluate(&self, text: &str, report: &mut dyn FnMut(TestResult)) {
        if text.len() > MAX_BYTES {
            return report(TestResult::Unreadable);
        }
        let mut seen: Vec<Option<Path>> = Vec::new();
        each_spelling(text, &mut |spelling| {
            for path in self.readings(spelling).into_iter().flatten() {
                if !seen.contains(&path) {
                    report(self.compare(path.as_ref()));
                    seen.push(path);
                }
            }
            each_of_several(spelling, &mut |spelling| {
                for path in self.readings(spelling).into_iter().flatten() {
                    report(self.compare(path.as_ref()));
                }
            });
        });
    }

    fn readings(&self, spelling: &str) -> [Option<Option<Path>>; 3] {
        // To POSIX, `a\b/..` is one name, followed by its parent.
        let literal = spelling.contains('\\')
            && (spelling.starts_with(['/', '~']) || spelling.contains("/.."));
        let server = self.windows && spelling.starts_with("//");
        [
            Some(resolve(spelling, Backslash::Separates)),
            literal.then(|| resolve(spelling, Backslash::IsALetter)),
            server.then(|| resolve(&spelling.replace('/', "\\"), Backslash::Separates)),
        ]
    }

    fn compare(&self, path: Option<&Path>) -> TestResult {
        let Some(path) = path else {
            return TestResult::Unreadable;
        };
        let steps = COMPARED.saturating_add(path.names.len());
        work::spend(self.folders.len().saturating_mul(steps));
        if self
            .folders
            .iter()
            .any(|(folder, _)| path.is_within(folder))
        {
            return (!self.negative).into();
        }
        let folded = FoldedNames::of(path);
        match self
            .folders
            .iter()
            .any(|(folder, names)| may_be_within((path, &folded), (folder, names)))
        {
            true => TestResult::Unreadable,
            false => self.negative.into(),
        }
    }
}

/// Names of a path as a file system compares them that ignores case and the forms of Unicode.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FoldedNames(Vec<Box<str>>);

impl FoldedNames {
    fn of(path: &Path) -> FoldedNames {
        let mut names: Vec<Box<str>> = path
            .names
            .iter()
            .map(|name| {
                work::spend(name.len());
                fold_name(name).into()
            })
            .collect();
        // These are the links in the root of every macOS.
        let name = |at: usize| names.get(at).map(|name| &**name);
        let linked = match [name(0), name(1), name(2)] {
            [Some("private"), Some("etc" | "tmp" | "var"), _] => 1,
            [Some("system"), Some("volumes"), Some("data")] => 3,
            _ => 0,
        };
        if path.root == PathRoot::Absolute {
            names.drain(..linked);
        }
        FoldedNames(names)
    }

    fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        self.below(0)
    }

    /// Returns the names without the first ones. An iterator that skips them would walk over them.
    fn below(&self, above: usize) -> impl Iterator<Item = &str> + Clone {
        let below = self.0.get(above..).unwrap_or_default();
        below.iter().map(|name| &**name)
    }
}

/// Returns whether some system may take a path for one within a folder.
fn may_be_within(
    (path, names): (&Path, &FoldedNames),
    (folder, folder_names): (&Path, &FoldedNames),
) -> bool {
    use PathRoot::{Drive, Home, Relative, Server};
    let is_below = || begins_with(names.iter(), folder_names.iter());
    match (&path.root, &folder.root) {
        (root, folder_root) if root == folder_root => is_below(),
        // The working directory may be the root, as in a container without one of its own, or home, …
        (Relative, _) => [0, home_length(folder_names)].iter().any(|above| {
            let mut rest = folder_names.below(*above).peekable();
            rest.peek().is_some() && begins_with(names.iter(), rest)
        }),
        // … or any folder on the way of the path.
        (_, Relative) => {
            !folder_names.0.is_empty()
                && (0..names.0.len())
                    .any(|above| begins_with(names.below(above), folder_names.iter()))
        }
        (Drive(_), Drive(_)) | (Server(..), _) | (_, Server(..)) => false,
        (Home(one), Home(other)) => (one.is_empty() || other.is_empty()) && is_below(),
        (root, folder_root) => {
            let (starts, folder_starts) = (starts(root), starts(folder_root));
            folder_starts.iter().any(|folder_start| {
                let folder = folder_start.iter().map(String::as_str);
                let folder = folder.chain(folder_names.iter());
                starts.iter().any(|start| {
                    let path = start.iter().map(String::as_str).chain(names.iter());
                    begins_with(path, folder.clone())
                })
            })
        }
    }
}

/// Placeholder that matches any name, like a pattern.
const ANY_NAME: &str = "*";

/// Home folders of Linux, macOS and Windows, and of root.
const HOMES: [&[&str]; 4] = [
    &["home", ANY_NAME],
    &["users", ANY_NAME],
    &["root"],
    &["var", "root"],
];

/// Returns the number of names at the beginning of an absolute path that are a home folder.
fn home_length(names: &FoldedNames) -> usize {
    let home = |home: &&&[&str]| begins_with(names.iter(), home.iter().copied());
    HOMES.iter().find(home).map_or(0, |home| home.len())
}

/// Returns the folders that a root may be.
fn starts(root: &PathRoot) -> Vec<Vec<String>> {
    let start = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    match root {
        PathRoot::Home(_) => HOMES.map(start).into(),
        // A drive as in Git Bash, WSL and Cygwin, and as in Windows with this current drive.
        PathRoot::Drive(letter) => {
            let letter = letter.to_ascii_lowercase().to_string();
            vec![
                Vec::new(),
                start(&[&letter]),
                start(&["mnt", &letter]),
                start(&["cygdrive", &letter]),
            ]
        }
        _ => vec![Vec::new()],
    }
}

/// Returns whether a path may begin with the names of a folder.
fn begins_with<'n>(
    mut path: impl Iterator<Item = &'n str>,
    folder: impl Iterator<Item = &'n str>,
) -> bool {
    for wanted in folder {
        match path.next() {
            // `**` is any number of names.
            Some("**") => return true,
            Some(name) if may_be_name(name, wanted) => {}
            _ => return false,
        }
    }
    true
}

/// Returns whether a reader may take a name for another one: a pattern, or a name that ends earlier for that reader.
fn may_be_name(name: &str, wanted: &str) -> bool {
    if wanted == ANY_NAME {
        return true;
    }
    let mut fits = false;
    if Glob::is_glob(name) {
        work::spend(
            name.len()
                .saturating_mul(PATTERN_BYTE)
                .saturating_add(PATTERN),
        );
        fits = name.len() > MAX_NAME
            || work::is_exhausted()
            || Glob::parse(name).is_ok_and(|glob| glob.matches(wanted, GlobReading::Broad));
    }
    fits || name.strip_prefix(wanted).is_some_and(|rest| {
        rest.starts_with(NAME_ENDS) || rest.trim_end_matches(['.', ' ']).is_empty()
    })
}

/// Characters at which a list, a URL or a stream of Windows ends a name.
const NAME_ENDS: [char; 7] = [' ', ',', ';', ':', '|', '#', '?'];

/// Calls `visit` with the text as written, trimmed, and with its percent escapes decoded once and twice.
fn each_spelling(text: &str, visit: &mut dyn FnMut(&str)) {
    let mut spelling = Some(text.to_owned());
    for _ in 0..3 {
        let Some(text) = spelling else {
            // The escapes are not UTF-8, so that no operand could contain these bytes.
            visit("");
            return;
        };
        visit(&text);
        let trimmed = text.trim();
        if trimmed.len() < text.len() {
            visit(trimmed);
        }
        if !trimmed.is_ascii() {
            visit(&plain_signs(trimmed));
        }
        if trimmed.contains(QUOTES) {
            let plain = trimmed.replace(['"', '\''], "");
            visit(&plain);
            if plain.starts_with(['/', '~']) {
                visit(&plain.replace('\\', ""));
            }
        }
        if !text.contains('%') {
            return;
        }
        spelling = percent_decoded(&text);
    }
}

/// Calls `visit` with each path of a text that some tool may take for several (`/srv/a /etc/b`). A part ends at the end of
/// a line, or at a blank, comma, semicolon, colon or bar before the root of another path. A part after one of these that
/// climbs above its start is a path of its own, too: it climbs only for a tool that splits there.
fn each_of_several(text: &str, visit: &mut dyn FnMut(&str)) {
    if !text.contains(BETWEEN_PATHS) {
        return;
    }
    work::spend(text.len());
    let mut start = 0;
    for (at, mark) in text.match_indices(BETWEEN_PATHS) {
        let part = text.get(start..at).unwrap_or_default().trim();
        let behind = at.saturating_add(mark.len());
        let rest = text.get(behind..).unwrap_or_default();
        let is_drive = mark == ":" && part.len() == 1;
        let ends = matches!(mark, "\n" | "\r") || begins_at_root(rest) && !is_drive;
        // Leading blanks are also removed elsewhere.
        let is_part = !part.is_empty() || !mark.trim().is_empty();
        if ends && is_part && !rest.trim_start().is_empty() {
            if !part.is_empty() {
                visit(part);
            }
            start = behind;
        }
    }
    if start > 0 {
        visit(text.get(start..).unwrap_or_default().trim());
    }
    for part in text.split(BETWEEN_PATHS).skip(1) {
        let plain = without_variables(part);
        if plain.contains("..") && resolve(&plain, Backslash::Separates).is_none() {
            visit(part);
        }
    }
}

/// Separators between several paths.
const BETWEEN_PATHS: [char; 8] = [' ', '\t', '\n', '\r', ',', ';', ':', '|'];

/// Returns whether a text begins like a path from a root, or like one that climbs; variables before it may be empty.
fn begins_at_root(text: &str) -> bool {
    let mut text = text.trim_start_matches(|c: char| !c.is_ascii() && c.is_whitespace());
    while let Some(behind) = text.strip_prefix('$') {
        text = behind_variable(behind);
    }
    let is_drive = || {
        let mut bytes = text.bytes();
        bytes
            .next()
            .is_some_and(|letter| letter.is_ascii_alphabetic())
            && bytes.next() == Some(b':')
            && matches!(bytes.next(), Some(b'/' | b'\\'))
    };
    let climbs = |rest: &str| {
        rest.is_empty() || rest.starts_with(['/', '\\']) || rest.starts_with(BETWEEN_PATHS)
    };
    text.starts_with(['/', '\\', '~']) || text.strip_prefix("..").is_some_and(climbs) || is_drive()
}

/// Characters that a shell removes from a word; `\` only in a POSIX path.
const QUOTES: [char; 3] = ['"', '\'', '\\'];

/// Returns a path with the characters that become `.`, `/` or `\` by normalisation (NFKC) replaced, and without invisible
/// ones.
fn plain_signs(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{FF0E}' | '\u{2024}' | '\u{FE52}' => plain.push('.'),
            '\u{2025}' | '\u{FE30}' => plain.push_str(".."),
            '\u{2026}' => plain.push_str("..."),
            '\u{FF0F}' | '\u{2044}' | '\u{2215}' | '\u{29F8}' => plain.push('/'),
            '\u{FF3C}' | '\u{FE68}' | '\u{2216}' | '\u{29F5}' => plain.push('\\'),
            '\u{FF5E}' => plain.push('~'),
            '\u{AD}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' => {}
            c => plain.push(c),
        }
    }
    plain
}

/// Returns whether a shell expands a path to another one: a substitution, a variable (by custom in capitals), a string with
/// escapes, a choice in braces.
fn expands(text: &str) -> bool {
    let is_substituted = text.contains('`')
        || text.split('$').skip(1).any(|after| {
            after.starts_with(|c: char| {
                matches!(c, '(' | '{' | '\'' | '"') || c.is_ascii_uppercase()
            })
        });
    is_substituted
        || text.split('{').skip(1).any(|after| {
            let inside = after.split('}').next().unwrap_or_default();
            inside.len() < after.len() && (inside.contains(',') || inside.contains(".."))
        })
}

/// Meaning of `\`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Backslash {
    Separates,
    IsALetter,
}

/// Returns a path with its dots resolved; `None` if it is unreadable.
fn resolve(text: &str, backslash: Backslash) -> Option<Path> {
    let is_separator = |c: char| c == '/' || (c == '\\' && backslash == Backslash::Separates);
    let is_other = is_url(text) || begins_with_variable(text) || expands(text);
    if text.is_empty() || text.contains('\0') || is_other {
        return None;
    }
    let (root, rest) = root(text, &is_separator)?;
    let mut path = Path {
        root,
        names: Vec::new(),
    };
    if path.root == PathRoot::Relative && is_for_program(rest, &is_separator) {
        return None;
    }
    let is_windows = path.is_windows();
    for name in rest.split(is_separator) {
        match name {
            "" | "." => {}
            ".." => {
                path.names.pop().filter(|name| !may_be_nothing(name))?;
            }
            _ if may_be_parent(name) || is_windows && is_other_on_windows(name) => return None,
            _ => path.names.push(name.into()),
        }
    }
    (!leads_anywhere(&path)).then_some(path)
}

/// Splits off the root.
fn root<'t>(text: &'t str, is_separator: &dyn Fn(char) -> bool) -> Option<(PathRoot, &'t str)> {
    if let Some(rest) = text.strip_prefix("\\\\").filter(|_| is_separator('\\')) {
        let mut parts = rest.splitn(3, is_separator);
        let server = parts
            .next()
            .filter(|server| !matches!(*server, "" | "?" | "." | ".."))?;
        let share = parts
            .next()
            .filter(|share| !matches!(*share, "" | "." | ".."))?;
        let root = PathRoot::Server(
            letter_case::lower(server).into(),
            letter_case::lower(share).into(),
        );
        return Some((root, parts.next().unwrap_or_default()));
    }
    if let Some(rest) = text.strip_prefix(is_separator) {
        return Some((PathRoot::Absolute, rest));
    }
    if let Some(rest) = text.strip_prefix('~') {
        let (user, rest) = rest.split_once(is_separator).unwrap_or((rest, ""));
        return Some((PathRoot::Home(user.into()), rest));
    }
    let mut chars = text.chars();
    if let (Some(letter), Some(':')) = (chars.next(), chars.next())
        && letter.is_ascii_alphabetic()
    {
        // `C:x` is relative to the current folder of that drive.
        let rest = chars.as_str().strip_prefix(is_separator)?;
        return Some((PathRoot::Drive(letter.to_ascii_uppercase()), rest));
    }
    Some((PathRoot::Relative, text))
}

/// Returns whether a text is `file:…`, or has any scheme before a slash. A single letter is a drive.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.trim_start().split_once(':') else {
        return false;
    };
    let fits = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    fits && (rest.starts_with(['/', '\\']) || scheme.eq_ignore_ascii_case("file"))
}

/// Returns the path of a `file:` URI of this host, with its percent escapes. `None` for any other URI, and for one that
/// clients read in several ways. It is only for fields that contain a URI: an argument of a tool may be a path with this
/// name.
pub(crate) fn path_of_file_uri(uri: &str) -> Option<&str> {
    let scheme = uri.get(..5)?;
    let rest = uri
        .get(5..)
        .filter(|_| scheme.eq_ignore_ascii_case("file:"))?;
    let path = match rest.strip_prefix("//") {
        Some(rest) => match rest.get(..9) {
            Some(host) if host.eq_ignore_ascii_case("localhost") => rest.get(9..)?,
            _ => rest,
        },
        None => rest,
    };
    let is_plain = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(|c: char| matches!(c, '?' | '#' | '\\') || c.is_control());
    let below = path.get(1..)?;
    let is_drive = matches!(below.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    is_plain.then_some(if is_drive { below } else { path })
}

/// Returns whether a text begins with `$HOME`, `${HOME}` or `%TEMP%`: a shell or a program may replace it by anything.
fn begins_with_variable(text: &str) -> bool {
    let after = text.trim_start().strip_prefix('%');
    text.trim_start().starts_with('$')
        || after
            .and_then(|after| after.split_once('%'))
            .is_some_and(|(name, _)| {
                // `%2F` does not begin the name of a variable.
                name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'(' | b')'))
            })
}

/// Returns whether Windows takes a name for another one: a short name, a stream, final dots or spaces.
fn is_other_on_windows(name: &str) -> bool {
    let is_short = name
        .split_once('~')
        .is_some_and(|(_, number)| number.starts_with(|c: char| c.is_ascii_digit()));
    is_short || name.contains(':') || name.ends_with(['.', ' '])
}

/// Returns whether a program takes a relative path for something else: an option, a pipe (`open` of Perl and Ruby), or a
/// part before a colon for a host (`scp`), pattern magic (`git`) or a scheme.
fn is_for_program(path: &str, is_separator: &dyn Fn(char) -> bool) -> bool {
    let first = path.split(is_separator).next().unwrap_or_default();
    first.starts_with(['-', '|', '<', '>']) || first.contains(':')
}

/// Returns whether some reader takes a name for `..`: one that expands patterns and variables, drops blanks and control
/// characters, or ends a name at the beginning of a list, of parameters, of a query or of a fragment.
fn may_be_parent(name: &str) -> bool {
    let is_dropped = |c: char| c.is_whitespace() || c.is_control();
    let is_end = |c: char| BETWEEN_PATHS.contains(&c) || matches!(c, '?' | '#');
    let plain = without_variables(name);
    let named = plain.trim_start_matches(is_dropped).split(is_end).next();
    named == Some("..")
        || plain.replace(is_dropped, "") == ".."
        || [".?", ".*", ".["].iter().any(|glob| name.starts_with(glob))
}

/// Returns whether some reader takes a name for none: `**` is any number of folders, and a variable may be empty, so that
/// `.$x` is `.`.
fn may_be_nothing(name: &str) -> bool {
    matches!(&*without_variables(name), "" | "." | "**")
}

/// Returns a name without shell variables: `$x`, `$1`, `$@`.
fn without_variables(name: &str) -> String {
    let mut parts = name.split('$');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(behind_variable(part));
    }
    plain
}

/// Returns the text after the name of a variable.
fn behind_variable(text: &str) -> &str {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    match rest.len() < text.len() {
        true => rest,
        false => rest.trim_start_matches(['@', '*', '#', '?', '!', '-']),
    }
}

/// Returns whether a path goes through a Linux link to what a process has open: `/proc/self/root`, `/proc/1/cwd`,
/// `/dev/fd/3`, …
fn leads_anywhere(path: &Path) -> bool {
    let mut names = path.names.iter().map(|name| &**name);
    match (&path.root, names.next(), names.next()) {
        (PathRoot::Absolute, Some("proc"), Some(_)) => {
            names.any(|name| matches!(name, "root" | "cwd" | "exe" | "fd" | "map_files"))
        }
        (PathRoot::Absolute, Some("dev"), Some("fd")) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn results(list: &[&str], negative: bool, text: &str) -> Vec<TestResult> {
        let list: Vec<Box<str>> = list.iter().map(|entry| (*entry).into()).collect();
        let mut all = Vec::new();
        Folders::parse(&list, negative)
            .unwrap()
            .evaluate(text, &mut |result| all.push(result));
        all
    }

    /// Returns `in`, `out` or `?` for each reading.
    fn read(folder: &str, text: &str) -> String {
        let words: Vec<&str> = results(&[folder], false, text)
            .into_iter()
            .map(|result| match result {
                TestResult::Holds => "in",
                TestResult::Fails => "out",
                TestResult::Unreadable => "?",
            })
            .collect();
        words.join(" ")
    }

    #[test]
    fn a_path_is_within_a_folder_by_whole_names() {
        for (folder, path, expected, why) in [
            ("/data", "/data", "in", "the folder itself"),
            ("/data", "/data/", "in", "with a slash"),
            ("/data/", "/data/a/b", "in", "further inside"),
            ("/data", "/data-evil/x", "out", "a longer name"),
            ("/data", "/database", "out", "a longer name"),
            (
                "/data",
                "/Data/x",
                "?",
                "one folder where case means nothing",
            ),
            ("/data", "/other", "out", "elsewhere"),
            ("/", "/anything", "in", "the root holds all absolute paths"),
            ("/", "relative", "out", "and no relative one"),
            (
                "/data",
                "src/x",
                "out",
                "a relative path is inside no absolute folder",
            ),
            ("src", "src/main.rs", "in", "relative in relative"),
            (
                "./src",
                "src//./main.rs",
                "in",
                "dots and slashes mean nothing",
            ),
            (".", "anything", "in", "the start holds all relative paths"),
            ("src", "srcs/x", "out", "a longer name"),
            ("~", "~/notes", "in", "one's own folder"),
            ("~amy/a", "~bob/a", "out", "somebody else's"),
            ("/home/me", "~/x", "?", "where that is nobody says"),
            ("~bob", "~bob/x", "in", "somebody's folder"),
            (
                "C:\\data",
                "c:/data/x",
                "in",
                "drives have no case, either slash",
            ),
            ("C:\\data", "D:\\data\\x", "out", "another drive"),
            (
                "/data",
                "C:\\other\\x",
                "out",
                "a drive is a root of its own",
            ),
            (
                "\\\\srv\\share",
                "\\\\SRV\\Share\\x",
                "in",
                "server and share",
            ),
            (
                "\\\\srv\\share",
                "//srv/share/x",
                "out in",
                "a server, or a doubled slash",
            ),
            ("src", "src\\main.rs", "in", "backslashes separate"),
        ] {
            assert_eq!(read(folder, path), expected, "{path} in {folder}: {why}");
        }
    }

    #[test]
    fn what_some_system_takes_for_a_path_within_a_folder_can_not_be_told() {
        for (folder, path, why) in [
            ("/data", "/DATA/x", "macOS and Windows ignore case"),
            ("C:\\data", "c:\\Data\\x", "macOS and Windows ignore case"),
            (
                "/data/caf\u{E9}",
                "/data/cafe\u{301}/x",
                "NFD, as HFS+ writes it",
            ),
            ("/data/stra\u{DF}e", "/data/STRASSE", "full case folding"),
            ("~/.ssh", "/home/me/.ssh/id", "a home of Linux"),
            ("~/.ssh", "/root/.ssh/id", "root's home"),
            ("~/.ssh", "/Users/me/.ssh/id", "a home of macOS"),
            ("~/.ssh", "C:\\Users\\me\\.ssh\\id", "a home of Windows"),
            ("/home/me/.ssh", "~/.ssh/id", "a home as a shell writes it"),
            (
                "/home/me/.ssh",
                "~me/.ssh/id",
                "a home as a shell writes it",
            ),
            ("~/.ssh", "~me/.ssh/id", "whoever runs the tool"),
            ("C:\\data", "/c/data/x", "Git Bash"),
            ("C:\\data", "/mnt/c/data/x", "WSL"),
            ("/mnt/c/data", "C:\\data\\x", "WSL"),
            ("C:\\data", "/cygdrive/c/data/x", "Cygwin"),
            (
                "C:\\data",
                "\\data\\x",
                "on whichever drive the tool stands",
            ),
            ("/etc", "/private/etc/passwd", "a link of macOS"),
            (
                "/Users/me/a",
                "/System/Volumes/Data/Users/me/a",
                "a link of macOS",
            ),
            ("/etc", "etc/passwd", "a tool that stands in the root"),
            ("/home/me/.ssh", ".ssh/id", "a tool that stands at home"),
            ("/var/root/.ssh", ".ssh/id", "a tool that stands at home"),
            ("~/.ssh", "./.ssh/id", "a tool that stands at home"),
            ("C:\\Users\\me\\a", "a/b", "a tool that stands at home"),
            (".env", "/data/.env", "where the tool stands"),
            ("/etc/shadow", "/etc/shadow,a", "a list"),
            ("/etc/shadow", "/etc/shadow a", "a list"),
            ("/etc/shadow", "/etc/shadow#a", "a fragment"),
            ("/etc/shadow", "/etc/shadow?a", "a query, or a pattern"),
            (".env", ".env::$DATA", "a stream of Windows"),
            (".env", ".env.", "a final dot of Windows"),
            ("/etc/shadow", "/etc/sh*", "a pattern"),
            ("/etc/shadow", "/*/sh[a]do?", "a pattern"),
            ("/etc/shadow", "/**/shadow", "a pattern"),
        ] {
            assert!(
                read(folder, path).contains('?'),
                "{path} in {folder}: {why}"
            );
        }
        for (folder, path, why) in [
            ("/etc", "/srv/etc/x", "another folder of this name"),
            ("/usr/lib", "lib/x.rb", "a folder of a project"),
            ("/home/me", "src/x", "any file, if the tool stands there"),
            ("/srv/etc", "/etc/x", "another folder of this name"),
            (".env", ".env.example", "another file"),
            ("/etc/shadow", "/etc/shadows", "another file"),
            ("/etc/shadow", "/etc/*.md", "a pattern that does not fit"),
            ("/etc/shadow", "/srv/[slug]/*", "a pattern elsewhere"),
            ("/home/me/.ssh", "/home/you/.ssh/x", "somebody else's"),
            ("/home/me/.ssh", "~/notes/x", "another folder of a home"),
            ("C:\\data", "/d/data/x", "another drive"),
            ("~/.ssh", "src/main.rs", "another folder"),
            ("secrets", "sub/secrets/x", "another folder"),
            ("\\\\srv\\share", "/share/x", "no server"),
        ] {
            assert!(
                !read(folder, path).contains(['?', 'i']),
                "{path} in {folder}: {why}"
            );
        }
    }

    #[test]
    fn a_relative_path_that_a_program_takes_for_something_else_can_not_be_read() {
        for (path, why) in [
            ("-rf", "an option"),
            ("--output=/data/x", "an option"),
            ("|id", "a pipe to Perl and Ruby"),
            (">x", "a file to write to Perl"),
            ("evil.com:x", "a host to scp"),
            (":/x", "a pattern's magic to git"),
            (":(top)x", "a pattern's magic to git"),
            ("data:x", "a URL without a slash"),
        ] {
            assert!(read(".", path).contains('?'), "{path}: {why}");
        }
        for path in ["./-rf", "a-b", "src/a:b", "@scope/a", "a|b", "src/10:30.md"] {
            assert_eq!(read(".", path), "in", "{path}");
        }
    }

    #[test]
    fn several_paths_in_one_text_are_each_read() {
        for (path, is_inside, why) in [
            ("/data/a /data/b", true, "a blank"),
            ("/data/a /etc/b", false, "a blank"),
            ("/data/a,/etc/b", false, "a comma"),
            ("/data/a, ~/b", false, "a comma and a blank"),
            ("/data/a:/etc/b", false, "as in PATH"),
            ("/data/a | C:\\b", false, "a bar before a drive"),
            ("/data/a\nb", false, "lines"),
            ("/data/a\r\n/data/b\r\n", true, "lines"),
            ("/data/a;../b", false, "one that climbs"),
            ("/data/a,..", false, "one that climbs"),
            ("/data/a,..,b", false, "one that climbs"),
            ("/data/a/b,c/../../d", false, "one that climbs"),
            (
                "/data/a/b $x/../d",
                false,
                "one that climbs where $x is empty",
            ),
            ("/data/a .$x./d", false, "one that climbs where $x is empty"),
            ("/data/a $x/etc", false, "one of the root where $x is empty"),
            ("/data/a,\u{a0}/etc", false, "a blank of another kind"),
            (";/etc", false, "nothing in front"),
            ("/data/a b/../c", true, "one path with a blank that goes up"),
            ("/data/costs $5 ... $6.md", true, "one path with dollars"),
            ("/data/a b, c: d", true, "one path with blanks"),
        ] {
            let all = results(&["/data"], false, path);
            let is_each = all.iter().all(|one| *one == TestResult::Holds);
            assert_eq!(is_each, is_inside, "{path:?}: {why}");
        }
        assert_eq!(read("C:\\data", "C:\\data\\x"), "in", "a drive is no part");
        assert_eq!(
            read("src", "src/x,../../etc"),
            "in in ? ?",
            "a part that climbs"
        );
    }

    #[test]
    fn disguises_are_taken_off() {
        for (path, expected, why) in [
            ("/data/../etc/passwd", "out", "up"),
            ("/data/./../data/x", "in", "up and back"),
            ("/x/../data/y", "in", "from elsewhere"),
            ("/data/..", "out", "up and no further"),
            ("//data//x", "in", "doubled slashes"),
            ("/data/%2e%2e/etc", "in out", "encoded dots"),
            ("/data/\u{FE30}/etc", "in out", "dots of a vertical line"),
            (
                "/data/.\u{206A}./etc",
                "in out",
                "dots with a hidden character",
            ),
            ("/data/%2e%2e%2fetc", "in out", "encoded slash"),
            ("/data/%252e%252e/etc", "in in out", "encoded twice"),
            ("/data/a%20b", "in in", "an encoded space changes nothing"),
            ("/data/100%", "in", "a percent sign alone"),
            (
                "/data/..\\..\\etc",
                "? in in",
                "backslashes that climb, or a letter, or an escape",
            ),
            (
                "/data/x\\..\\..\\etc",
                "out in in",
                "backslashes that go up",
            ),
            ("/data/.\\./etc", "in in out", "an escaped dot"),
            ("/data/'..'/etc", "in out", "quoted dots"),
            (
                "\"/data/..\\etc",
                "out out out in in",
                "backslashes behind a quote",
            ),
            (
                "\\data\\a\\b\\c/../x",
                "in out",
                "backslashes of one name, which is left again",
            ),
            ("/data/.?/etc", "?", "a pattern for two dots"),
            ("/data/..;a/etc", "?", "dots with parameters"),
            ("/data/..,a/etc", "?", "dots in a list"),
            ("/data/..#a/etc", "?", "dots with a fragment"),
            ("/data/..?a/etc", "?", "dots with a query"),
            ("/data/. ./etc", "?", "dots with a blank between"),
            ("/data/.$x./etc", "?", "a variable that may be empty"),
            ("/data/$1../etc", "?", "a variable that may be empty"),
            ("/data/$x/../etc", "?", "a variable that may be empty"),
            ("/data/**/../etc", "?", "a pattern that may be no folder"),
            ("/data/*/../x", "in", "a pattern that is one folder"),
            ("/data/.$x/../etc", "?", "a variable that may be empty"),
            ("/data/$x/a/../b", "in", "a name with a dollar sign"),
            ("/data/$'..'/etc", "?", "a string with escapes"),
            ("/data/..\t/etc", "? out out", "dots with white space"),
            ("/data/.a*/..b;c/.../x", "in", "other names"),
            ("/data/...\u{a0}/x", "in", "three dots are a name"),
            (" /data/x", "out in", "white space in front"),
            ("/data/x\n", "in in", "line end behind"),
            ("/data/%ff", "in ?", "no UTF-8"),
        ] {
            assert_eq!(read("/data", path), expected, "{path:?}: {why}");
        }
    }

    #[test]
    fn what_leads_nobody_knows_where_can_not_be_read() {
        for (path, why) in [
            ("", "empty"),
            (" ", "a name of a space, or empty"),
            ("../x", "above its start"),
            ("a/../../x", "above its start"),
            ("/..", "above the root"),
            ("~/../bob", "above the folder"),
            ("..", "above its start"),
            ("/data/\0x", "NUL"),
            ("/data/%00x", "encoded NUL"),
            ("file:///data/x", "URL"),
            ("file:/data/x", "URL"),
            ("FILE%3A//data", "encoded URL"),
            ("https://x.com/data", "URL"),
            ("$HOME/x", "variable"),
            ("${HOME}/x", "variable"),
            ("%USERPROFILE%\\x", "variable"),
            ("/proc/self/root/etc/passwd", "a link to anything"),
            ("/proc/1/task/1/cwd/x", "a link to anything"),
            ("/dev/fd/3", "a link to anything"),
            ("C:data\\x", "relative to a drive"),
            ("\\\\?\\C:\\data", "verbatim path"),
            ("\\\\.\\pipe\\x", "device"),
            ("\\\\server", "no share"),
            ("\\\\..\\etc", "no server"),
            ("C:\\PROGRA~1\\x", "short name"),
            ("C:\\data\\x.txt:hidden", "stream"),
            ("C:\\data.\\x", "final dot"),
            ("C:\\data \\x", "final space"),
        ] {
            assert!(
                results(&["/data", "C:\\data", "."], false, path).contains(&TestResult::Unreadable),
                "{path:?}: {why}"
            );
        }
    }

    #[test]
    fn a_file_uri_of_this_host_has_a_path() {
        for (uri, path) in [
            ("file:///data/x", "/data/x"),
            ("FILE:///data/x", "/data/x"),
            ("file:/data/x", "/data/x"),
            ("file://localhost/data/x", "/data/x"),
            ("file:///data/../x", "/data/../x"),
            ("file:///d%61ta/x", "/d%61ta/x"),
            ("file:///C:/data/x", "C:/data/x"),
        ] {
            assert_eq!(path_of_file_uri(uri), Some(path), "{uri}");
        }
        for uri in [
            "file://server/data/x",
            "file:////server/data",
            "file:data/x",
            "file://localhost.evil/data",
            "file:///data/x?y",
            "file:///data/x#y",
            "file:///data\\x",
            "file:///data/\nx",
            " file:///data/x",
            "file:",
            "https://host/data/x",
            "/data/x",
            "",
        ] {
            assert_eq!(path_of_file_uri(uri), None, "{uri}");
        }
    }

    #[test]
    fn an_operand_that_is_no_folder_is_refused() {
        for entry in ["..", "https://x.com/", "$HOME", "C:x", "/a/../.."] {
            let error = Folders::parse(&["/ok".into(), entry.into()], false).unwrap_err();
            assert_eq!(error.at, 1, "{entry}");
            assert!(error.message.contains(entry));
        }
    }

    #[test]
    fn long_paths_take_linear_time() {
        for part in [
            "/",
            "a/",
            "../",
            "a/../",
            "%2e",
            "%25",
            "\\",
            "a\\",
            "~",
            "$",
            ":",
            "%a",
            " $",
            ",..",
            " .$x.",
            "*/",
            "?a/",
            ",\u{3000}",
            "C/",
        ] {
            let text = part.repeat(100_000 / part.len());
            let _ = results(&["/data", "C:\\x"], true, &text);
            let below = format!("/{text}");
            let _ = results(&["b", "c/d", "~/e"], true, &below);
        }
    }

    proptest! {
        #[test]
        fn no_path_is_too_odd(text in "[a.:/\\\\~%25e\0 $]{0,24}") {
            prop_assert!(!results(&["/a", "C:\\a"], false, &text).is_empty());
        }

        #[test]
        fn spellings_of_a_path_lead_to_one_place(names in proptest::collection::vec("[a-z]{1,4}", 1..5)) {
            let path = names.join("/");
            let folder = format!("/data/{}", names[0]);
            for spelling in [
                format!("/data/{path}"),
                format!("//data/./{path}/"),
                format!("/x/../data/{path}"),
                format!("/data/{}", names.join("//")),
                format!("/data/{}", names.join("/./")),
                format!("/data/{}", names.join("/y/../")),
            ] {
                prop_assert_eq!(read(&folder, &spelling), "in", "{}", spelling);
                prop_assert_eq!(read("/other", &spelling), "out", "{}", spelling);
            }
        }

        #[test]
        fn whoever_goes_up_more_than_down_is_outside(down in 0usize..5, up in 0usize..8) {
            let path = format!("/data/{}{}x", "a/".repeat(down), "../".repeat(up));
            let result = read("/data", &path);
            let expected = match up {
                _ if up <= down => "in",
                _ if up == down + 1 => "out",
                _ => "?",
            };
            prop_assert_eq!(result, expected, "{}", path);
        }
    }
}
