//! `command_in`: a line for a shell, or an argv, that runs nothing but these commands.
//!
//! An entry is a name (`git`), which also stands for that name in `/bin`, `/sbin`, `/usr/bin`, `/usr/sbin` and
//! `/usr/local/bin`; an absolute path (`/opt/tools/scan`); or a name with the arguments that must come first
//! (`git status`). The value holds if it has a command, each of its commands has an entry, and all could be read. Names
//! are compared as written.
//!
//! A command that runs another one (`env`, `xargs`, `timeout`, `sudo`, `find -exec`, `bash -lc '…'`) is listed together with
//! it. One that runs a text or a file in its own shell (`eval`, `.`) can't be read, whatever the list says.
//!
//! An assignment can't be read either (`EDITOR=rm git commit`, `PATH=/tmp ls`, `for PATH in /tmp`), unless nothing runs or
//! loads by the variable (`LANG`, `TZ`, `CI`, one letter) or the policy names it: any program may have such variables of its
//! own, so that no list of the dangerous ones is complete. Nor can a redirection that writes (`cat x > /etc/cron.d/x`), unless
//! it goes to a descriptor, to `/dev/null` or below a folder that the policy names.
//!
//! Not looked at: what a listed command does with its arguments (`awk`, `tar`, an editor and `git` can run others by them;
//! lint names those). Not read: the languages of cmd.exe and PowerShell.

use super::path::Folders;
use super::shell::{Word, assigned_name, simple_commands};
use super::{OperandError, TestResult};
use crate::wire::work;
use std::ops::Range;

/// Commands to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commands {
    /// Each a command and the arguments that must come first.
    entries: Vec<Vec<Box<str>>>,
    /// Where redirections may write.
    redirect: Option<Folders>,
    /// What may be assigned.
    variables: Vec<Box<str>>,
}

/// Longest line that is read; Linux takes no argument longer than half of it (MAX_ARG_STRLEN).
const MAX_BYTES: usize = 256 << 10;

/// Work steps for comparing a command with an entry.
const COMPARED: usize = 4;

/// How many lines may stand in one another (`sh -c "sh -c '…'"`).
const MAX_DEPTH: u8 = 3;

/// Where a command of a listed name may stand.
const FOLDERS: [&str; 5] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin"];

/// Variables by which programs say or show things, and neither run nor load any.
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

/// Files that keep nothing of what is written to them.
const SINKS: [&str; 4] = ["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"];

impl Commands {
    /// Reads the entries of a list.
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

    /// The same, with redirections into these folders, and assignments of these variables.
    pub(crate) fn allowing(self, redirect: Option<Folders>, variables: Vec<Box<str>>) -> Commands {
        Commands {
            redirect,
            variables,
            ..self
        }
    }

    /// Reads the names of variables.
    pub(crate) fn variables(entries: &[Box<str>]) -> Result<Vec<Box<str>>, OperandError> {
        for (at, entry) in entries.iter().enumerate() {
            if assigned_name(&format!("{entry}=")) != Some(&**entry) {
                return Err(OperandError::new(
                    at,
                    format!("`{entry}` is no name of a variable"),
                    "write for example `TARGET`",
                ));
            }
        }
        Ok(entries.to_vec())
    }

    fn may_assign(&self, name: &str) -> bool {
        // What is only a letter, no program asks for.
        let is_letter = name.len() == 1 && name != "_";
        is_letter
            || name.starts_with("LC_")
            || HARMLESS.contains(&name)
            || self.variables.iter().any(|variable| **variable == *name)
    }

    fn may_write(&self, file: &Word) -> bool {
        if file.is_pattern {
            return false;
        }
        let mut is_within = self.redirect.is_some();
        if let Some(folders) = &self.redirect {
            folders.evaluate(&file.text, &mut |verdict| {
                is_within &= verdict == TestResult::Holds;
            });
        }
        is_within || SINKS.contains(&&*file.text)
    }

    /// Evaluates a line for a shell.
    pub(crate) fn evaluate_line(&self, line: &str) -> TestResult {
        self.line(line, 0)
    }

    /// A line, so many lines deep.
    fn line(&self, line: &str, depth: u8) -> TestResult {
        if depth > MAX_DEPTH || line.len() > MAX_BYTES {
            return TestResult::Unreadable;
        }
        let Some(simple) = simple_commands(line) else {
            return TestResult::Unreadable;
        };
        let mut verdicts = Vec::with_capacity(simple.len());
        for command in &simple {
            let is_plain = command.assigned.iter().all(|name| self.may_assign(name))
                && command.writes.iter().all(|file| self.may_write(file));
            if !is_plain {
                return TestResult::Unreadable;
            }
            if !command.words.is_empty() {
                verdicts.push(self.command(&command.words, depth));
            }
        }
        together(&verdicts)
    }

    /// Evaluates the words of one command, which no shell reads.
    pub(crate) fn evaluate_argv(&self, argv: &[&str]) -> TestResult {
        if argv.iter().any(|word| word.contains('\0')) {
            return TestResult::Unreadable;
        }
        let words: Vec<Word> = argv.iter().map(|word| Word::literal(word)).collect();
        self.command(&words, 0)
    }

    /// One command, and those that it runs.
    fn command(&self, words: &[Word], depth: u8) -> TestResult {
        let mut verdicts = Vec::new();
        let mut rest = words;
        if work::is_exhausted() {
            return TestResult::Unreadable;
        }
        // `xargs` adds words from its input.
        let mut grows = false;
        while let Some(first) = rest.first() {
            if first.is_pattern {
                return TestResult::Unreadable;
            }
            verdicts.push(self.is_listed(rest).into());
            match run_by(rest, grows, self) {
                RunsInside::Nothing => break,
                RunsInside::Unknown => return TestResult::Unreadable,
                RunsInside::Line(at) => {
                    let line = rest.get(at).map_or("", |word| &word.text);
                    verdicts.push(self.line(line, depth.saturating_add(1)));
                    break;
                }
                RunsInside::Command(at) => {
                    grows |= base_name(&first.text) == "xargs";
                    rest = rest.get(at..).unwrap_or_default();
                }
                RunsInside::Several(all) => {
                    for range in all {
                        let inner = rest.get(range).unwrap_or_default();
                        // A search within a search could go on for ever.
                        let searches = inner.iter().any(|word| base_name(&word.text) == "find");
                        if inner.is_empty() || searches {
                            return TestResult::Unreadable;
                        }
                        verdicts.push(self.command(inner, depth));
                    }
                    break;
                }
            }
        }
        together(&verdicts)
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

/// Several commands: all must fit, and be readable.
fn together(verdicts: &[TestResult]) -> TestResult {
    if verdicts.contains(&TestResult::Unreadable) {
        return TestResult::Unreadable;
    }
    let all = !verdicts.is_empty() && verdicts.iter().all(|verdict| *verdict == TestResult::Holds);
    all.into()
}

/// What a command runs besides itself.
enum RunsInside {
    Nothing,
    /// The command that begins at this word.
    Command(usize),
    /// The line that is this word.
    Line(usize),
    /// Several, each made of these words.
    Several(Vec<Range<usize>>),
    /// It can't be told.
    Unknown,
}

/// A command that runs the one behind its own options.
struct Wrapper {
    name: &'static str,
    /// Options without a value.
    flags: &'static str,
    /// Options with one.
    values: &'static str,
    /// Words before the command that are not options.
    operands: usize,
    /// Assignments may stand before the command.
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

/// By the manuals of GNU coreutils, findutils, util-linux, bash, sudo and doas.
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
        ..wrapper("env", "i0v", "uC")
    },
    wrapper("exec", "cl", "a"),
    wrapper("ionice", "t", "cn"),
    wrapper("nice", "0123456789", "n"),
    wrapper("nohup", "", ""),
    wrapper("setsid", "cfw", ""),
    wrapper("stdbuf", "", "ioe"),
    Wrapper {
        assigns: true,
        ..wrapper("sudo", "AbEHknPS", "CDghpRrTtu")
    },
    wrapper("time", "apqv", "fo"),
    Wrapper {
        operands: 1,
        ..wrapper("timeout", "fpv", "ks")
    },
    wrapper("toybox", "", ""),
    wrapper("xargs", "0oprtx", "adEILnPs"),
];

/// Long options of wrappers that take no value, and those whose value is attached (`--signal=KILL`). All others, and
/// abbreviations, could run a text (`env --split-string=…`) or replace words (`xargs --replace=…`).
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
const LONG_VALUES: [&str; 16] = [
    "--adjustment",
    "--arg-file",
    "--chdir",
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

/// Commands that run a text, or change what a name means.
const RUN_TEXT: [&str; 13] = [
    ".", "alias", "bind", "enable", "eval", "fc", "hash", "let", "parallel", "source", "su",
    "trap", "watch",
];

const SHELLS: [&str; 8] = ["ash", "bash", "dash", "fish", "ksh", "mksh", "sh", "zsh"];

/// Commands of the shell that set variables by their arguments, or evaluate subscripts inside them.
const SET_VARIABLES: [&str; 14] = [
    "[",
    "declare",
    "export",
    "getopts",
    "local",
    "mapfile",
    "printf",
    "read",
    "readarray",
    "readonly",
    "test",
    "typeset",
    "unset",
    "wait",
];

fn base_name(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

/// What a command runs; `grows`: more words than these may be added behind them.
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
    if SET_VARIABLES.contains(&name) {
        let sets_some = match name {
            "[" | "test" => false,
            "printf" => arguments.iter().any(|word| word.text.starts_with("-v")),
            "wait" => arguments.iter().any(|word| word.text.starts_with("-p")),
            _ => true,
        };
        let is_unsafe = arguments.iter().any(|word| {
            let text = &*word.text;
            let attached = text.strip_prefix("-v").or_else(|| text.strip_prefix("-p"));
            let named = attached.unwrap_or(text);
            let sets = match assigned_name(text) {
                Some(name) => !commands.may_assign(name),
                // `read EDITOR`, `printf -v EDITOR`: variables that programs look at have capitals.
                None => {
                    let is_name = named
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'_');
                    is_name
                        && named.contains(|c: char| c.is_ascii_uppercase())
                        && !commands.may_assign(named)
                }
            };
            sets && sets_some || text.contains("$(") || text.contains('`')
        });
        return unknown_if(is_unsafe);
    }
    match name {
        "find" if grows => RunsInside::Unknown,
        "find" => run_by_find(words),
        "git" => {
            // Options of git itself can name commands to run; those of its subcommands can't be told apart here.
            let own = arguments
                .iter()
                .take_while(|word| word.text.starts_with('-'));
            let count = own.clone().count();
            let sets = own.into_iter().any(|word| {
                let text = &*word.text;
                let is_short = text.starts_with("-c");
                let long = ["--config-env", "--exec-path", "--git-dir"];
                is_short || long.iter().any(|option| text.starts_with(option))
            });
            unknown_if(sets || (grows && count == arguments.len()))
        }
        _ => match WRAPPERS.iter().find(|wrapper| wrapper.name == name) {
            Some(wrapper) => match wrapper.runs(words, commands) {
                RunsInside::Nothing => unknown_if(grows),
                other => other,
            },
            None => RunsInside::Nothing,
        },
    }
}

fn unknown_if(is_unknown: bool) -> RunsInside {
    if is_unknown {
        RunsInside::Unknown
    } else {
        RunsInside::Nothing
    }
}

/// A shell that is given a script runs that, one that is given a line with `-c` that line; one that is given neither runs
/// its input, which may be anything.
fn run_by_shell(arguments: &[Word]) -> RunsInside {
    let count = arguments
        .iter()
        .take_while(|word| word.text.starts_with(['-', '+']))
        .count();
    let mut runs_line = false;
    for option in arguments.iter().take(count) {
        let letters = option.text.strip_prefix('-').unwrap_or(&option.text);
        // To log in, to stop at errors, to say what is done: these change nothing of what is read here.
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
        // The first argument stands behind the shell's name.
        Some(_) if runs_line => RunsInside::Line(count.saturating_add(1)),
        Some(operand) if is_file(operand) => RunsInside::Nothing,
        _ => RunsInside::Unknown,
    }
}

/// The commands between `-exec` and `;` or `{} +`.
fn run_by_find(words: &[Word]) -> RunsInside {
    let mut all = Vec::new();
    let mut begun = None;
    let mut before = "";
    for (at, word) in words.iter().enumerate() {
        let text = &*word.text;
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
        while let Some(word) = words.get(at) {
            // A glob stands for any number of words, and so for any of them being the command.
            if word.is_pattern {
                return RunsInside::Unknown;
            }
            let text = &*word.text;
            if !options_end && text.starts_with('-') && text.len() > 1 {
                if text == "--" {
                    options_end = true;
                } else if self.name == "command" && matches!(text, "-v" | "-V") {
                    // It only says what the command would be.
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
                    if self.name == "xargs" && replaces_names(text, words.get(at.saturating_add(1)))
                    {
                        return RunsInside::Unknown;
                    }
                    match self.takes_next(text) {
                        Some(true) => at = at.saturating_add(1),
                        Some(false) => {}
                        None => return RunsInside::Unknown,
                    }
                }
            } else if text == "-" && self.name == "env" {
                // An empty environment.
            } else if let Some(name) = assigned_name(text).filter(|_| self.assigns) {
                if !commands.may_assign(name) {
                    return RunsInside::Unknown;
                }
            } else if operands > 0 {
                operands = operands.saturating_sub(1);
            } else {
                return RunsInside::Command(at);
            }
            at = at.saturating_add(1);
        }
        RunsInside::Nothing
    }

    /// Whether a cluster of short options (`-n5`, `-rn 5`) takes the next word as its value; `None`: an unknown one.
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

/// Whether `xargs -I` replaces what could be a command's name by a line of its input.
fn replaces_names(option: &str, next: Option<&Word>) -> bool {
    option.split_once('I').is_some_and(|(_, attached)| {
        let replaced = match (attached, next) {
            ("", Some(next)) => &next.text,
            _ => attached,
        };
        replaced.is_empty() || replaced.contains(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: [&str; 15] = [
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
    ];

    fn commands() -> Commands {
        let list: Vec<Box<str>> = LIST.iter().map(|entry| (*entry).into()).collect();
        let folders = Folders::parse(&["/tmp/out".into()], false).unwrap();
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
            ],
        );
    }

    #[test]
    fn what_only_a_shell_could_tell_is_unreadable() {
        all(
            TestResult::Unreadable,
            &[
                ("ls $(rm x)", "substitution"),
                ("ls `rm x`", "backticks"),
                ("ls \"$(rm x)\"", "in double quotes"),
                ("ls $HOME", "variable"),
                ("$x", "a command out of a variable"),
                ("${x:-rm}", "with a default"),
                ("ls ${IFS}x", "field separator"),
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
                ("ls > out", "a file is written"),
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
                ("sh -c 'ls $x'", "a line in a line that can't be read"),
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
