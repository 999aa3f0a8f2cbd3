//! Operator `command_in`: tests that a shell line, or an argv, runs only these commands.
//!
//! An entry is a name (`git`), which also matches that name in `/bin`, `/sbin`, `/usr/bin`, `/usr/sbin` and
//! `/usr/local/bin`; an absolute path (`/opt/tools/scan`); or a name with the arguments that must come first
//! (`git status`). The value matches if it has a command, each of its commands has an entry, and all could be read. Names
//! are compared as written.
//!
//! A command that runs another one (`env`, `xargs`, `timeout`, `sudo`, `find -exec`, `bash -lc '…'`) must be listed as well
//! as the other one. One that runs a text or a file in its own shell (`eval`, `.`) is unreadable, even if it is listed.
//!
//! An assignment is unreadable, too (`EDITOR=rm git commit`, `PATH=/tmp ls`, `for PATH in /tmp`), unless the variable makes
//! no program run or load anything (`LANG`, `TZ`, `CI`, one letter) or the policy names it. Any program may have such
//! variables of its own, so that no list of the dangerous ones is complete. A redirection that writes
//! (`cat x > /etc/cron.d/x`) is unreadable, unless it goes to a descriptor, to `/dev/null` or below a folder that the
//! policy names. A relative path is not below such a folder after a `cd` that leaves these folders.
//!
//! An argument of unknown text (`*.txt`, `"$x"`, `$(date)`) is an argument like any other, unless it could change what is
//! run: before a command (`timeout $x`), as an option of a command that is parsed here (`find . {-exec,rm}`), inside of a
//! line (`find . -exec sh -c 'cat {}'`), or as the name of a variable.
//!
//! Not inspected: what a listed command does with its arguments (`awk`, `tar`, an editor and `git` can run other commands
//! by them; lint reports those). Not supported: the languages of cmd.exe and PowerShell.

use super::path::Folders;
use super::shell::{Word, assignment, simple_commands};
use super::{OperandError, TestResult};
use crate::wire::work;
use std::borrow::Cow;
use std::ops::Range;

/// Commands to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commands {
    /// Commands, each with the arguments that must come first.
    entries: Vec<Vec<Box<str>>>,
    /// Folders that redirections may write to.
    redirect: Option<Folders>,
    /// Variables that may be assigned.
    variables: Vec<Box<str>>,
}

/// Maximum bytes of a line. Linux takes no argument longer than half of it (MAX_ARG_STRLEN).
const MAX_BYTES: usize = 256 << 10;

/// Work steps for comparing a command with an entry.
const COMPARED: usize = 4;

/// Maximum nesting of lines in lines (`sh -c "sh -c '…'"`).
const MAX_DEPTH: u8 = 3;

/// Maximum number of commands that run one another (`env timeout 5 nice …`).
const MAX_WRAPPERS: usize = 8;

/// Folders in which a command of a listed name may be.
const FOLDERS: [&str; 5] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin"];

/// Harmless variables: programs neither run nor load anything because of them.
const HARMLESS: [&str; 17] = [
    "CI",
    "CLICOLOR",
    "COLUMNS",
    "DEBIAN_FRONTEND",
    "FORCE_COLOR",
    "LANG",
    "LANGUAGE",
    "LINES",
    "NODE_ENV",
    "NO_COLOR",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONIOENCODING",
    "PYTHONUNBUFFERED",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "TERM",
    "TZ",
];

/// Files that don't store what is written to them.
const SINKS: [&str; 4] = ["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"];

impl Commands {
    /// Parses the entries of a list.
    pub(crate) fn parse(entries: &[Box<str>]) -> Result<Commands, OperandError> {
        let mut commands = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let words: Vec<Box<str>> = entry.split_whitespace().map(Box::from).collect();
            let is_plain = |word: &str| {
                word == "["
                    || !word.contains([
                        '\'', '"', '`', '$', '\\', '*', '?', '[', '{', '~', ';', '&', '|', '<',
                        '>', '(', ')', '#',
                    ])
            };
            let fits = words.first().is_some_and(|command| {
                (!command.contains('/') || command.starts_with('/')) && !command.contains('=')
            });
            if !fits || !words.iter().all(|word| is_plain(word)) {
                return Err(OperandError::new(
                    at,
                    format!("`{entry}` is no command that could be compared with"),
                    "write a name (`git`), an absolute path (`/opt/bin/scan`), or a name and its first arguments (`git status`)",
                ));
            }
            commands.push(words);
        }
        Ok(Commands {
            entries: commands,
            redirect: None,
            variables: Vec::new(),
        })
    }

    /// Adds folders that redirections may write to, and variables that may be assigned.
    pub(crate) fn allowing(self, redirect: Option<Folders>, variables: Vec<Box<str>>) -> Commands {
        Commands {
            redirect,
            variables,
            ..self
        }
    }

    /// Parses the names of variables.
    pub(crate) fn variables(entries: &[Box<str>]) -> Result<Vec<Box<str>>, OperandError> {
        for (at, entry) in entries.iter().enumerate() {
            if assignment(&format!("{entry}=")) != Some((&**entry, "")) {
                return Err(OperandError::new(
                    at,
                    format!("`{entry}` is no name of a variable"),
                    "write for example `TARGET`",
                ));
            }
        }
        Ok(entries.to_vec())
    }

    fn may_assign(&self, name: &str, value: &str) -> bool {
        // No program uses a variable of one letter.
        let is_letter = name.len() == 1 && name != "_";
        // debconf evaluates `DEBIAN_FRONTEND` as Perl.
        let is_plain = |c: char| c.is_alphanumeric() || "_-.,:/@=+".contains(c);
        let is_harmless = name.starts_with("LC_") || HARMLESS.contains(&name);
        is_letter
            || is_harmless && value.chars().all(is_plain)
            || self.variables.iter().any(|variable| **variable == *name)
    }

    /// Returns whether a redirection may write to a file. `moved`: the working directory is unknown.
    fn may_write(&self, file: &Word, moved: bool) -> bool {
        if file.is_pattern || (moved && !file.text.starts_with('/')) {
            return false;
        }
        let mut is_within = self.redirect.is_some();
        if let Some(folders) = &self.redirect {
            folders.evaluate(&file.text, &mut |result| {
                is_within &= result == TestResult::Holds;
            });
        }
        is_within || SINKS.contains(&&*file.text)
    }

    /// Evaluates a shell line.
    pub(crate) fn evaluate_line(&self, line: &str) -> TestResult {
        self.line(line, Place::default())
    }

    fn line(&self, line: &str, mut place: Place) -> TestResult {
        if place.depth > MAX_DEPTH || line.len() > MAX_BYTES {
            return TestResult::Unreadable;
        }
        let Some(simple) = simple_commands(line) else {
            return TestResult::Unreadable;
        };
        place.moved |= simple.iter().any(|command| self.moves(&command.words));
        let mut results = Vec::with_capacity(simple.len());
        for command in &simple {
            let mut assigned = command.assigned.iter();
            let mut loops = command.loops.iter();
            let mut writes = command.writes.iter();
            let is_plain = assigned.all(|(name, value)| self.may_assign(name, value))
                && loops.all(|name| !is_asked_for(name) || self.may_assign(name, ""))
                && writes.all(|file| self.may_write(file, place.moved));
            if !is_plain {
                return TestResult::Unreadable;
            }
            if !command.words.is_empty() {
                results.push(self.command(&command.words, place));
            }
        }
        together(&results)
    }

    /// Returns whether a command changes to a folder outside of those that may be written.
    fn moves(&self, words: &[Word]) -> bool {
        let mut words = words
            .iter()
            .skip_while(|word| matches!(&*word.text, "builtin" | "command"));
        let first = words.next().map(|word| base_name(&word.text));
        if !matches!(first, Some("cd" | "chdir" | "popd" | "pushd")) {
            return false;
        }
        let stays = |folder: &Word| !folder.text.starts_with('-') && self.may_write(folder, false);
        let mut folders = words.peekable();
        folders.peek().is_none() || !folders.all(stays)
    }

    /// Evaluates the words of one command without a shell.
    pub(crate) fn evaluate_argv(&self, argv: &[&str]) -> TestResult {
        if argv.iter().any(|word| word.contains('\0')) {
            return TestResult::Unreadable;
        }
        let words: Vec<Word> = argv.iter().map(|word| Word::literal(word)).collect();
        self.command(&words, Place::default())
    }

    /// Evaluates one command, and those that it runs.
    fn command(&self, words: &[Word], mut place: Place) -> TestResult {
        let mut results = Vec::new();
        let mut words = Cow::Borrowed(words);
        if work::is_exhausted() {
            return TestResult::Unreadable;
        }
        // `xargs` adds words from its input.
        let mut grows = false;
        while let Some(first) = words.first() {
            if first.is_pattern || results.len() > MAX_WRAPPERS {
                return TestResult::Unreadable;
            }
            results.push(self.is_listed(&words).into());
            match run_by(&words, grows, self) {
                RunsInside::Nothing => break,
                RunsInside::Unknown => return TestResult::Unreadable,
                RunsInside::Line(at) => {
                    let line = words.get(at).map_or("", |word| &word.text);
                    place.depth = place.depth.saturating_add(1);
                    results.push(self.line(line, place));
                    break;
                }
                RunsInside::Command { at, mark } => {
                    grows |= base_name(&first.text) == "xargs";
                    let inner = words.get(at..).unwrap_or_default();
                    let inner = inner.iter().map(|word| word.replaced(&mark));
                    words = Cow::Owned(inner.collect());
                }
                RunsInside::Several(all) => {
                    // `-execdir` runs in the folder of the file.
                    place.moved = true;
                    for range in all {
                        let inner = words.get(range).unwrap_or_default();
                        // Nested searches could go on without end.
                        let searches = inner.iter().any(|word| base_name(&word.text) == "find");
                        if inner.is_empty() || searches {
                            return TestResult::Unreadable;
                        }
                        let inner: Vec<Word> =
                            inner.iter().map(|word| word.replaced("{}")).collect();
                        results.push(self.command(&inner, place));
                    }
                    break;
                }
            }
        }
        together(&results)
    }

    fn is_listed(&self, words: &[Word]) -> bool {
        let Some((command, arguments)) = words.split_first() else {
            return false;
        };
        work::spend(self.entries.len().saturating_mul(COMPARED));
        self.entries.iter().any(|entry| {
            let Some((name, first)) = entry.split_first() else {
                return false;
            };
            let is_named = **name == *command.text
                || command
                    .text
                    .rsplit_once('/')
                    .is_some_and(|(folder, base)| FOLDERS.contains(&folder) && **name == *base);
            is_named
                && first.len() <= arguments.len()
                && first
                    .iter()
                    .zip(arguments)
                    .all(|(expected, word)| !word.is_pattern && **expected == *word.text)
        })
    }
}

/// Joins the results of several commands: all must match and be readable.
fn together(results: &[TestResult]) -> TestResult {
    if results.contains(&TestResult::Unreadable) {
        return TestResult::Unreadable;
    }
    let all = !results.is_empty() && results.iter().all(|result| *result == TestResult::Holds);
    all.into()
}

/// Context in which a line is run.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Number of lines around it.
    depth: u8,
    /// Whether the working directory is unknown.
    moved: bool,
}

/// Further commands that a command runs.
enum RunsInside {
    Nothing,
    /// Command that begins at this word. In it, a mark stands for unknown text (`xargs -I`).
    Command {
        at: usize,
        mark: String,
    },
    /// Line in this word.
    Line(usize),
    /// Several commands, each in this range of words.
    Several(Vec<Range<usize>>),
    /// Unknown.
    Unknown,
}

/// Command that runs another one after its own options.
struct Wrapper {
    name: &'static str,
    /// Options without a value.
    flags: &'static str,
    /// Options with a value.
    values: &'static str,
    /// Number of words before the command that are not options.
    operands: usize,
    /// Whether assignments may precede the command.
    assigns: bool,
}

const fn wrapper(name: &'static str, flags: &'static str, values: &'static str) -> Wrapper {
    Wrapper {
        name,
        flags,
        values,
        operands: 0,
        assigns: false,
    }
}

/// From the manuals of GNU coreutils, findutils, util-linux, bash, sudo and doas.
const WRAPPERS: [Wrapper; 16] = [
    wrapper("builtin", "", ""),
    wrapper("busybox", "", ""),
    wrapper("command", "p", ""),
    Wrapper {
        assigns: true,
        ..wrapper("doas", "n", "uC")
    },
    Wrapper {
        assigns: true,
        ..wrapper("env", "i0v", "u")
    },
    wrapper("exec", "cl", "a"),
    wrapper("ionice", "t", "cn"),
    wrapper("nice", "0123456789", "n"),
    wrapper("nohup", "", ""),
    wrapper("setsid", "cfw", ""),
    wrapper("stdbuf", "", "ioe"),
    Wrapper {
        assigns: true,
        ..wrapper("sudo", "AbEHknPS", "CghpRrTtu")
    },
    wrapper("time", "apqv", "fo"),
    Wrapper {
        operands: 1,
        ..wrapper("timeout", "fpv", "ks")
    },
    wrapper("toybox", "", ""),
    wrapper("xargs", "0oprtx", "adEILnPs"),
];

/// Long options of wrappers without a value, and those with an attached value (`--signal=KILL`). All others, and
/// abbreviations, could run a text (`env --split-string=…`), replace words (`xargs --replace=…`) or change the folder
/// (`--chdir`).
const LONG_FLAGS: [&str; 8] = [
    "--foreground",
    "--ignore-environment",
    "--no-run-if-empty",
    "--null",
    "--open-tty",
    "--preserve-status",
    "--verbose",
    "--wait",
];
const LONG_VALUES: [&str; 15] = [
    "--adjustment",
    "--arg-file",
    "--class",
    "--classdata",
    "--delimiter",
    "--error",
    "--group",
    "--input",
    "--kill-after",
    "--max-args",
    "--max-procs",
    "--output",
    "--signal",
    "--unset",
    "--user",
];

/// Commands that run a text or change the meaning of a name; and fish and csh, whose lines are not supported.
const RUN_TEXT: [&str; 20] = [
    ".",
    "alias",
    "bind",
    "compgen",
    "csh",
    "emulate",
    "enable",
    "eval",
    "fc",
    "fish",
    "hash",
    "let",
    "mapfile",
    "parallel",
    "readarray",
    "source",
    "su",
    "tcsh",
    "trap",
    "watch",
];

const SHELLS: [&str; 7] = ["ash", "bash", "dash", "ksh", "mksh", "sh", "zsh"];

fn base_name(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

/// Returns what a command runs. `grows`: more words may be added after these.
fn run_by(words: &[Word], grows: bool, commands: &Commands) -> RunsInside {
    let Some((first, arguments)) = words.split_first() else {
        return RunsInside::Nothing;
    };
    let name = base_name(&first.text);
    if RUN_TEXT.contains(&name) {
        return RunsInside::Unknown;
    }
    if SHELLS.contains(&name) {
        return run_by_shell(arguments);
    }
    match name {
        "find" if grows => RunsInside::Unknown,
        "find" => run_by_find(words),
        "git" => run_by_git(arguments, grows),
        _ if changes_variables(name, arguments, commands) => RunsInside::Unknown,
        _ => match WRAPPERS.iter().find(|wrapper| wrapper.name == name) {
            Some(wrapper) => match wrapper.runs(words, commands) {
                RunsInside::Nothing => unknown_if(grows),
                other => other,
            },
            None => RunsInside::Nothing,
        },
    }
}

/// Returns whether a shell command sets a variable that is not allowed, or evaluates an unknown argument. Shells take
/// subscripts, and some of them numbers, for arithmetic, which runs commands (`read 'a[$(x)]'`; mksh's `[ "$x" -eq 1 ]`).
fn changes_variables(name: &str, arguments: &[Word], commands: &Commands) -> bool {
    let may_be_option = || arguments.iter().any(Word::may_be_option);
    let has_option = |option: &str| {
        let mut texts = arguments.iter().map(|word| &word.text);
        texts.any(|text| text.starts_with(option))
    };
    let is_number = |word: &Word| word.text.bytes().all(|b| b.is_ascii_digit());
    match name {
        "declare" | "export" | "local" | "readonly" | "typeset" | "getopts" | "read" | "unset" => {
            let declares = !matches!(name, "getopts" | "read" | "unset");
            arguments.iter().any(|word| {
                let text = &*word.text;
                // `-n` names another variable, `-i` evaluates, `-T` ties two.
                let is_unknown_option = declares
                    && text.starts_with(['-', '+'])
                    && !text.bytes().skip(1).all(|b| b"gprx".contains(&b));
                let sets = match assignment(text) {
                    Some((name, value)) => !commands.may_assign(name, value),
                    None => is_asked_for(text) && !commands.may_assign(text, ""),
                };
                let evaluates = text.contains('[') || text.contains("$(") || text.contains('`');
                word.is_pattern || is_unknown_option || sets || evaluates
            })
        }
        "printf" => {
            let first = arguments.first();
            first.is_some_and(|word| word.may_be_option() || word.text.starts_with("-v"))
        }
        "wait" => may_be_option() || has_option("-p"),
        "set" => may_be_option() || has_option("-A") || has_option("+A"),
        "shift" => !arguments.iter().all(is_number),
        "ulimit" => {
            let is_plain = |word: &Word| {
                is_number(word) || word.text.starts_with('-') || word.text == "unlimited"
            };
            may_be_option() || !arguments.iter().all(is_plain)
        }
        "[" | "test" => {
            let neighbours = |at: usize| {
                let next = arguments.get(at.saturating_add(1));
                (at.checked_sub(1).and_then(|at| arguments.get(at)), next)
            };
            arguments.iter().enumerate().any(|(at, word)| {
                let (before, next) = neighbours(at);
                match &*word.text {
                    "-v" | "-R" => true,
                    "-eq" | "-ne" | "-gt" | "-ge" | "-lt" | "-le" => {
                        ![before, next].into_iter().flatten().all(is_number)
                    }
                    _ if word.splits => true,
                    // `"$x"` is an operator only if an operand follows it.
                    _ => {
                        let is_operand = next.is_none_or(|next| {
                            matches!(
                                &*next.text,
                                "]" | "="
                                    | "=="
                                    | "!="
                                    | "<"
                                    | ">"
                                    | "-nt"
                                    | "-ot"
                                    | "-ef"
                                    | "-a"
                                    | "-o"
                            )
                        });
                        word.may_be_option() && !is_operand && !is_number(word)
                    }
                }
            })
        }
        _ => false,
    }
}

/// Returns whether programs or shells may read a variable of this name. By custom such names have capitals; zsh's `path` is
/// `PATH`.
fn is_asked_for(text: &str) -> bool {
    let is_name = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let has_capital = text.contains(|c: char| c.is_ascii_uppercase());
    is_name && (has_capital || text.ends_with("path") || text.ends_with("_proxy"))
}

/// Returns what git runs. Options of git itself can name commands; those of its subcommands can't be distinguished here.
fn run_by_git(arguments: &[Word], grows: bool) -> RunsInside {
    let mut arguments = arguments.iter();
    while let Some(word) = arguments.next() {
        let text = &*word.text;
        let sets = ["-c", "--config-env", "--exec-path", "--git-dir"];
        if word.may_be_option() || sets.iter().any(|option| text.starts_with(option)) {
            return RunsInside::Unknown;
        }
        match text {
            "-C" | "--attr-source" | "--namespace" | "--super-prefix" | "--work-tree" => {
                if arguments.next().is_none_or(|value| value.splits) {
                    return RunsInside::Unknown;
                }
            }
            _ if text.starts_with('-') => {}
            _ => return RunsInside::Nothing,
        }
    }
    unknown_if(grows)
}

fn unknown_if(is_unknown: bool) -> RunsInside {
    if is_unknown {
        RunsInside::Unknown
    } else {
        RunsInside::Nothing
    }
}

/// Returns what a shell runs: a given script, or a given line after `-c`. Without either it runs its input, which may be
/// anything.
fn run_by_shell(arguments: &[Word]) -> RunsInside {
    let count = arguments
        .iter()
        .take_while(|word| word.text.starts_with(['-', '+']))
        .count();
    let mut runs_line = false;
    for option in arguments.iter().take(count) {
        let letters = option.text.strip_prefix('-').unwrap_or(&option.text);
        // Login shell, stop at errors, trace: these options don't change what is read here.
        let is_plain = !letters.is_empty() && letters.bytes().all(|b| b"celuvx".contains(&b));
        if !is_plain {
            return RunsInside::Unknown;
        }
        runs_line |= letters.contains('c');
    }
    let is_file =
        |operand: &Word| !operand.text.starts_with("/dev/") && !operand.text.starts_with("/proc/");
    match arguments.get(count) {
        Some(operand) if operand.is_pattern => RunsInside::Unknown,
        // `arguments` leaves out the shell's name, which is the first word.
        Some(_) if runs_line => RunsInside::Line(count.saturating_add(1)),
        Some(operand) if is_file(operand) => RunsInside::Nothing,
        _ => RunsInside::Unknown,
    }
}

/// Returns the commands between `-exec` and `;` or `{} +`.
fn run_by_find(words: &[Word]) -> RunsInside {
    let mut all = Vec::new();
    let mut begun = None;
    let mut before = "";
    for (at, word) in words.iter().enumerate() {
        let text = &*word.text;
        // No option has these characters: whatever `*.py` expands to, it is not an option.
        let is_file = !word.splits && !text.contains(['[', '{']) && text.contains(['.', '/']);
        if word.may_be_option() && !is_file {
            return RunsInside::Unknown;
        }
        match begun {
            None if matches!(text, "-exec" | "-execdir" | "-ok" | "-okdir") => {
                begun = Some(at.saturating_add(1));
            }
            Some(start) if text == ";" || (text == "+" && before == "{}") => {
                all.push(start..at);
                begun = None;
            }
            _ => {}
        }
        before = text;
    }
    match begun {
        Some(_) => RunsInside::Unknown,
        None if all.is_empty() => RunsInside::Nothing,
        None => RunsInside::Several(all),
    }
}

impl Wrapper {
    fn runs(&self, words: &[Word], commands: &Commands) -> RunsInside {
        let mut at = 1usize;
        let mut operands = self.operands;
        let mut options_end = false;
        let mut mark = String::new();
        while let Some(word) = words.get(at) {
            // A glob may expand to any number of words, one of which may be the command.
            if word.is_pattern {
                return RunsInside::Unknown;
            }
            let text = &*word.text;
            if !options_end && text.starts_with('-') && text.len() > 1 {
                if text == "--" {
                    options_end = true;
                } else if self.name == "command" && matches!(text, "-v" | "-V") {
                    // It only prints what the command would be.
                    return RunsInside::Nothing;
                } else if text.starts_with("--") {
                    let is_known = match text.split_once('=') {
                        Some((option, _)) => LONG_VALUES.contains(&option),
                        None => LONG_FLAGS.contains(&text),
                    };
                    if !is_known {
                        return RunsInside::Unknown;
                    }
                } else {
                    if let Some((_, attached)) =
                        text.split_once('I').filter(|_| self.name == "xargs")
                    {
                        let next = words.get(at.saturating_add(1));
                        mark = match (attached, next) {
                            ("", Some(next)) => next.text.clone(),
                            _ => attached.to_owned(),
                        };
                        // The mark could be a part of a command's name.
                        if mark.is_empty() || mark.contains(char::is_alphanumeric) {
                            return RunsInside::Unknown;
                        }
                    }
                    match self.takes_next(text) {
                        Some(true) => at = at.saturating_add(1),
                        Some(false) => {}
                        None => return RunsInside::Unknown,
                    }
                }
            } else if text == "-" && self.name == "env" {
                // An empty environment.
            } else if let Some((name, value)) = assignment(text).filter(|_| self.assigns) {
                if !commands.may_assign(name, value) {
                    return RunsInside::Unknown;
                }
            } else if operands > 0 {
                operands = operands.saturating_sub(1);
            } else {
                return RunsInside::Command { at, mark };
            }
            at = at.saturating_add(1);
        }
        RunsInside::Nothing
    }

    /// Returns whether a cluster of short options (`-n5`, `-rn 5`) takes the next word as its value; `None` for an unknown
    /// option.
    fn takes_next(&self, cluster: &str) -> Option<bool> {
        let mut letters = cluster.chars().skip(1);
        while let Some(letter) = letters.next() {
            if self.values.contains(letter) {
                return Some(letters.next().is_none());
            }
            if !self.flags.contains(letter) {
                return None;
            }
        }
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: [&str; 16] = [
        "ls",
        "cat",
        "grep",
        "git status",
        "env",
        "xargs",
        "find",
        "timeout",
        "sh",
        "export",
        "read",
        "/opt/tools/scan",
        "npm run test",
        "[",
        "time",
        "cd",
    ];

    fn commands() -> Commands {
        let list: Vec<Box<str>> = LIST.iter().map(|entry| (*entry).into()).collect();
        let folders = Folders::parse(&["/tmp/out".into(), "out".into()], false).unwrap();
        Commands::parse(&list)
            .unwrap()
            .allowing(Some(folders), vec!["TARGET".into()])
    }

    fn all(expected: TestResult, samples: &[(&str, &str)]) {
        for (line, why) in samples {
            assert_eq!(commands().evaluate_line(line), expected, "{line:?}: {why}");
        }
    }

    #[test]
    fn a_line_of_listed_commands_holds() {
        all(
            TestResult::Holds,
            &[
                ("ls", "alone"),
                ("ls -la /tmp", "with arguments"),
                ("/usr/bin/ls", "in a usual folder"),
                ("/opt/tools/scan x", "by its path"),
                ("ls && cat x || grep y z; ls | cat &", "several"),
                ("ls\ncat x\n\n", "line by line"),
                ("(ls; cat x)", "subshell"),
                ("{ ls; }", "group"),
                ("! ls", "negated"),
                ("if ls; then cat x; else grep y z; fi", "condition"),
                ("while ls; do cat x; done", "loop"),
                ("for x in a b c; do ls; done", "loop over words"),
                ("for x\ndo ls; done", "loop over arguments"),
                ("X=1 ls", "a variable that no program asks for"),
                ("X=1; ls", "on its own"),
                (
                    "LANG=C LC_ALL=C TZ=UTC ls",
                    "variables by which nothing runs",
                ),
                (
                    "ls 2>&1 < in >&2 2>&- 3<&0",
                    "redirections that write no file",
                ),
                ("ls > /dev/null 2>/dev/stderr", "to what keeps nothing"),
                (">/dev/null ls", "in front"),
                ("ls &> /dev/null", "bash's form"),
                (
                    "ls > /tmp/out/x 2>> '/tmp/out/y'",
                    "into a folder that is named",
                ),
                (
                    "TARGET=x ls; export TARGET; read TARGET",
                    "a variable that is named",
                ),
                (
                    "[ A = B ]; read -r line",
                    "no variable that a program asks for",
                ),
                ("ls *.txt {a,b}", "globs among the arguments"),
                ("l's' \"-l\"a \\-x", "quotes say the same"),
                ("l\\\ns", "a continued line"),
                ("ls # ; rm -rf /", "a comment"),
                ("ls a#b", "no comment inside a word"),
                ("grep '$(rm)' x", "a substitution that single quotes keep"),
                ("grep \"\\$HOME\" x", "an escaped one"),
                ("grep foo$ x", "a dollar sign alone"),
                ("cat <<'EOF'\nrm $(x)\nEOF\n", "a quoted here-document"),
                (
                    "cat <<EOF | grep x\nrm -rf /\nEOF\nls",
                    "lines of a here-document run nothing",
                ),
                ("cat <<-E\n\tx\n\tE\n", "indented"),
                ("cat <<< word", "here-string"),
                (
                    "git status --short",
                    "with the arguments that must come first",
                ),
                ("npm run test -- --watch", "several of them"),
                ("env X=1 ls", "a wrapper and what it runs"),
                ("env -i -u Y ls", "with options"),
                ("find . -name x | xargs -n 1 -0 cat", "xargs"),
                ("find . -exec cat {} \\; -exec ls {} +", "find"),
                ("timeout -k 5 10s ls", "an operand before the command"),
                ("timeout --signal=KILL 5 env ls", "wrappers in wrappers"),
                ("sh script.sh", "a script"),
                ("sh -c 'ls && cat x'", "a line in a line"),
                (
                    "sh -lec \"ls; sh -c 'cat x'\"",
                    "a line in a line in a line",
                ),
                ("export X=1", "a variable that no program asks for"),
                ("[ -f x ] && ls", "the command `[`"),
                (
                    "find . | xargs -I {} cat {}",
                    "a replacement that is no name",
                ),
                ("find . | xargs git status", "arguments that come last"),
                (
                    "ls $HOME \"$x\" ${x} $? $1 \"$@\"",
                    "values among the arguments",
                ),
                ("ls ${IFS}x", "a field separator splits arguments only"),
                ("ls \"$(cat x)\" $(ls)", "what listed commands give"),
                (
                    "ls \"$(cat <<'EOF'\nit's (a) `b`\nEOF\n)\"",
                    "a text of several lines",
                ),
                ("sh -c 'ls $x'", "a value in a line in a line"),
                (
                    "for file in *.ts; do cat \"$file\"; done",
                    "a loop over files",
                ),
                (
                    "[ -f \"$x\" ] && [ \"$x\" = y ]; [ $? -eq 0 ]",
                    "values that are tested",
                ),
                ("find . -name *.py", "a glob that is no option of `find`"),
                ("find . | xargs -I{} cat {}", "an attached replacement"),
                ("cat <<< $x", "a here-string of a value"),
                (
                    "cat x > out/y; cd out && cat x > out/z",
                    "relative folders, none of them left",
                ),
            ],
        );
    }

    #[test]
    fn a_line_with_another_command_fails() {
        all(
            TestResult::Fails,
            &[
                ("", "no command"),
                ("  \n# x", "no command"),
                ("X=1", "no command"),
                ("> /dev/null", "no command"),
                ("rm -rf /", "another"),
                ("ls; rm x", "behind a semicolon"),
                ("ls && rm x", "behind a condition"),
                ("ls|rm", "behind a pipe"),
                ("ls&rm", "behind an ampersand"),
                ("ls\nrm x", "on the next line"),
                ("ls &>/dev/null rm", "to dash, `&` and then a redirection"),
                ("(ls; rm)", "in a subshell"),
                ("{ rm; }", "in a group"),
                ("if ls; then rm x; fi", "in a condition"),
                ("for x in a; do rm x; done", "in a loop"),
                ("for x do rm; done", "in a loop without words"),
                ("r''m x", "quotes inside"),
                ("'rm' x", "quotes around"),
                ("r\\m x", "escape"),
                ("r\\\nm x", "continued line"),
                ("X=1 rm", "behind an assignment"),
                ("2>&1 rm", "behind a redirection"),
                ("</x if ls", "no reserved word behind a redirection"),
                ("LS", "names have case"),
                ("./ls", "a path"),
                ("/tmp/ls", "in another folder"),
                ("/usr/bin/../../tmp/ls", "in another folder by dots"),
                ("bin/ls", "a relative path"),
                ("~/ls", "in someone's folder"),
                ("''", "an empty name"),
                ("git push", "another first argument"),
                ("git", "no argument"),
                ("git stat?s", "a glob is not that argument"),
                ("env rm x", "what a wrapper runs"),
                ("env X=1 timeout 5 rm x", "what a wrapper's wrapper runs"),
                ("find . | xargs rm", "what xargs runs"),
                ("xargs -n1 rm", "an attached value"),
                ("find . -exec rm {} \\;", "what find runs"),
                ("find . -exec ls {} + -execdir rm {} +", "the second"),
                ("nohup ls", "the wrapper itself is not listed"),
                ("time -p rm", "what a reserved word of bash runs"),
                ("time { rm; }", "a group behind it"),
                ("busybox ls", "nor is this one"),
                ("sh -c 'ls; rm x'", "another in a line in a line"),
                ("sh -c ls -l; bash -c ls", "a shell that is not listed"),
                ("ls\r\nrm", "a carriage return is part of a name"),
                ("ls\u{A0}-l", "other spaces are too"),
                ("cat <<'E'\nE\nrm x", "behind a here-document"),
                ("ls $(rm x)", "in a substitution"),
                ("ls \"$(rm x)\"", "in one in double quotes"),
                ("ls \"$(ls \"$(rm)\")\" x", "in one in another"),
                ("X=$(rm)", "in one that is assigned"),
            ],
        );
    }

    #[test]
    fn what_only_a_shell_could_tell_is_unreadable() {
        all(
            TestResult::Unreadable,
            &[
                ("ls `rm x`", "backticks"),
                ("$x", "a command out of a variable"),
                ("${x:-rm}", "with a default"),
                ("$'\\x72m' x", "escapes of bash"),
                ("$\"x\"", "translated text"),
                ("ls $((1+1))", "arithmetic"),
                ("((x=1))", "arithmetic command"),
                ("cat <(rm x)", "process substitution"),
                ("ls >(rm x)", "process substitution"),
                ("l?", "glob"),
                ("/bin/[lr]s", "glob"),
                ("{rm,-rf,/}", "brace expansion"),
                ("cat <<EOF\n$(rm x)\nEOF", "a here-document that expands"),
                ("cat <<EOF\nnever ends", "a here-document without end"),
                ("cat <<EOF", "a here-document without lines"),
                ("ls 'x", "open quote"),
                ("ls \"x", "open quote"),
                ("ls \\", "escape of nothing"),
                ("(ls", "open subshell"),
                ("ls)", "a bracket too many"),
                ("ls >", "a redirection to nothing"),
                ("ls; f() { rm; }", "function"),
                ("function f { rm; }", "function"),
                ("x=(a b) ls", "array"),
                ("case x in x) rm;; esac", "case"),
                ("[[ -v a[$(rm)] ]]", "bash's own test"),
                ("for x y; do ls; done", "a loop that is none"),
                ("ls \0", "NUL"),
                ("ls > file", "a file is written"),
                ("> file", "without a command"),
                ("ls >> /etc/cron.d/x", "appended"),
                ("ls >| x", "in any case"),
                ("ls &> x", "bash's form"),
                ("ls >& x", "the old one"),
                ("ls <> x", "for both"),
                ("ls > ~/.bashrc", "a startup file"),
                ("ls > /tmp/out/../x", "above the folder that is named"),
                ("ls > /tmp/out*", "a glob"),
                ("ls > {a,b}", "braces"),
                ("cat < /dev/tcp/evil.com/80", "the network"),
                ("sh -c 'ls > x'", "in a line in a line"),
                ("(ls) > x", "of a subshell"),
                ("EDITOR=rm git status", "what an editor is"),
                ("PAGER=x MANPAGER=y ls", "what shows pages"),
                ("LESSOPEN='|rm %s' ls", "what opens files"),
                ("NODE_OPTIONS=--require=x ls", "options of an interpreter"),
                ("ANYTHING=x ls", "a variable that nobody named"),
                ("http_proxy=evil ls", "in small letters"),
                ("for PATH in /tmp; do ls; done", "a loop assigns as well"),
                ("env EDITOR=rm git status", "by a wrapper"),
                ("export EDITOR", "from what stands before"),
                ("read EDITOR", "from the input"),
                ("printf -v EDITOR rm; printf -vPAGER rm", "by a text"),
                ("PATH=/tmp ls", "where commands are found"),
                ("PATH=/tmp; ls", "for all that follow"),
                ("LD_PRELOAD=x.so ls", "the loader"),
                ("GIT_SSH_COMMAND=rm git status", "git's helpers"),
                ("BASH_ENV=x ls", "startup file"),
                ("ENV=x ls", "startup file"),
                ("IFS=/ ls", "how words are split"),
                ("PATH+=:/tmp ls", "appended"),
                (
                    "PA\\TH=x ls; PATH=x",
                    "the first is a command, the second decides",
                ),
                ("env PATH=/tmp ls", "through a wrapper"),
                ("export PATH=/tmp; ls", "through a command"),
                ("export 'LD_PRELOAD=x'", "quoted"),
                ("env -S 'rm x'", "an option that runs a text"),
                ("env --split-string='rm x'", "the same in full"),
                ("env --unknown ls", "an option that is not known"),
                ("find . | xargs --replace=ls ls", "a replacement in full"),
                ("sh -c", "no line"),
                ("sh -c l*", "a line that is a glob"),
                ("timeout * ls", "a glob in front of what a wrapper runs"),
                ("sh -ic 'ls'", "startup files of an interactive shell"),
                (
                    r#"sh -c "sh -c \"sh -c 'sh -c ls'\"""#,
                    "too many lines in one another",
                ),
                ("echo rm | sh", "its input"),
                ("sh", "its input"),
                ("eval rm", "a text"),
                (". ./x", "a file in this shell"),
                ("git -c core.pager=rm status", "a command in an option"),
                ("find . -exec", "nothing to run"),
                ("find . -exec ls {}", "without an end"),
                (
                    "find . -exec env find . -exec ls {} \\; \\;",
                    "a search within a search",
                ),
                ("find . | xargs env", "a command out of the input"),
                ("find . | xargs find", "an `-exec` out of the input"),
                ("find . | xargs -I ls ls", "a replacement that is a name"),
                ("sh /dev/stdin", "its input"),
                ("ls \"$\\\n(rm x)\"", "a substitution on two lines"),
                (
                    "cat <<\\\n-E\nE\nrm x\n-E\n",
                    "a here-document on two lines",
                ),
                ("ls $((x))", "arithmetic"),
                ("ls $(\\\n(x))", "arithmetic on two lines"),
                ("ls $x[1]", "a subscript to zsh"),
                ("ls ${x:-$(rm)}", "a default"),
                ("ls \"${x@P}\"", "a prompt that runs commands"),
                ("ls ${ rm; }", "a substitution of ksh"),
                ("find . $=x", "a splitting of zsh"),
                ("{ ls } always { rm }", "groups of zsh"),
                ("ls >! /etc/x", "a redirection of zsh"),
                ("ls 1>&2-", "a file to zsh"),
                ("ls {PATH}>/dev/null", "a descriptor in a variable"),
                (
                    "ls \"$(cat <<'E'\nE)\"; rm x; : \"\nE\n)\"",
                    "a document that ends at a bracket",
                ),
                (
                    "cat <<E \"$(ls\n)\"\nE\nrm\nE",
                    "a document that began before",
                ),
                ("$x ls", "a command out of a value"),
                ("$(cat x)", "a command out of a substitution"),
                ("timeout $x ls", "a value in front of what a wrapper runs"),
                ("sh -c \"ls $x\"", "a value in a line"),
                ("sh -c '$0' rm", "a command out of an argument"),
                ("find . {-exec,rm,x,\\;}", "options out of braces"),
                ("find . *", "options out of names of files"),
                ("find . $x", "options out of a value"),
                (
                    "find . -exec ls \"$x\" -exec rm \\;",
                    "an end out of a value",
                ),
                (
                    "find . -exec sh -c 'cat {}' \\;",
                    "a name of a file in a line",
                ),
                ("xargs -I% sh -c 'cat %'", "an input in a line"),
                ("export {A,PATH}=/tmp", "a variable out of braces"),
                ("export \"$x\"", "a variable out of a value"),
                ("export -n X=PATH", "another name of a variable"),
                ("read path", "zsh's name of PATH"),
                ("read 'a[x]'", "a subscript"),
                ("[ x -eq 1 ]", "a number that mksh evaluates"),
                ("[ \"$x\" y ]", "an operator out of a value"),
                ("for fpath in x; do ls; done", "zsh's list of folders"),
                ("LANG='a b' ls", "an odd value"),
                ("export LANG=$x", "a value that is not known"),
                ("cd /etc; cat > out", "a relative folder elsewhere"),
                ("cd; cat > out", "at home"),
                ("fish -c ls", "a shell whose lines are not read"),
                ("env -C /etc sh -c 'cat > out'", "elsewhere by a wrapper"),
                (
                    "find /etc -execdir sh -c 'cat > out' \\;",
                    "elsewhere by a search",
                ),
                (
                    "test -v 'a[$(rm)]'; [ -v 'a[$(rm)]' ]",
                    "a subscript that bash evaluates",
                ),
            ],
        );
    }

    #[test]
    fn an_argv_is_not_read_by_a_shell() {
        for (argv, expected, why) in [
            (
                &["ls", "-l", "$(rm)", "; rm"][..],
                TestResult::Holds,
                "no shell expands it",
            ),
            (&["/bin/ls"][..], TestResult::Holds, "by path"),
            (
                &["git", "status"][..],
                TestResult::Holds,
                "with its first argument",
            ),
            (&["ls -l"][..], TestResult::Fails, "a name with a space"),
            (&["rm", "x"][..], TestResult::Fails, "another"),
            (&[][..], TestResult::Fails, "no command"),
            (&["X=1", "ls"][..], TestResult::Fails, "no shell assigns"),
            (&["env", "rm"][..], TestResult::Fails, "what a wrapper runs"),
            (&["sh", "-c", "ls | cat"][..], TestResult::Holds, "a line"),
            (
                &["sh", "-lc", "ls | rm"][..],
                TestResult::Fails,
                "a line with another",
            ),
            (
                &["env", "PATH=/tmp", "ls"][..],
                TestResult::Unreadable,
                "where commands are found",
            ),
            (&["ls", "\0"][..], TestResult::Unreadable, "NUL"),
        ] {
            assert_eq!(commands().evaluate_argv(argv), expected, "{argv:?}: {why}");
        }
    }

    #[test]
    fn an_entry_that_is_no_command_is_refused() {
        for entry in [" ", "ls; rm", "./x", "a/b", "ls *", "$x", "X=1 ls", "'ls'"] {
            let error = Commands::parse(&["ls".into(), entry.into()]).unwrap_err();
            assert_eq!(error.at, 1, "{entry}");
        }
    }

    #[test]
    fn long_lines_take_linear_time() {
        for part in [
            "ls;",
            "(",
            "ls ",
            "'",
            "\"",
            "\\",
            "<<a ",
            "<<a\n",
            "env ",
            "find -exec ",
            "a=",
            "\n",
            "#",
            "for x in ",
            "timeout 1 ",
            "{ ",
            "2>x ",
            "$(",
            "$(ls ",
            "\"$(",
            "\"$x\" ",
            "ls $(cat <<E\nx\nE\n) ",
            "cd out;",
            "xargs -I% ",
        ] {
            let _ = commands().evaluate_line(&part.repeat(100_000 / part.len()));
        }
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd(line in "[ls rm$'\"\\\\`(){};&|<>\n#=*!a-c ]{0,40}") {
            let _ = commands().evaluate_line(&line);
        }

        #[test]
        fn whatever_stands_around_another_command_does_not_hide_it(
            before in prop::sample::select(vec!["", "ls;", "ls && ", "ls | ", "( ", "{ ", "! ", "if ", "X=1 ", "env ", "ls\n", ">x ", "while "]),
            name in prop::sample::select(vec!["rm", "r''m", "'rm'", "\"rm\"", "r\\m", "/bin/rm", "\\rm", "r\\\nm"]),
            after in prop::sample::select(vec!["", " x", ";ls", "|cat", " # ls", " )", "; }", "\nls", " >y"]),
        ) {
            let line = format!("{before}{name}{after}");
            prop_assert_ne!(commands().evaluate_line(&line), TestResult::Holds, "{}", line);
        }
    }
}
