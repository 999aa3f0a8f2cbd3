//! Gaps of conditions: arguments of commands, second paths, negative numbers, and words with another meaning than they seem
//! to have.

use super::breadth::{each_check, values_of};
use super::{Findings, LintedPolicy, top};
use crate::diag::{Severity, codes};
use crate::policy::condition::{Check, Condition, Operand, Test};
use crate::policy::condition_tree::Leaf;
use crate::policy::document::Document;
use crate::policy::field::Field;
use crate::policy::node::{Node, NodeValue};
use crate::policy::operators::{Polarity, Verb};
use crate::policy::rule::Rule;
use crate::policy::words::Action;
use crate::wire::json::{Decimal, JsonPath, PathStep};
use std::collections::BTreeSet;

/// Commands that run other commands, or write or delete files, depending on their arguments, with those arguments.
const BY_ARGUMENTS: &[(&[&str], &str)] = &[
    (&["find"], "-exec, -delete, -fprintf"),
    (&["fd", "fdfind"], "-x, --exec"),
    (&["sed"], "-i, `w`, `e`"),
    (&["awk", "gawk", "mawk", "nawk"], "`system()`, pipes"),
    (&["tar", "bsdtar"], "--checkpoint-action, --to-command, -I"),
    (&["zip", "unzip", "7z"], "-TT, -d"),
    (&["git"], "-c, hooks, aliases, --upload-pack"),
    (&["hg", "svn"], "--config, hooks"),
    (&["sort"], "-o, --compress-program"),
    (&["rg"], "--pre"),
    (
        &[
            "xargs", "parallel", "env", "timeout", "nohup", "nice", "setsid", "watch", "sudo",
            "doas", "time", "stdbuf", "strace", "gdb", "script", "expect", "busybox", "toybox",
            "chroot", "unshare", "nsenter", "flock", "ltrace",
        ],
        "the command behind them",
    ),
    (
        &[
            "vi", "vim", "nvim", "view", "ex", "ed", "emacs", "nano", "less", "more", "most",
            "man", "info",
        ],
        "-c, +cmd, `!`",
    ),
    (
        &["ssh", "scp", "sftp", "rsync"],
        "-o ProxyCommand, -e, the remote command",
    ),
    (
        &[
            "make", "gmake", "cmake", "ninja", "bazel", "gradle", "mvn", "ant", "rake", "just",
            "task",
        ],
        "their build files, -f, --eval",
    ),
    (
        &[
            "python",
            "python2",
            "python3",
            "pypy",
            "node",
            "nodejs",
            "deno",
            "bun",
            "ruby",
            "perl",
            "php",
            "lua",
            "Rscript",
            "java",
            "tclsh",
            "osascript",
            "pwsh",
            "powershell",
            "dotnet",
        ],
        "-c, -e, any script",
    ),
    (
        &[
            "npm", "npx", "pnpm", "yarn", "pip", "pip3", "pipx", "uv", "uvx", "poetry", "gem",
            "bundle", "cargo", "go", "composer", "brew", "apt", "apt-get", "dnf", "yum", "apk",
        ],
        "scripts of packages",
    ),
    (
        &[
            "docker",
            "podman",
            "kubectl",
            "helm",
            "terraform",
            "ansible",
            "vagrant",
        ],
        "run, exec, -v",
    ),
    (&["sqlite3", "psql", "mysql", "mongosh"], ".shell, \\!"),
    (
        &["sh", "bash", "dash", "zsh", "ksh", "fish", "ash", "mksh"],
        "any script",
    ),
    (&["curl", "wget"], "-o, -O, any address"),
    (
        &[
            "tee", "dd", "cp", "mv", "ln", "install", "rm", "truncate", "patch", "split", "shred",
            "chmod", "chown",
        ],
        "any file",
    ),
    (
        &[
            "openssl",
            "gpg",
            "crontab",
            "at",
            "systemctl",
            "nmap",
            "tcpdump",
            "ip",
            "socat",
            "nc",
            "ncat",
        ],
        "-out, -exec, any address",
    ),
];

/// Names of an argument that is a destination.
const DESTINATIONS: &[&str] = &[
    "destination",
    "dest",
    "dst",
    "target",
    "to",
    "new_path",
    "newPath",
    "output",
    "output_path",
    "out",
];

/// Verbs in names of tools that take one path.
const ONE_PATH: &[&str] = &[
    "write", "read", "edit", "create", "delete", "remove", "list", "view", "open", "cat", "append",
    "mkdir", "rmdir", "stat", "search", "get", "grep", "glob", "replace", "patch", "find",
    "unlink", "touch", "ls", "rm", "info",
];

/// Calls `visit` with every check of a rule, and the side on which it is read.
fn each_side<'r>(rule: &'r Rule, visit: &mut dyn FnMut(&'r Test, &'r Check, Polarity)) {
    let side = match rule.action {
        Action::Allow => Polarity::Loosening,
        _ => Polarity::Restricting,
    };
    for (condition, side) in [(&rule.when, side), (&rule.unless, side.flipped())] {
        if let Some(condition) = condition {
            each_within(condition, side, visit);
        }
    }
}

fn each_within<'r>(
    condition: &'r Condition,
    side: Polarity,
    visit: &mut dyn FnMut(&'r Test, &'r Check, Polarity),
) {
    condition.each_leaf(side, &mut |leaf, side| match leaf {
        Leaf::Test(test) => test
            .checks
            .iter()
            .for_each(|check| visit(test, check, side)),
        Leaf::AnyItem(_, condition) => each_within(condition, side, visit),
        Leaf::Earlier(_) => {}
    });
}

/// Finds lists of permitted commands with some that run commands or write files, depending on their arguments.
pub(super) fn run_by_arguments(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        each_side(view.written, &mut |_, check, side| {
            if check.verb != Verb::CommandIn || side != Polarity::Loosening {
                return;
            }
            let mut named = Vec::new();
            for command in commands(check, subject.document) {
                let base = command.rsplit('/').next().unwrap_or_default();
                let how = BY_ARGUMENTS.iter().find(|(names, _)| names.contains(&base));
                named.extend(how.map(|(_, how)| format!("`{command}` ({how})")));
            }
            if !named.is_empty() {
                findings.add(
                    Severity::Note,
                    codes::AG1122,
                    (check.span.clone(), check.path.clone()),
                    format!("run or write what their arguments say: {}", named.join(", ")),
                    "name the first arguments that are meant (`git status`, `cargo test`), and deny the others in a rule of their own",
                );
            }
        });
    }
}

/// Returns the commands of an operand that are named without arguments.
fn commands(check: &Check, document: &Document) -> Vec<String> {
    let values = values_of(check, document).into_iter();
    let texts = values.filter_map(Node::text).map(str::trim);
    let alone: BTreeSet<&str> = texts.filter(|text| !text.contains(' ')).collect();
    alone.into_iter().map(str::to_owned).collect()
}

/// Finds conditions on the source path of tools that may take a destination path as well.
pub(super) fn second_paths(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        let tools: Vec<&str> = view
            .written
            .matches
            .iter()
            .filter(|item| item.field_ref.field == Field::Tool)
            .flat_map(|item| item.values.iter().map(|value| &**value))
            .collect();
        let takes_one = |tool: &&str| {
            let words = tool.split(|c: char| !c.is_ascii_alphanumeric());
            !tool.contains('*') && words.into_iter().any(|word| ONE_PATH.contains(&word))
        };
        if !tools.is_empty() && tools.iter().all(takes_one) {
            continue;
        }
        let mut asked = Vec::new();
        let mut names_destination = false;
        each_check(view.written, &mut |test, check| {
            let Field::Args(path) = &test.field_ref.field else {
                return;
            };
            let is_path = matches!(check.verb, Verb::PathWithin | Verb::PathNotWithin);
            names_destination |=
                path.is_whole() || last_names(path).any(|name| DESTINATIONS.contains(&name));
            if is_path && last_names(path).next().is_some() {
                asked.push((test, check));
            }
        });
        let Some((test, check)) = asked.first().filter(|_| !names_destination) else {
            continue;
        };
        findings.warn(
            codes::AG1123,
            (check.span.clone(), check.path.clone()),
            format!(
                "a second path, such as `args.destination`, is not asked about: only `{}` is",
                test.field_ref.name
            ),
            format!(
                "write `{}|destination|target|new_path`: every alternative is asked about",
                test.field_ref.name
            ),
        );
    }
}

fn last_names(path: &JsonPath) -> impl Iterator<Item = &str> {
    path.ways.iter().filter_map(|way| match way.last() {
        Some(PathStep::Key(name) | PathStep::Anywhere(name)) => Some(&**name),
        _ => None,
    })
}

/// Finds allow-side upper bounds without a lower bound.
pub(super) fn no_lower_bound(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    let mut bounded: Vec<(&Rule, &Field)> = Vec::new();
    let mut open = Vec::new();
    for view in &subject.rules {
        let rule = view.written;
        each_side(rule, &mut |test, check, side| {
            let is_argument = matches!(test.field_ref.field, Field::Args(_) | Field::Item(_));
            match (check.verb, side) {
                (Verb::AtMost | Verb::LessThan, Polarity::Loosening) if is_argument => {
                    open.push((rule, test, check));
                }
                (
                    Verb::AtLeast | Verb::GreaterThan | Verb::Equals | Verb::In,
                    Polarity::Loosening,
                )
                | (Verb::AtMost | Verb::LessThan, Polarity::Restricting)
                | (Verb::Between, _) => bounded.push((rule, &test.field_ref.field)),
                _ => {}
            }
        });
    }
    for (rule, test, check) in open {
        // What an allow asks for bounds what that allow lets pass; what is denied, is denied to all of them.
        let is_bounded = bounded.iter().any(|(bounding, field)| {
            *field == &test.field_ref.field
                && (bounding.action != Action::Allow || std::ptr::eq(*bounding, rule))
        });
        if !is_bounded {
            let name = &test.field_ref.name;
            findings.warn(
                codes::AG1124,
                (check.span.clone(), check.path.clone()),
                format!("a negative `{name}` passes as well: -1000000 is below every bound"),
                format!("write `{name}: {{ between: [0, MOST] }}`"),
            );
        }
    }
}

/// Finds booleans and numbers that a call may also write as strings: `"true"` for `true`, which servers in Python accept.
pub(super) fn typed_values(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        each_side(view.written, &mut |test, check, side| {
            let is_argument = matches!(test.field_ref.field, Field::Args(_) | Field::Item(_));
            let is_typed = matches!(check.verb, Verb::Equals | Verb::In);
            let Operand::Value(operand) = &check.operand else {
                return;
            };
            if !is_argument || !is_typed || side != Polarity::Restricting {
                return;
            }
            let has_text = |value: &str| {
                operand
                    .items()
                    .iter()
                    .any(|item| item.text() == Some(value))
            };
            let typed = operand.items().iter().find_map(|item| {
                let value = match &item.data {
                    NodeValue::Bool(value) => value.to_string(),
                    NodeValue::Number(value) => value.to_string(),
                    _ => return None,
                };
                (!has_text(&value)).then_some(value)
            });
            let name = &test.field_ref.name;
            let Some(value) = typed else {
                if let Some(value) = written_as_text(operand) {
                    findings.warn(
                        codes::AG1133,
                        (check.span.clone(), check.path.clone()),
                        format!("a call with `{name}` as `{value}` passes: `\"{value}\"` is the text only"),
                        format!("write both: `{name}: [{value}, \"{value}\"]`"),
                    );
                }
                return;
            };
            let help = match &operand.data {
                NodeValue::Bool(value) => {
                    format!("write `{name}: {{ exists: true, not_equals: {} }}`", !value)
                }
                NodeValue::Number(_) => {
                    format!("write `{name}: {{ between: [{value}, {value}] }}`")
                }
                _ => format!("add the texts: `\"{value}\"`"),
            };
            findings.warn(
                codes::AG1133,
                (check.span.clone(), check.path.clone()),
                format!(
                    "a call with `{name}` as the text `\"{value}\"` passes, and some tools take it for `{value}`"
                ),
                help,
            );
        });
    }
}

/// Returns a number or boolean that stands in an operand as a text only.
fn written_as_text(operand: &Node) -> Option<&str> {
    let items = operand.items();
    items.iter().filter_map(Node::text).find(|text| {
        let is_number = Decimal::parse(text).is_some_and(|number| number.to_string() == **text);
        let is_typed = items.iter().any(|item| match &item.data {
            NodeValue::Number(value) => &**value == *text,
            NodeValue::Bool(value) => value.to_string() == **text,
            _ => false,
        });
        (is_number || matches!(*text, "true" | "false")) && !is_typed
    })
}

/// Finds fields that have two names in a rule, each with a condition of its own.
pub(super) fn two_names(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    for view in &subject.rules {
        let mut known: Vec<&Test> = Vec::new();
        each_check(view.written, &mut |test, check| {
            let same = known.iter().find(|other| {
                other.field_ref.field == test.field_ref.field
                    && other.field_ref.name != test.field_ref.name
            });
            if let Some(other) = same {
                findings.warn(
                    codes::AG1125,
                    (test.field_ref.span.clone(), check.path.clone()),
                    format!(
                        "`{}` and `{}` are the same field",
                        other.field_ref.name, test.field_ref.name
                    ),
                    format!(
                        "join both conditions under `{}`",
                        test.field_ref.field.name()
                    ),
                );
            }
            known.push(test);
        });
    }
}

/// Finds keywords of a detector that has a pattern as well.
pub(super) fn keywords(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    let Some(detectors) = top(subject.root, "detectors") else {
        return;
    };
    for member in detectors.members() {
        let Some(keywords) = member.value.get("keywords") else {
            continue;
        };
        if member.value.get("pattern").is_some() {
            findings.warn(
                codes::AG1126,
                (
                    keywords.span.clone(),
                    format!("detectors.{}.keywords", member.key),
                ),
                format!(
                    "each keyword of `{}` is found by itself, wherever it stands",
                    member.key
                ),
                "words that have to be near what `pattern` finds go under `context`",
            );
        }
    }
}
