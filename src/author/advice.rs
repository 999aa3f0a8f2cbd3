//! Advice for documents that are not policies, and for errors caused by the notation: comments that hide a value, JSON with
//! comments, constructs of other pattern languages.

use crate::diag::{Diagnostic, Severity, codes};
use crate::policy::Node;
use std::ops::Range;

/// Returns the only error for a document that is recognisably not a policy: what it is, and what to do with it.
pub fn foreign_document(root: &Node) -> Option<Diagnostic> {
    let (at, message, help) = envoys(root)
        .or_else(|| kubernetes(root))
        .or_else(|| recorded(root))?;
    Some(Diagnostic {
        code: codes::AG1003,
        severity: Severity::Error,
        path: String::new(),
        span: at,
        message,
        label: None,
        help: Some(help),
        fix: None,
    })
}

/// Position of the evidence, the document's kind, and advice.
type Recognised = (Range<usize>, String, String);

/// Recognises a bootstrap, a configuration dump, or the output of `agentguard build` for Envoy's discovery.
fn envoys(root: &Node) -> Option<Recognised> {
    let key = |name: &str| {
        let members = root.members().iter();
        let mut named = members.filter(|member| *member.key == *name);
        named.next().map(|member| member.key_span.clone())
    };
    if key("apiVersion").is_some() {
        return None;
    }
    let configuration = ["static_resources", "dynamic_resources", "configs"];
    if let Some(at) = configuration.iter().find_map(|name| key(name)) {
        return Some((
            at,
            "this is a configuration of Envoy, not a policy".to_owned(),
            "`agentguard doctor FILE` examines it; `agentguard validate` takes the policy that it was built from".to_owned(),
        ));
    }
    let resource = root.get("resources")?.items().first()?;
    resource.get("@type")?;
    Some((
        key("resources")?,
        "this is a resource for Envoy, not a policy".to_owned(),
        "name the policy or the kill list that `agentguard build` wrote it from; `agentguard kill --file FILE` shows what the \
         resource of a kill list stops"
            .to_owned(),
    ))
}

/// Recognises a resource of Kubernetes, Istio or Envoy Gateway, which may contain a policy.
fn kubernetes(root: &Node) -> Option<Recognised> {
    const OURS: [&str; 4] = ["AgentPolicy", "AgentPolicySet", "AgentKill", "PolicyTest"];
    let version = root.get("apiVersion")?.text()?;
    let kind = root.get("kind")?;
    let name = kind.text()?;
    let is_policys = ["rules", "defaults", "policies"]
        .iter()
        .any(|key| root.get(key).is_some());
    if OURS.contains(&name) || version.starts_with("agentguard.dev/") || is_policys {
        return None;
    }
    let help = match policy_inside(root, "") {
        Some(path) => format!(
            "its policy is at `{path}`: keep that in a file of its own, and let `agentguard build POLICY --for istio` (or \
             `envoy-gateway`, `k8s`) write the resource from it"
        ),
        None => "name the file of the policy; `agentguard build POLICY --for istio` (or `envoy-gateway`, `k8s`) writes \
                 resources from it"
            .to_owned(),
    };
    let message = format!("this is a resource of Kubernetes (`{name}`), not a policy");
    Some((kind.span.clone(), message, help))
}

/// Returns the path of a policy in a resource: `spec.pluginConfig`.
fn policy_inside(node: &Node, path: &str) -> Option<String> {
    node.members().iter().find_map(|member| {
        let path = match path {
            "" => member.key.to_string(),
            path => format!("{path}.{}", member.key),
        };
        let kind = member.value.get("kind").and_then(Node::text);
        match kind {
            Some("AgentPolicy" | "AgentPolicySet") => Some(path),
            _ => policy_inside(&member.value, &path),
        }
    })
}

/// Recognises a recorded exchange or an audit event.
fn recorded(root: &Node) -> Option<Recognised> {
    let has = |keys: &[&str]| keys.iter().all(|key| root.get(key).is_some());
    let message = if has(&["request", "response"]) {
        "this is a recorded exchange, not a policy"
    } else if has(&["v", "ts", "chain", "decision"]) {
        "this is an audit event, not a policy"
    } else {
        return None;
    };
    let at = root.span.start..root.span.start;
    let help = "`agentguard replay --policy POLICY FILE` evaluates it";
    Some((at, message.to_owned(), help.to_owned()))
}

/// Returns advice for a file with several documents: which of them is a policy, and how one document can contain several
/// policies.
pub(super) fn about_documents(first: Option<&Node>, behind: &str) -> String {
    let is_said = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    if !behind.lines().any(is_said) {
        return "nothing follows it: take the `---` out".to_owned();
    }
    let is_policy = |line: &str| {
        let kind = line.strip_prefix("kind:").map(str::trim);
        matches!(kind, Some("AgentPolicy" | "AgentPolicySet"))
    };
    let has_policy = behind.lines().any(is_policy);
    let Some(foreign) = first.and_then(foreign_document) else {
        return match has_policy {
            true => "one file holds one policy: write a file each, or both as the `policies` of a `kind: AgentPolicySet`",
            false => "one file holds one policy: move what follows to a file of its own",
        }
        .to_owned();
    };
    let what = foreign
        .message
        .replacen("this is", "the first document is", 1);
    match (has_policy, foreign.help) {
        (false, Some(help)) => format!("one file holds one policy, and {what}; {help}"),
        _ => format!(
            "one file holds one policy, and {what}: move the policy below it to a file of its own"
        ),
    }
}

/// Adds advice to errors that have no suggestion: by the cause, if the text shows it, else by the kind of error. It is added
/// here and not where the errors are found, because the filter only logs them in one line.
pub fn add_advice(text: &str, diagnostics: &mut [Diagnostic]) {
    for diagnostic in diagnostics {
        if diagnostic.code == codes::AG1003 && has_foreign_comments(text) {
            diagnostic.help = Some("comments in YAML begin with `#`, not with `//`".to_owned());
        }
        if diagnostic.help.is_some() {
            continue;
        }
        diagnostic.help = match diagnostic.code {
            codes::AG1001 => about_notation(text, diagnostic),
            codes::AG1005 if diagnostic.message.ends_with(", not nothing") => {
                Some(about_nothing(text, diagnostic.span.start))
            }
            codes::AG1013 if diagnostic.message.ends_with("unrecognized flag") => {
                let pattern = text.get(diagnostic.span.clone()).unwrap_or_default();
                Some(about_pattern(pattern))
            }
            _ => None,
        };
        if diagnostic.help.is_none() && diagnostic.severity == Severity::Error {
            let help = by_kind(diagnostic).map(str::to_owned);
            let more = || format!("`agentguard explain {}` says more", diagnostic.code);
            diagnostic.help = Some(help.unwrap_or_else(more));
        }
    }
}

/// Returns advice for an error of which only the kind is known.
fn by_kind(diagnostic: &Diagnostic) -> Option<&'static str> {
    let message = &*diagnostic.message;
    Some(match diagnostic.code {
        codes::AG1001 => {
            "each line is `key: value` or `- item`; the mistake may be in the line before"
        }
        codes::AG1002 if message.starts_with("the same key twice") => "keep one of them",
        codes::AG1002 if message.contains(" is not inside `spec`") => {
            "write it once: inside `spec` with all others but `apiVersion`, `kind` and `metadata`, or leave `spec` out"
        }
        codes::AG1004 if message.starts_with("unknown key") => {
            "take it out; docs/policy.md lists the keys, and an editor offers them with `agentguard schema`"
        }
        codes::AG1004 if message.starts_with("unknown limit") => {
            "write `requests_per_minute: 60`, with `second`, `hour` or `day` for another window, or `max` with `window`"
        }
        codes::AG1005 => about_type(message),
        codes::AG1006 if message.starts_with("`read` needs `protocol: generic`") => {
            "write `protocol: generic`, or take `read` out: these texts are found without it"
        }
        codes::AG1006 | codes::AG1011 if message == "the list is empty" => {
            "write what is meant between the brackets, or take the key out: an empty list matches nothing"
        }
        codes::AG1006 if message.ends_with(" is missing") => {
            "write this key here; docs/policy.md shows the values that it may have"
        }
        codes::AG1006 if message.ends_with(" is empty") => {
            "write one: letters, digits, `-`, `_` and `.`"
        }
        codes::AG1006 if message.ends_with("headers are expected here") => "write as many as that",
        codes::AG1007 if message.ends_with("name of a header") => {
            "write it without a colon, such as `x-agent-key`"
        }
        codes::AG1007 if message.ends_with("environment variable") => {
            "write its name without `$`, such as `AUDIT_KEY`"
        }
        codes::AG1009 => {
            "docs/policy.md lists the fields of each event; an argument of a call is `args.NAME`"
        }
        codes::AG1010 => "docs/operators lists all operators, each with its cases",
        codes::AG1011 if message.ends_with("is in every text") => {
            "write what the text has to hold, or take the empty text out"
        }
        codes::AG1011 if message.ends_with("larger than the second") => {
            "write the smaller number first"
        }
        codes::AG1011 if message.ends_with("true or false") => {
            "write `true` or `false`, without quotes"
        }
        codes::AG1011 if message.contains("plain values") => {
            "write texts, numbers or booleans; `any_item` compares several fields of one item"
        }
        codes::AG1011 if message.ends_with("compares with a whole number") => {
            "write digits alone, such as `100`"
        }
        codes::AG1011 if message == "nothing is less than 0" => {
            "write the number that is too much, such as `1`; `exists: false` applies to what is missing"
        }
        codes::AG1011 if message.starts_with("no counter can reach ") => {
            "write a whole number; sums and costs have at most six decimal places"
        }
        codes::AG1011 if message.contains(" does not apply to ") => {
            "docs/operators says what each operator reads; ask this of another field, or use another operator"
        }
        codes::AG1012 if message.starts_with("unknown ") => {
            "define it first: a list under `lists`, a detector under `detectors`, a source under `principals`"
        }
        codes::AG1013 if message.ends_with(" does not begin with `/`") => {
            "write the path from its beginning, such as `/mcp` or `/v1/*`"
        }
        codes::AG1015 if message.starts_with("only texts can be redacted") => {
            "name one of these under `match.event`, or write `action: deny` for the others"
        }
        codes::AG1015 if message.starts_with("only a request or a tool call can wait") => {
            "write `action: deny` for what else the rule is about, or name `event: [request, tool_call]`"
        }
        codes::AG1013 if message.contains("unclosed") => {
            "`agentguard explain AG1013` says what patterns can hold; a character that is meant itself has a `\\` before it"
        }
        codes::AG1016 if message.ends_with("extends itself") => {
            "take it out of the `extends` of one of the files: what several share belongs into a file that extends none of them"
        }
        codes::AG1016 if message.contains(" can't be read: ") => {
            "the path is relative to the folder of this document"
        }
        codes::AG1016 if message.contains("`agentguard build`") => {
            "give the filter what `agentguard build` writes"
        }
        codes::AG1017 if message.ends_with("sessions are not supported yet") => {
            "`earlier` asks what came before in the same conversation"
        }
        codes::AG1019 => {
            "write it flatter: no policy needs as much; long lists can have a file of their own (`file:`)"
        }
        _ => return None,
    })
}

/// Returns how to write a value of the expected type.
fn about_type(message: &str) -> &'static str {
    let written = [
        (
            "one of ",
            "write one of these words, alone and without brackets",
        ),
        (
            "a text or a list of texts",
            "write `name` or `[name, other]`; a number or boolean that is a name is in quotes",
        ),
        ("a text", "write one word or a text in quotes"),
        (
            "a single value",
            "write a text, a number, or `true` or `false`",
        ),
        ("a whole number", "write digits alone, such as `10`"),
        ("a number", "write digits without quotes, such as `10`"),
        (
            "US dollars",
            "write digits without a sign and without quotes, such as `2.5`",
        ),
        ("true or false", "write `true` or `false`, without quotes"),
        (
            "a list",
            "write `[one, other]`, or a line `- one` for each below the key",
        ),
        (
            "a mapping",
            "write `{ key: value }`, or a line `key: value` for each, indented below the key",
        ),
    ];
    let mut fitting = written.iter();
    let found = fitting.find(|(expected, _)| message.starts_with(expected));
    found.map_or(
        "`agentguard schema` describes what stands here",
        |(_, how)| how,
    )
}

/// Returns advice for a key without a value. In YAML, a number sign after a space begins a comment.
fn about_nothing(text: &str, at: usize) -> String {
    let line = text.get(at..).unwrap_or_default();
    let line = line.lines().next().unwrap_or_default();
    let line = line.trim_start_matches(':').trim();
    match line.strip_prefix('#') {
        Some(comment) if !comment.contains(['"', '\\']) && !comment.trim().is_empty() => {
            format!(
                "`#` begins a comment: put the text in quotes, `\"{line}\"`, or take the key out"
            )
        }
        Some(_) => "`#` begins a comment: put the text in quotes, or take the key out".to_owned(),
        None => "write a value, or take the key out".to_owned(),
    }
}

/// Returns advice for invalid JSON, and for YAML that is JSON.
fn about_notation(text: &str, diagnostic: &Diagnostic) -> Option<String> {
    let is_json = diagnostic.message.starts_with("malformed JSON");
    let is_followed = diagnostic
        .message
        .starts_with("bytes after the end of the JSON value")
        || (diagnostic.message.contains("<document start>") && text.trim_start().starts_with('{'));
    if is_followed {
        return Some("a policy is one value; a file of JSON lines is none".to_owned());
    }
    if !is_json {
        return None;
    }
    let (before, behind) = text.split_at_checked(diagnostic.span.start)?;
    let behind = behind.trim_start();
    let has_comma = before.trim_end().ends_with(',');
    let Some(first) = behind.chars().next() else {
        return Some("the text ends too early: a bracket or a quotation mark is not closed, or the file was cut off".to_owned());
    };
    let help = match first {
        '/' | '#' => {
            "JSON has no comments: take it out, or write the policy in YAML, in a file `.yaml`, whose comments begin with `#`"
        }
        '}' | ']' if has_comma => "take out the comma before it",
        '\'' => "texts in JSON are in double quotes",
        first if first.is_alphabetic() && before.trim().is_empty() => {
            "this looks like YAML: name the file `.yaml`"
        }
        first if first.is_alphabetic() => "keys and texts in JSON are in double quotes",
        _ => {
            "in JSON, keys and texts are in double quotes, with a `:` behind a key and a `,` between members"
        }
    };
    Some(help.to_owned())
}

/// Returns whether a text has comments of JavaScript, which YAML reads as part of the following key.
fn has_foreign_comments(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("//"))
}

/// Returns advice for groups of other pattern languages. Look-around has its own suggestion.
fn about_pattern(pattern: &str) -> String {
    const KNOWN: [(&str, &str); 4] = [
        (
            "(?>",
            "a pattern is matched in linear time, without atomic groups: write `(?:…)`",
        ),
        (
            "(?#",
            "patterns have no comments: write it under the rule's `description`",
        ),
        (
            "(?P=",
            "a pattern is matched in linear time, without back references",
        ),
        (
            "(?(",
            "patterns have no conditions: write both cases, as in `(?:…|…)`",
        ),
    ];
    let known = KNOWN.iter().find(|(begin, _)| pattern.contains(begin));
    known
        .map_or(
            "`(?` is followed by `:`, by a name as in `<name>`, or by flags: `i`, `m`, `s`, `x`, `U`",
            |(_, help)| *help,
        )
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::parse_yaml;
    use crate::policy::parse_json;

    /// Returns the message and the advice for a foreign document.
    fn foreign(text: &str) -> Option<String> {
        let error = foreign_document(&parse_yaml(text).unwrap())?;
        Some(format!("{}; {}", error.message, error.help.unwrap()))
    }

    #[test]
    fn what_is_no_policy_is_named_and_has_its_command() {
        for (text, said) in [
            (
                "{ apiVersion: v1, kind: Service, spec: {} }",
                "resource of Kubernetes (`Service`)",
            ),
            (
                "{ apiVersion: v1, kind: X, spec: { config: [], pluginConfig: { kind: AgentPolicy } } }",
                "its policy is at `spec.pluginConfig`",
            ),
            ("static_resources: {}", "`agentguard doctor FILE`"),
            ("configs: []", "`agentguard doctor FILE`"),
            ("resources: [{ \"@type\": x }]", "a resource for Envoy"),
            ("{ request: {}, response: {} }", "a recorded exchange"),
            (
                "{ v: 1, ts: x, chain: {}, decision: allow }",
                "an audit event",
            ),
        ] {
            let told = foreign(text).unwrap_or_default();
            assert!(told.contains(said), "{text}: {told}");
        }
    }

    #[test]
    fn of_several_documents_the_policy_is_told_from_the_rest() {
        const POLICY: &str =
            "apiVersion: agentguard.dev/v1\nkind: AgentPolicy\nmetadata: { name: t }\n";
        const SPACE: &str = "apiVersion: v1\nkind: Namespace\n";
        for (documents, said) in [
            (
                [POLICY, POLICY],
                "write a file each, or both as the `policies` of a `kind: AgentPolicySet`",
            ),
            ([POLICY, SPACE], "move what follows to a file of its own"),
            ([POLICY, "# the end\n"], "take the `---` out"),
            (
                [SPACE, POLICY],
                "the first document is a resource of Kubernetes (`Namespace`), not a policy: move the policy below it",
            ),
            (
                [SPACE, SPACE],
                "the first document is a resource of Kubernetes (`Namespace`), not a policy; name the file of the policy",
            ),
            (
                ["static_resources: {}\n", POLICY],
                "the first document is a configuration of Envoy, not a policy: move the policy below it",
            ),
        ] {
            let text = documents.join("---\n");
            let error = parse_yaml(&text).unwrap_err().remove(0);
            let told = error.help.unwrap_or_default();
            assert!(told.contains(said), "{text}: {told}");
        }
    }

    #[test]
    fn a_policy_with_a_mistake_is_a_policy() {
        for text in [
            "{ apiVersion: agentguard.dev/v2, kind: AgentPolicy }",
            "{ apiVersion: v1, kind: Policy, rules: [] }",
            "{ apiVersion: agentguard.dev/v1, kind: AgentPolcy }",
            "{ apiVersion: v1, kind: AgentPolicy, spec: {} }",
            "{ rules: [], resources: [] }",
            "[]",
        ] {
            assert_eq!(foreign(text), None, "{text}");
        }
    }

    #[test]
    fn what_json_does_not_know_is_explained() {
        for (text, said) in [
            ("{ // a\n}", "JSON has no comments"),
            ("{ /* a */ }", "JSON has no comments"),
            ("# a\n{}", "JSON has no comments"),
            ("{\"a\": 1,\n}", "the comma before it"),
            ("{\"a\": [1,]}", "the comma before it"),
            ("{'a': 1}", "double quotes"),
            ("{a: 1}", "double quotes"),
            ("apiVersion: x", "looks like YAML"),
            ("{}\n{}", "JSON lines"),
            ("{\"a\": [1,", "the text ends too early"),
            ("{\"a\": \"b", "the text ends too early"),
        ] {
            let mut errors = [*parse_json(text.as_bytes()).unwrap_err()];
            add_advice(text, &mut errors);
            let told = errors[0].help.clone().unwrap_or_default();
            assert!(told.contains(said), "{text}: {} {told}", errors[0]);
        }
    }
}
