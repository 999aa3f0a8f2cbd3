//! `agentguard test PATH…`: runs the tests of policies and the examples of their rules.

use super::check_result::CheckResult;
use super::exchange::{OfflineProxy, ReplayResult};
use super::source::Source;
use super::{ExitStatus, Failed, output, render};
use crate::author::{
    CaseInput, Expectation, SampleExchange, TestCase, WholeExchange, add_advice, has_limits,
    is_kill_list, is_test_file, read_examples, read_tests,
};
use crate::diag::{Diagnostic, Severity, codes};
use crate::event::Known;
use crate::flow::simulation::{Caller, HttpMessage};
use crate::policy::{Node, Policy, desugar};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Default time of a whole exchange: a Monday noon in 2026, UTC.
const MONDAY_NOON: u64 = 1_767_614_400_000_000_000;

/// Arguments of `test`.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// Test files, policies (with their examples, and the tests in `NAME.test.yaml` beside them), or folders of both.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Output format.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: Format,
    /// Also list the rules that no case reaches.
    #[arg(long)]
    coverage: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Failures and a summary.
    Text,
    /// Test Anything Protocol, version 13.
    Tap,
    /// JUnit XML.
    Junit,
}

/// Result of a case.
struct CaseResult {
    file: String,
    line: usize,
    name: String,
    /// Differences from the expected result.
    differs: Vec<String>,
    got: CheckResult,
}

/// Policy with the rules that matched in at least one case.
struct PolicyCoverage {
    source: Source,
    reached: BTreeSet<String>,
}

/// What the versions of our API begin with.
const API_GROUP: &str = "agentguard.dev/";

struct Suite {
    /// Format of results and errors; `None` for JSON.
    format: Option<Format>,
    ran: Vec<CaseResult>,
    /// Policies by canonical path: a policy with two test files is listed once.
    policies: BTreeMap<PathBuf, PolicyCoverage>,
}

impl Test {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let mut suite = Suite {
            format: Some(self.format).filter(|_| !json),
            ran: Vec::new(),
            policies: BTreeMap::new(),
        };
        let mut broken = 0_usize;
        // A file with an error does not hide the results of the others.
        for (file, is_named) in self.files()? {
            broken = broken.saturating_add(usize::from(suite.file(&file, is_named).is_err()));
        }
        if suite.ran.is_empty() && broken > 0 {
            return Err(Failed);
        }
        if suite.ran.is_empty() {
            return Err(output::print_undone(
                "no case is there: neither a test nor an example; write `examples` at a rule, or `NAME.test.yaml` beside the policy",
            ));
        }
        if json {
            suite.print_json();
        } else {
            match self.format {
                Format::Text => suite.print_text(),
                Format::Tap => suite.print_tap(),
                Format::Junit => suite.print_junit(),
            }
        }
        if self.coverage {
            suite.print_coverage(json, self.format);
        }
        if broken > 0 {
            let files = if broken == 1 {
                "file was"
            } else {
                "files were"
            };
            return Err(output::print_error(&format!(
                "{broken} {files} not tested: see above"
            )));
        }
        Ok(if suite.failures() == 0 {
            ExitStatus::Clean
        } else {
            ExitStatus::Found
        })
    }

    /// Returns the files to run, each once, with whether they were named. A named policy includes the tests beside it.
    fn files(&self) -> Result<Vec<(PathBuf, bool)>, Failed> {
        let mut files = Vec::new();
        for (path, is_named) in documents(&self.paths)? {
            let beside = beside(&path).filter(|_| is_named);
            files.push((path, is_named));
            files.extend(beside.map(|beside| (beside, true)));
        }
        let mut seen = BTreeSet::new();
        files.retain(|(file, _)| seen.insert(canonical(file)));
        Ok(files)
    }
}

/// Returns the named files and those in the named folders, which may contain other files.
pub(super) fn documents(paths: &[String]) -> Result<Vec<(PathBuf, bool)>, Failed> {
    let mut files = Vec::new();
    for path in paths {
        let path = PathBuf::from(path);
        if path.is_dir() {
            let found = Walk::files(&path)?;
            if found.is_empty() {
                let what =
                    "no file in it ends with .yaml, .yml or .json; name another folder, or a file";
                return Err(output::print_unread(&path.display().to_string(), what));
            }
            files.extend(found.into_iter().map(|file| (file, false)));
        } else {
            files.push((path, true));
        }
    }
    Ok(files)
}

/// Returns `NAME.test.yaml` for `NAME.yaml`, if it exists.
fn beside(policy: &Path) -> Option<PathBuf> {
    let stem = policy.file_stem()?.to_str()?;
    if stem.ends_with(".test") {
        return None;
    }
    let path = policy.with_file_name(format!("{stem}.test.yaml"));
    path.exists().then_some(path)
}

/// Maximum names in a folder and its subfolders. A folder with more was named by accident.
const MAX_ENTRIES: usize = 100_000;

/// Walk through a folder and its subfolders. It is bounded: it follows no link to a folder, which could lead back, stays on the
/// file system of the root, and has a maximum of names. Folders whose name begins with a dot are skipped: they belong to other
/// programs (`.git`), or have the same files under another name (`..data` of a ConfigMap). Only regular files are read: opening
/// a pipe would wait for its writer.
struct Walk<'w> {
    /// Folder that was named.
    root: &'w Path,
    /// Id of its file system.
    file_system: u64,
    entries: usize,
    files: Vec<PathBuf>,
}

impl<'w> Walk<'w> {
    fn files(root: &'w Path) -> Result<Vec<PathBuf>, Failed> {
        let status = std::fs::metadata(root).map_err(|error| unreadable(root, &error))?;
        let mut walk = Walk {
            root,
            file_system: file_system(&status),
            entries: 0,
            files: Vec::new(),
        };
        walk.folder(root)?;
        Ok(walk.files)
    }

    fn folder(&mut self, path: &Path) -> Result<(), Failed> {
        let complain = |error| unreadable(path, &error);
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path).map_err(complain)? {
            self.entries = self.entries.saturating_add(1);
            if self.entries > MAX_ENTRIES {
                return Err(output::print_unread(
                    &self.root.display().to_string(),
                    &format!(
                        "it has more than {MAX_ENTRIES} files; name the folder that the policies are in"
                    ),
                ));
            }
            entries.push(entry.map_err(complain)?.path());
        }
        entries.sort();
        for entry in entries {
            // A file that was deleted in the meantime, or a broken link, is skipped.
            let Ok(status) = entry.symlink_metadata() else {
                continue;
            };
            if status.is_dir() {
                let name = entry.file_name().unwrap_or_default();
                let is_hidden = name.as_encoded_bytes().starts_with(b".");
                if !is_hidden && file_system(&status) == self.file_system {
                    self.folder(&entry)?;
                }
            } else if is_document_name(&entry) && entry.is_file() {
                self.files.push(entry);
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failed {
    output::print_unread(&path.display().to_string(), &output::unreadable(error))
}

fn is_document_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|known| extension == *known)
    })
}

/// Returns the id of the file system of a file.
#[cfg(unix)]
fn file_system(status: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(status)
}

#[cfg(not(unix))]
fn file_system(_: &std::fs::Metadata) -> u64 {
    0
}

/// Returns whether a document declares itself a policy, valid or not. Whatever names our API is one, unless it is tests or a kill
/// list: with a misspelt `kind`, or without it, it would be passed over in silence.
pub(super) fn is_policy_document(root: &Node) -> bool {
    let text = |key| root.get(key).and_then(Node::text);
    match text("kind") {
        Some("AgentPolicy" | "AgentPolicySet") => true,
        _ if is_test_file(root) || is_kill_list(root) => false,
        _ => {
            text("apiVersion").is_some_and(|version| version.starts_with(API_GROUP))
                || desugar(root).is_some()
        }
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

impl Suite {
    fn failures(&self) -> usize {
        self.ran
            .iter()
            .filter(|ran| !ran.differs.is_empty())
            .count()
    }

    /// Reports the errors of a test file. They are not part of a TAP or JUnit document.
    fn wrong(&self, source: &Source, errors: &[Diagnostic]) -> Failed {
        let mut errors = errors.to_vec();
        add_advice(&source.text, &mut errors);
        for error in &errors {
            match self.format {
                None => output::json_line(&render::as_json(source, error)),
                Some(Format::Text) => output::verbatim_line(&render::as_text(source, error)),
                Some(Format::Tap | Format::Junit) => {
                    output::verbatim_note(&render::as_text(source, error))
                }
            }
        }
        let count = errors
            .iter()
            .filter(|error| error.severity == Severity::Error)
            .count();
        let plural = if count == 1 { "" } else { "s" };
        output::print_error(&format!("{}: {count} error{plural}", source.name))
    }

    fn file(&mut self, path: &Path, is_named: bool) -> Result<(), Failed> {
        let name = path.to_string_lossy().into_owned();
        let source = Source::read(&name)?;
        match &source.root {
            // As a policy, tests would be told that they are none.
            None if source.is_test_file() => Err(self.wrong(&source, &source.loaded.diagnostics)),
            None => {
                let source = source.compiled();
                Err(self.wrong(&source, &source.loaded.diagnostics))
            }
            Some(root) if is_test_file(root) => {
                let file = read_tests(root).map_err(|errors| self.wrong(&source, &errors))?;
                let policy = match path.parent() {
                    Some(folder) => folder.join(&*file.policy),
                    None => PathBuf::from(&*file.policy),
                };
                self.run(&source, &policy, &file.cases)
            }
            Some(root) if !is_named && !is_policy_document(root) => Ok(()),
            _ => {
                let source = source.compiled();
                source.policy()?;
                let cases = match &source.root {
                    Some(root) => {
                        read_examples(root).map_err(|errors| self.wrong(&source, &errors))?
                    }
                    None => Vec::new(),
                };
                self.run(&source, path, &cases)
            }
        }
    }

    /// Runs the cases of one file against a policy.
    fn run(&mut self, file: &Source, policy: &Path, cases: &[TestCase]) -> Result<(), Failed> {
        let tested = match self.policies.entry(canonical(policy)) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let source = Source::open(&policy.to_string_lossy())?;
                source.policy()?;
                entry.insert(PolicyCoverage {
                    source,
                    reached: BTreeSet::new(),
                })
            }
        };
        for case in cases {
            let (line, _) = file.position(case.span.start);
            let (got, differs) = tested.evaluate(case)?;
            let held = got.rules.iter().map(|rule| rule.id.clone());
            tested.reached.extend(held);
            self.ran.push(CaseResult {
                file: file.name.clone(),
                line,
                name: case.name.clone(),
                differs,
                got,
            });
        }
        Ok(())
    }

    fn print_text(&self) {
        for ran in self.ran.iter().filter(|ran| !ran.differs.is_empty()) {
            let name = output::visible(&ran.name);
            output::line(&format!("{}:{}: {name}: failed", ran.file, ran.line));
            for difference in &ran.differs {
                output::line(&format!("    {}", output::visible(difference)));
            }
            for line in ran.got.to_text().lines() {
                output::line(&format!("    | {line}"));
            }
        }
        let failed = self.failures();
        let passed = self.ran.len().saturating_sub(failed);
        output::line(&format!("{passed} passed, {failed} failed"));
    }

    fn print_tap(&self) {
        output::line("TAP version 13");
        output::line(&format!("1..{}", self.ran.len()));
        for (number, ran) in (1_usize..).zip(&self.ran) {
            let ok = if ran.differs.is_empty() {
                "ok"
            } else {
                "not ok"
            };
            // In TAP, `#` starts a directive.
            let name = ran.name.replace('#', "\\#").replace('\n', " ");
            output::line(&format!("{ok} {number} - {}: {name}", ran.file));
            if !ran.differs.is_empty() {
                output::line("  ---");
                output::json_line(&format!(
                    "  at: {}",
                    json!(format!("{}:{}", ran.file, ran.line))
                ));
                output::json_line(&format!("  differs: {}", json!(ran.differs)));
                output::line("  ...");
            }
        }
    }

    fn print_junit(&self) {
        output::line("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        output::line(&format!(
            "<testsuites name=\"agentguard\" tests=\"{}\" failures=\"{}\">",
            self.ran.len(),
            self.failures()
        ));
        let mut files: Vec<&str> = self.ran.iter().map(|ran| ran.file.as_str()).collect();
        files.dedup();
        for file in files {
            let ran: Vec<&CaseResult> = self.ran.iter().filter(|ran| ran.file == file).collect();
            let failures = ran.iter().filter(|ran| !ran.differs.is_empty()).count();
            output::line(&format!(
                "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\">",
                xml(file),
                ran.len()
            ));
            for ran in ran {
                let open = format!(
                    "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{}\"",
                    xml(&ran.name),
                    xml(file),
                    xml(file),
                    ran.line
                );
                if ran.differs.is_empty() {
                    output::line(&format!("{open}/>"));
                } else {
                    let message = xml(&ran.differs.join("; "));
                    let got = xml(&ran.got.to_text());
                    output::line(&format!("{open}>"));
                    output::line(&format!(
                        "      <failure message=\"{message}\">{got}</failure>"
                    ));
                    output::line("    </testcase>");
                }
            }
            output::line("  </testsuite>");
        }
        output::line("</testsuites>");
    }

    fn print_json(&self) {
        for ran in &self.ran {
            let mut object = Map::new();
            object.insert("file".to_owned(), json!(ran.file));
            object.insert("line".to_owned(), json!(ran.line));
            object.insert("name".to_owned(), json!(ran.name));
            object.insert("ok".to_owned(), json!(ran.differs.is_empty()));
            if !ran.differs.is_empty() {
                object.insert("differs".to_owned(), json!(ran.differs));
            }
            object.insert("got".to_owned(), Value::Object(ran.got.to_json()));
            output::json_line(&Value::Object(object).to_string());
        }
    }

    /// Prints the rules that match in no case. In formats for other programs it is a comment.
    fn print_coverage(&self, json: bool, format: Format) {
        for tested in self.policies.values() {
            let Some(policy) = &tested.source.loaded.policy else {
                continue;
            };
            let rules: BTreeSet<&str> = policy.rules().iter().map(|rule| &*rule.id).collect();
            let missed: Vec<&str> = rules
                .iter()
                .copied()
                .filter(|rule| !tested.reached.contains(*rule))
                .collect();
            let name = &tested.source.name;
            let reached = rules.len().saturating_sub(missed.len());
            if json {
                output::json_line(
                    &json!({"policy": name, "rules": rules.len(), "reached": reached, "missed": missed})
                        .to_string(),
                );
                continue;
            }
            let mut text = format!("{name}: {reached} of {} rules reached", rules.len());
            if !missed.is_empty() {
                text.push_str(&format!(", not: {}", missed.join(", ")));
            }
            output::line(&match format {
                Format::Text => text,
                Format::Tap => format!("# {text}"),
                // In XML, two hyphens end a comment.
                Format::Junit => format!("<!-- {} -->", text.replace("--", "- -")),
            });
        }
    }
}

impl PolicyCoverage {
    /// Runs a case. Returns its result and the differences from the expected one.
    fn evaluate(&self, case: &TestCase) -> Result<(CheckResult, Vec<String>), Failed> {
        let policy = self.source.policy()?;
        let Some(root) = &self.source.root else {
            return Err(output::print_error("the policy could not be read"));
        };
        evaluate(policy, root, case)
            .map_err(|what| output::print_error(&format!("{}: {what}", case.name)))
    }
}

/// Returns what a policy decides of a case, and the differences from what the case expects.
fn evaluate(
    policy: &Policy,
    root: &Node,
    case: &TestCase,
) -> Result<(CheckResult, Vec<String>), String> {
    match &case.subject {
        CaseInput::Event(event, facts) => {
            let events = [(**event).clone()];
            let laid_out = SampleExchange::new(&events, (**facts).clone(), policy)?;
            let got = CheckResult::of(policy, &laid_out);
            let mut differs = compare(&case.expect, &got);
            if let Some(text) = &case.expect.text
                && got.text.as_deref() != Some(text)
            {
                differs.push(expected("text", text, got.text.as_deref()));
            }
            Ok((got, differs))
        }
        CaseInput::Exchange(exchange) => {
            has_limits(policy, &exchange.facts)?;
            let evaluated = evaluate_exchange(root, exchange)
                .map_err(|Failed| "the exchange can't be evaluated".to_owned())?;
            let mut differs = compare(&case.expect, &evaluated.result);
            differs.extend(compare_sides(&case.expect, &evaluated));
            Ok((evaluated.result, differs))
        }
    }
}

fn evaluate_exchange(root: &Node, exchange: &WholeExchange) -> Result<ReplayResult, Failed> {
    let environment = match &exchange.facts.environment {
        Known::Is(name) => Some(&**name),
        _ => None,
    };
    let proxyless = OfflineProxy::new(root, environment)?;
    let response = match &exchange.response {
        Some(response) => HttpMessage::from(response),
        None => HttpMessage::new(&[(":status", "200")], b""),
    };
    let now = exchange.facts.time.unwrap_or(MONDAY_NOON);
    for (rule, used) in &exchange.facts.used {
        proxyless.begin_with(rule, used);
    }
    let principal = &exchange.facts.principal;
    let caller = Caller {
        properties: exchange.properties.clone(),
        principal: (!principal.is_anonymous()).then(|| principal.clone()),
        approved_by: exchange.facts.approved_by.clone(),
    };
    let request = HttpMessage::from(&exchange.request);
    Ok(proxyless.evaluate(&caller, &request, response, now))
}

fn compare(expect: &Expectation, got: &CheckResult) -> Vec<String> {
    let mut differs = Vec::new();
    let mut same = |what: &str, expect: &Option<Box<str>>, got: Option<&str>| {
        if let Some(expect) = expect
            && got != Some(&**expect)
        {
            differs.push(expected(what, expect, got));
        }
    };
    same("action", &expect.action, Some(&got.action));
    // Without observed rules, `would` is the action.
    let would = got.would.as_deref().unwrap_or(&got.action);
    same("would", &expect.would, Some(would));
    same("code", &expect.code, got.code.as_deref());
    same("reason", &expect.reason, got.reason.as_deref());
    if let Some(status) = expect.status
        && status != u64::from(got.status)
    {
        differs.push(expected(
            "status",
            &status.to_string(),
            Some(&got.status.to_string()),
        ));
    }
    if let Some(rules) = &expect.rules {
        let held: Vec<&str> = got.rules.iter().map(|rule| rule.id.as_str()).collect();
        let wanted: Vec<&str> = rules.iter().map(|rule| &**rule).collect();
        if held != wanted {
            differs.push(expected(
                "rules",
                &wanted.join(", "),
                Some(&held.join(", ")),
            ));
        }
    }
    differs
}

/// Compares the messages that each side received.
fn compare_sides(expect: &Expectation, evaluated: &ReplayResult) -> Vec<String> {
    let text = |half: Option<&HttpMessage>| {
        half.map(|half| String::from_utf8_lossy(&half.body()).into_owned())
            .unwrap_or_default()
    };
    let upstream = text(evaluated.seen.upstream.as_ref());
    let client = text(Some(&evaluated.seen.client));
    let mut differs = Vec::new();
    for (side, wanted, body) in [
        ("upstream", &expect.upstream, &upstream),
        ("client", &expect.client, &client),
    ] {
        for text in wanted {
            if !body.contains(&**text) {
                differs.push(format!("{side}: {text:?} is not in {body:?}"));
            }
        }
    }
    if let Some(text) = &expect.text
        && !upstream.contains(&**text)
        && !client.contains(&**text)
    {
        differs.push(format!("text: {text:?} was received by neither side"));
    }
    differs
}

fn expected(what: &str, expect: &str, got: Option<&str>) -> String {
    match got {
        Some(got) => format!("{what}: expected {expect:?}, got {got:?}"),
        None => format!("{what}: expected {expect:?}, got none"),
    }
}

fn xml(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\n' => "&#10;".to_owned(),
            // XML 1.0 allows no other control characters.
            c if c.is_control() => "\u{FFFD}".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

/// Returns examples that the policy decides differently, or that cannot be read.
pub(super) fn failing_examples(policy: &Policy, root: &Node) -> Vec<Diagnostic> {
    let cases = match read_examples(root) {
        Ok(cases) => cases,
        Err(errors) => return errors,
    };
    cases
        .iter()
        .filter_map(|case| {
            let message = match evaluate(policy, root, case) {
                Ok((_, differs)) => format!(
                    "the example has another decision: {}",
                    (!differs.is_empty()).then(|| differs.join("; "))?
                ),
                Err(what) => format!("the example can't be evaluated: {what}"),
            };
            Some(Diagnostic {
                code: codes::AG1023,
                severity: Severity::Error,
                path: case.path.clone(),
                span: case.span.clone(),
                message,
                label: None,
                help: Some("`agentguard explain` shows the result of each condition".to_owned()),
                fix: None,
            })
        })
        .collect()
}
