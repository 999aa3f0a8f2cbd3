//! Operands that are read literally and were meant otherwise: another tool's notation, or a word that nothing has.

use super::breadth::{each_check, texts_of};
use super::{Findings, LintedPolicy};
use crate::author::provided::top;
use crate::author::sample_event::CLASSES;
use crate::diag::codes::{self, CODES};
use crate::diag::{listed, nearest, slip_of};
use crate::event::{Known, PROTOCOL_NAMES};
use crate::policy::condition::Operand;
use crate::policy::field::Field;
use crate::policy::glob::{Glob, GlobReading};
use crate::policy::node::Node;
use crate::policy::operators::Verb;
use crate::policy::words::Action;
use crate::protocol::{known_providers, rpc_methods};
use std::collections::BTreeSet;
use std::ops::Range;

/// Position of a value in the file, and its path.
type Place = (Range<usize>, String);

/// What is wrong with an operand, and what to write.
type Advice = (String, &'static str);

/// Finds operands in another tool's notation, which these fields and operators read literally.
pub(super) fn other_notations(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    // A value of a list is told once, whatever number of rules name the list.
    let mut told: BTreeSet<(usize, String)> = BTreeSet::new();
    let mut tell = |place: Place, advice: Option<Advice>| {
        if let Some((about, help)) = advice
            && told.insert((place.0.start, about.clone()))
        {
            findings.warn(codes::AG1134, place, about, help);
        }
    };
    for (field, value, place) in scope(subject) {
        tell(place, of_glob(&field, value));
    }
    for view in &subject.rules {
        for item in &view.written.matches {
            for value in &item.values {
                let place = (item.field_ref.span.clone(), item.path.clone());
                tell(
                    place,
                    of_match(&item.field_ref.field, view.written.action, value),
                );
            }
        }
        each_check(view.written, &mut |test, check| {
            for (text, span) in texts_of(check, subject.document) {
                let place = (span, check.path.clone());
                tell(place, of_operand(&test.field_ref.field, check.verb, text));
            }
        });
    }
}

/// Returns what is wrong with a glob of a field.
fn of_glob(field: &Field, glob: &str) -> Option<Advice> {
    of_target(field, glob).or_else(|| of_braces(glob))
}

/// Returns what is wrong with a glob that asks for the braces of a shell's alternatives: `*.{js,ts}`.
fn of_braces(glob: &str) -> Option<Advice> {
    let (_, rest) = glob.split_once('{')?;
    let (inside, _) = rest.split_once('}')?;
    inside.contains(',').then(|| {
        (
            format!("globs have no `{{a,b}}`: `{glob}` asks for these braces"),
            "write a list with each alternative",
        )
    })
}

/// Returns what is wrong with a value under `match`.
fn of_match(field: &Field, action: Action, value: &str) -> Option<Advice> {
    if let Some(advice) = of_glob(field, value) {
        return Some(advice);
    }
    if let Some(word) = word_in_brackets(value) {
        return Some((
            format!("`[{word}]` in `{value}` is one character of these"),
            "write `[[]` for a `[` that is meant as it stands",
        ));
    }
    let name = value.trim();
    match value {
        _ if name.is_empty() => Some((
            "no name is empty: nothing matches this".to_owned(),
            "write the name, or take the key out",
        )),
        _ if action == Action::Allow && name != value => Some((
            format!("this allow does not take `{name}`: it asks for white space around it"),
            "leave the white space out",
        )),
        _ if value.starts_with('!') => Some((
            format!("`{value}` is one name: its `!` excludes nothing"),
            "write what is excluded under `unless`",
        )),
        _ if has_plain_names(field) && is_pattern_or_list(value) => Some((
            format!("`{value}` is one name: `|`, `,`, `^` and `$` are read as they stand"),
            "write a list with each name; a glob has `*`, `?` and `[abc]`",
        )),
        _ => None,
    }
}

/// Returns what is wrong with the operand of an operator.
fn of_operand(field: &Field, verb: Verb, text: &str) -> Option<Advice> {
    let is_equality = compares_for_equality(verb);
    if is_equality || matches!(verb, Verb::Glob | Verb::StartsWith) {
        let advice = of_target(field, text);
        if advice.is_some() {
            return advice;
        }
    }
    match verb {
        Verb::PathWithin | Verb::PathNotWithin if text.contains('*') => Some((
            format!("`{text}` is read as a folder whose name has a `*`"),
            "write the folder alone: all that is below it is within it",
        )),
        Verb::Glob if of_braces(text).is_some() => of_braces(text),
        Verb::Glob if is_expression(text) => Some((
            format!("`{text}` is a glob here, not a regular expression"),
            "write `{ matches: … }`, or a glob: `*`, `?`, `[abc]`",
        )),
        _ if has_wildcard_at_its_end(verb, text) => Some((
            format!("`{text}` is looked for with its `*`, which is no wildcard here"),
            "leave the `*` out: the rest of the text may be anything",
        )),
        _ if is_equality && *field == Field::Text => Some((
            format!("`{text}` is compared with the whole text"),
            "write `{ contains: … }` for a text with it in it",
        )),
        _ if is_equality && is_glob_with_more(text) => Some((
            format!("`{text}` is compared as it stands: its `*` is no wildcard here"),
            "write `{ glob: … }`; only under `match` a value is a glob",
        )),
        _ if is_equality && is_comparison(text) => Some((
            format!("`{text}` is compared as a text: no number equals it"),
            "write `{ greater_than: N }`, or `at_least`, `less_than`, `at_most`",
        )),
        Verb::Matches if text.contains('\u{8}') => Some((
            "the pattern asks for a backspace, which `\\b` is between double quotes".to_owned(),
            "write `\\\\b` there, or use single quotes",
        )),
        Verb::Matches if has_delimiters(text) => Some((
            format!("the slashes in `{text}` are characters of the pattern"),
            "write the pattern alone; `(?i)` before it ignores case",
        )),
        Verb::Matches if has_doubled_escape(text) => Some((
            format!("`{text}` asks for a backslash where a class of characters is meant"),
            "write one backslash, except between double quotes, where it is doubled",
        )),
        _ => None,
    }
}

/// Returns the globs of `applies_to` and the hosts of `protocols`, each with its field and place.
fn scope<'p>(subject: &LintedPolicy<'p>) -> Vec<(Field, &'p str, Place)> {
    let named = |key| top(subject.root, key).into_iter();
    let protocols = named("protocols").flat_map(Node::items);
    let mut globs = Vec::new();
    for (key, field) in [("hosts", Field::Host), ("paths", Field::Path)] {
        let items = named("applies_to").filter_map(|scope| scope.get(key));
        for item in items.flat_map(Node::items) {
            let place = (item.span.clone(), format!("applies_to.{key}"));
            globs.extend(item.text().map(|text| (field.clone(), text, place)));
        }
    }
    for (number, entry) in protocols.enumerate() {
        for item in entry.get("hosts").into_iter().flat_map(Node::items) {
            let place = (item.span.clone(), format!("protocols[{number}].hosts"));
            globs.extend(item.text().map(|text| (Field::Host, text, place)));
        }
    }
    globs
}

/// Returns what is wrong with a host or a path that no request has, and what to write.
fn of_target(field: &Field, value: &str) -> Option<Advice> {
    const NAME: &str = "write the name alone, such as `api.example.com`";
    let port = value.rsplit_once(':').map(|(_, port)| port);
    let has_port = port.is_some_and(|port| {
        !port.is_empty()
            && port
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'*')
    });
    match field {
        Field::Host if value.contains('/') => Some((
            format!("`{value}` is no host: a host has neither scheme nor path"),
            NAME,
        )),
        Field::Host if value.starts_with('[') && value.contains(':') => Some((
            format!("the brackets in `{value}` are a set of characters"),
            "write `[[]` for the first one: `[[]::1]`",
        )),
        Field::Host if has_port => Some((
            format!("no request has the host `{value}`: it is compared without its port"),
            NAME,
        )),
        Field::Host if value.ends_with('.') => Some((
            format!("no request has the host `{value}`: it is compared without dots at its end"),
            NAME,
        )),
        Field::Host if !value.is_ascii() => Some((
            format!("no request has the host `{value}`: a name with other letters arrives encoded"),
            "write it as it is sent: `xn--…`",
        )),
        Field::Path if !value.starts_with(['/', '*', '?', '[']) => Some((
            format!("no request has the path `{value}`: each begins with `/`"),
            "write `/` in front of it, or `**/`",
        )),
        Field::Path if is_with_query(value) => Some((
            format!("no request has the path `{value}`: it is compared without its query"),
            "leave the query out; `query.NAME` is the value of a parameter",
        )),
        _ => None,
    }
}

/// Returns whether a path has a query: `/v1/files?limit=1`.
fn is_with_query(path: &str) -> bool {
    let query = path.split_once('?').map(|(_, query)| query);
    query.is_some_and(|query| query.contains('='))
}

/// Returns whether no value of a field has `|` or `,` in it.
fn has_plain_names(field: &Field) -> bool {
    matches!(
        field,
        Field::Tool
            | Field::Model
            | Field::Server
            | Field::Provider
            | Field::Protocol
            | Field::Host
            | Field::Method
            | Field::Environment
            | Field::Code
    )
}

/// Returns whether a glob is a regular expression: `^a`, `a$`, `.*a.*`, `(a|b)`.
fn is_expression(glob: &str) -> bool {
    let has_group = glob
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .is_some_and(|(inside, _)| inside.contains('|'));
    has_group || glob.starts_with('^') || glob.ends_with('$') || glob.matches(".*").nth(1).is_some()
}

/// Returns whether a text that is looked for begins or ends with a wildcard: `contains: "*secret*"`, `ends_with: "*.pem"`. A
/// `*` that stands alone is meant as it stands: `SELECT *`, `**bold**`.
fn has_wildcard_at_its_end(verb: Verb, text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begins = text.strip_prefix('*').or(text.strip_prefix(".*"));
    let ends = text.strip_suffix('*');
    let before = begins.is_some_and(|rest| rest.starts_with(is_word));
    let behind = ends.is_some_and(|rest| rest.ends_with(is_word));
    match verb {
        Verb::Contains | Verb::ContainsAny | Verb::ContainsAll => before || behind,
        Verb::StartsWith => {
            before || ends.is_some_and(|rest| rest.ends_with(|c| is_word(c) || c == '/'))
        }
        Verb::EndsWith => {
            behind || begins.is_some_and(|rest| rest.starts_with(|c| is_word(c) || c == '/'))
        }
        _ => false,
    }
}

/// Finds words that nothing has, in fields whose values are all known.
pub(super) fn unknown_words(subject: &LintedPolicy<'_>, findings: &mut Findings) {
    let mut tell = |field: &Field, value: &str, is_glob: bool, is_allow: bool, place: Place| {
        if *field == Field::Method {
            if let Some((about, help)) = misspelt_method(value, is_allow) {
                findings.warn(codes::AG1135, place, about, help);
            }
            return;
        }
        let Some((what, known)) = known_words(field, subject) else {
            return;
        };
        // Where a rule restricts, names are compared in any letter case.
        let fits = |word: &&str| match Glob::parse(&value.to_lowercase()) {
            Ok(glob) if is_glob => glob.matches(&word.to_lowercase(), GlobReading::Broad),
            _ if is_allow => **word == *value,
            _ => word.eq_ignore_ascii_case(value),
        };
        if known.iter().any(fits) {
            return;
        }
        let begins = format!("{value}.");
        let help = match nearest(value, &known) {
            _ if known.iter().any(|word| word.starts_with(&begins)) => {
                format!("write a glob for all of them: `{value}.*`")
            }
            Some(near) => format!("did you mean `{near}`?"),
            None => listed(&known).map_or_else(String::new, |names| format!("known are {names}")),
        };
        let about = format!("nothing has the {what} `{value}`");
        findings.warn(codes::AG1135, place, about, help);
    };
    let audience = subject.document.audience.iter();
    let audience = audience.map(|item| (item, false));
    let matched = subject.rules.iter().flat_map(|view| {
        let is_allow = view.written.action == Action::Allow;
        view.written
            .matches
            .iter()
            .map(move |item| (item, is_allow))
    });
    for (item, is_allow) in audience.chain(matched) {
        let is_glob = item.values.iter().any(|value| Glob::is_glob(value));
        for value in &item.values {
            let place = (item.field_ref.span.clone(), item.path.clone());
            tell(&item.field_ref.field, value, is_glob, is_allow, place);
        }
    }
    for view in &subject.rules {
        let is_allow = view.written.action == Action::Allow;
        each_check(view.written, &mut |test, check| {
            let is_glob = check.verb == Verb::Glob;
            if !is_glob && !compares_for_equality(check.verb) {
                return;
            }
            // A list of callers may be kept elsewhere, with some who have no key yet or no longer.
            if test.field_ref.field.is_identity() && !matches!(check.operand, Operand::Value(_)) {
                return;
            }
            for (text, span) in texts_of(check, subject.document) {
                let place = (span, check.path.clone());
                tell(&test.field_ref.field, text, is_glob, is_allow, place);
            }
        });
    }
}

/// Methods of HTTP: RFC 9110, and PATCH.
const HTTP_METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// Returns what is wrong with a method that is a known one but for a slip, and what was meant. Servers have methods of their
/// own, so that others say nothing.
fn misspelt_method(value: &str, is_allow: bool) -> Option<(String, String)> {
    let known: Vec<&str> = HTTP_METHODS.into_iter().chain(rpc_methods()).collect();
    // Where a rule restricts, names are compared in any letter case.
    let is_known = known.iter().any(|known| match is_allow {
        true => *known == value,
        false => known.eq_ignore_ascii_case(value),
    });
    let near = slip_of(value, &known).filter(|_| !is_known && !Glob::is_glob(value))?;
    Some((
        format!("no protocol has the method `{value}`"),
        format!("did you mean `{near}`?"),
    ))
}

/// Returns what the values of a field are, and all of them; `None` if they are not known.
fn known_words<'p>(
    field: &Field,
    subject: &LintedPolicy<'p>,
) -> Option<(&'static str, Vec<&'p str>)> {
    Some(match field {
        Field::Code => {
            let codes = CODES.iter().map(|code| code.id);
            (
                "code",
                codes.filter(|code| code.starts_with("AG2")).collect(),
            )
        }
        Field::Class => ("class", CLASSES.to_vec()),
        Field::Protocol => {
            let names = PROTOCOL_NAMES.iter().copied();
            ("protocol", names.chain(["unknown"]).collect())
        }
        Field::Provider => {
            let mut names: Vec<&'p str> = vec!["other"];
            for name in known_providers() {
                names.push(name);
            }
            let own = subject.policy.document.protocols.iter();
            names.extend(own.filter_map(|entry| entry.provider.as_deref()));
            ("provider", names)
        }
        Field::Client => ("client", callers_by("client", subject)?),
        Field::Tenant => ("tenant", callers_by("tenant", subject)?),
        Field::Agent => ("agent", callers_by("agent", subject)?),
        Field::Roles => ("role", callers_by("roles", subject)?),
        _ => return None,
    })
}

/// Returns the values of a member of the callers, if all who have it are named by API keys of the policy.
fn callers_by<'p>(member: &str, subject: &LintedPolicy<'p>) -> Option<Vec<&'p str>> {
    let sources = subject.policy.document.principals.iter();
    let mut giving = sources
        .filter(|source| source.members().contains(&member))
        .peekable();
    giving.peek()?;
    let mut values = Vec::new();
    for source in giving {
        for principal in source.named_principals()? {
            match (member, &principal.roles) {
                ("roles", Known::Is(roles)) => values.extend(roles.iter().map(|role| &**role)),
                _ => values.extend(principal.claim(member).value().into_iter().flatten()),
            }
        }
    }
    Some(values)
}

/// Returns whether a name is several in another notation, or a regular expression. No tool, model or server has these
/// characters in its name.
fn is_pattern_or_list(name: &str) -> bool {
    name.contains(['|', ',']) || name.starts_with('^') || name.ends_with('$')
}

/// Returns what is in brackets in a glob, if it can't be meant as a set of characters: it has only one, or is a word, whose
/// letters repeat or are in no order.
fn word_in_brackets(glob: &str) -> Option<&str> {
    let mut rest = glob;
    while let Some((_, after)) = rest.split_once('[') {
        let (inside, behind) = after.split_once(']')?;
        rest = behind;
        let is_plain = !inside.is_empty() && inside.chars().all(char::is_alphanumeric);
        let sorted = || {
            let chars = inside.chars();
            chars.clone().zip(chars.skip(1)).all(|(a, b)| a < b)
        };
        let is_long = inside.chars().nth(2).is_some() && inside.contains(char::is_alphabetic);
        if is_plain && (inside.chars().nth(1).is_none() || (is_long && !sorted())) {
            return Some(inside);
        }
    }
    None
}

fn compares_for_equality(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::Equals | Verb::NotEquals | Verb::In | Verb::NotIn
    )
}

/// Returns whether a text has a wildcard beside other characters. `*` alone is a value of its own.
fn is_glob_with_more(text: &str) -> bool {
    text.contains('*') && text.chars().any(|c| c.is_alphanumeric())
}

/// Returns whether a text is a comparison with a number: `>100`, `<= 5`.
fn is_comparison(text: &str) -> bool {
    let number = text
        .trim()
        .strip_prefix(['<', '>'])
        .map(|rest| rest.trim_start_matches('=').trim());
    number.is_some_and(|number| number.parse::<f64>().is_ok())
}

/// Returns whether a pattern is written with delimiters and flags: `/a/i`.
fn has_delimiters(pattern: &str) -> bool {
    let flags = pattern
        .strip_prefix('/')
        .and_then(|rest| rest.rsplit_once('/'))
        .map(|(_, flags)| flags);
    flags.is_some_and(|flags| !flags.is_empty() && flags.chars().all(|c| "gimsuy".contains(c)))
}

/// Returns whether a pattern has a literal backslash before a repeated class, `\\d+`: it is written so between double quotes only.
fn has_doubled_escape(pattern: &str) -> bool {
    pattern.match_indices(r"\\").any(|(at, found)| {
        let mut rest = pattern
            .get(at.saturating_add(found.len())..)
            .unwrap_or_default()
            .chars();
        rest.next()
            .is_some_and(|c| matches!(c, 'd' | 'D' | 's' | 'S' | 'w' | 'W'))
            && rest
                .next()
                .is_some_and(|c| matches!(c, '+' | '*' | '?' | '{'))
    })
}
