//! Ids of items that the filter puts into a response, and their restoration when a client sends them back.
//!
//! Where the provider stores responses, clients continue by id: `{"type":"item_reference","id":"msg_…"}` (Vercel's AI
//! SDK) or `"previous_response_id":"resp_…"` (openai-agents, LangChain). The provider never received a message of
//! ours, and in the response that it stores a denied call is still open. It would reject the next request (404, or
//! 400 "No tool output found"). So our ids contain, as plain text, what the provider has instead:
//!
//! ```text
//! msg_agentguard~f~fc_68af40~call_abc      the function call `fc_68af40`, whose result is asked for under `call_abc`
//! resp_agentguard~resp_68af3f~fcall_abc    the response `resp_68af3f`, in which `call_abc` is open
//! msg_agentguard_68af40, resp_agentguard_…  nothing
//! ```
//!
//! Before a request is forwarded, such an id is replaced by the provider's own, with a result for each open call that
//! reports the denial. Items that the provider does not have are removed. The filter stores nothing and need not
//! trust the id: a client that invents one gains nothing beyond the provider's own ids.

use super::items::kind_of;
use crate::protocol::json_edit::{remove_elements, remove_members};
use crate::wire::json::{Edits, Value, ValueKind, quote};
use crate::wire::sorted_map::SortedSet;
use crate::wire::span::Span;
use std::borrow::Cow;

/// Prefix of the id of a message that the filter creates.
pub(super) const MESSAGE: &str = "msg_agentguard";

/// Prefix of the id of a response that the filter creates, or in which calls are open.
const RESPONSE: &str = "resp_agentguard";

/// Separator of the parts of an id; no part contains it.
const BETWEEN: char = '~';

/// Maximum bytes of a part of an id. Ids of providers have some 50 characters.
const MOST_BYTES: usize = 128;

/// Maximum open calls in the id of a response.
const MOST_CALLS: usize = 16;

/// Maximum bytes of an id that OpenAI accepts.
const MOST_ID_BYTES: usize = 64;

/// Result of a denied call for the model.
const DENIED: &str = "This call was denied by policy. It did not run.";

/// Kinds of calls that a client answers: each with its letter, the type of the result, and the members that report
/// that nothing ran, before and after the text.
const ANSWERED: &[(&str, char, &str, &str, &str)] = &[
    (
        "function_call",
        'f',
        r#"{"type":"function_call_output","call_id":"#,
        r#","output":"#,
        "}",
    ),
    (
        "custom_tool_call",
        'c',
        r#"{"type":"custom_tool_call_output","call_id":"#,
        r#","output":"#,
        "}",
    ),
    (
        "apply_patch_call",
        'a',
        r#"{"type":"apply_patch_call_output","call_id":"#,
        r#","status":"failed","output":"#,
        "}",
    ),
    (
        "shell_call",
        's',
        r#"{"type":"shell_call_output","call_id":"#,
        r#","output":[{"stdout":"","outcome":{"type":"exit","exit_code":1},"stderr":"#,
        "}]}",
    ),
    (
        "local_shell_call",
        'l',
        r#"{"type":"local_shell_call_output","id":"#,
        r#","output":"#,
        "}",
    ),
    (
        "mcp_approval_request",
        'm',
        r#"{"type":"mcp_approval_response","approval_request_id":"#,
        r#","approve":false,"reason":"#,
        "}",
    ),
];

/// Returns whether an id can be part of one of ours.
fn is_carried(id: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.:".contains(&b);
    (1..=MOST_BYTES).contains(&id.len()) && id.bytes().all(is_plain)
}

/// Call that the client never receives, and whose result the provider waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenCall {
    letter: char,
    item: Box<str>,
    call: Box<str>,
}

impl OpenCall {
    /// Returns the call of an item; `None` if no result of ours could answer it.
    pub(super) fn of(item: Value<'_>) -> Option<OpenCall> {
        let kind = kind_of(item);
        let (_, letter, ..) = ANSWERED.iter().find(|(known, ..)| *known == kind)?;
        let id = |name: &str| {
            let id = item.get(name)?.text()?;
            is_carried(&id).then(|| id.as_ref().into())
        };
        let item: Box<str> = id("id")?;
        let call = match letter {
            'm' => item.clone(),
            _ => id("call_id")?,
        };
        Some(OpenCall {
            letter: *letter,
            item,
            call,
        })
    }

    /// Returns the id of the message in place of the call.
    pub(super) fn message_id(&self) -> String {
        format!("{MESSAGE}~{}~{}~{}", self.letter, self.item, self.call)
    }

    fn of_message(id: &str) -> Option<OpenCall> {
        let mut parts = id.strip_prefix(MESSAGE)?.split(BETWEEN);
        let (Some(""), Some(letter), Some(item), Some(call), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return None;
        };
        OpenCall::read(letter, item, call)
    }

    fn read(letter: &str, item: &str, call: &str) -> Option<OpenCall> {
        let mut letters = letter.chars();
        let letter = letters.next().filter(|_| letters.next().is_none())?;
        let is_known = ANSWERED.iter().any(|(_, known, ..)| *known == letter);
        (is_known && is_carried(item) && is_carried(call)).then(|| OpenCall {
            letter,
            item: item.into(),
            call: call.into(),
        })
    }

    /// Writes the item with the result of the call.
    fn answer(&self, out: &mut Vec<u8>) {
        let known = ANSWERED
            .iter()
            .find(|(_, letter, ..)| *letter == self.letter);
        if let Some((_, _, begin, middle, end)) = known {
            out.extend_from_slice(begin.as_bytes());
            quote(&self.call, out);
            out.extend_from_slice(middle.as_bytes());
            quote(DENIED, out);
            out.extend_from_slice(end.as_bytes());
        }
    }
}

/// Returns the id of a message in place of an item that no id can restore.
pub(super) fn plain_message_id(item_id: &str) -> String {
    let rest = item_id.split_once('_').map_or(item_id, |(_, rest)| rest);
    format!("{MESSAGE}_{}", short(rest))
}

/// Returns the end of an id, so that it is not too long for OpenAI with its prefix.
fn short(id: &str) -> String {
    let most = MOST_ID_BYTES
        .saturating_sub(MESSAGE.len())
        .saturating_sub(1);
    let plain: Vec<char> = id
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_')
        .collect();
    let from = plain.len().saturating_sub(most);
    plain.get(from..).unwrap_or_default().iter().collect()
}

/// Returns the id of a response in which these calls are open. A response that has such an id already gets a longer
/// one. `None` if the id cannot contain them all.
pub(super) fn response_id(id: &str, open: &[Option<OpenCall>]) -> Option<String> {
    let (mut marked, known) = match Restored::of(id) {
        Some(known) => (id.to_owned(), known.open.len()),
        None if is_carried(id) && !id.starts_with(RESPONSE) => (format!("{RESPONSE}~{id}"), 0),
        None => return None,
    };
    if open.len().saturating_add(known) > MOST_CALLS {
        return None;
    }
    for call in open {
        let call = call.as_ref()?;
        marked.push(BETWEEN);
        marked.push(call.letter);
        marked.push_str(&call.call);
    }
    Some(marked)
}

/// Provider's id and open calls in one of our response ids.
struct Restored<'i> {
    id: &'i str,
    open: Vec<OpenCall>,
}

impl<'i> Restored<'i> {
    fn of(id: &'i str) -> Option<Restored<'i>> {
        let mut parts = id
            .strip_prefix(RESPONSE)?
            .strip_prefix(BETWEEN)?
            .split(BETWEEN);
        let id = parts.next().filter(|id| is_carried(id))?;
        let mut open = Vec::new();
        for part in parts {
            let mut letters = part.chars();
            let letter = letters.next()?.to_string();
            if open.len() >= MOST_CALLS {
                return None;
            }
            let call = letters.as_str();
            open.push(OpenCall::read(&letter, call, call)?);
        }
        Some(Restored { id, open })
    }
}

/// Owner of a referenced item, from the provider's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemOwner {
    /// The provider's own item.
    Foreign,
    /// Our id for an item of the provider's.
    Restored,
    /// Our id without an item at the provider.
    Nothing,
}

/// Returns the owner of the item or response with this id.
pub(super) fn standing(id: Option<Value<'_>>) -> ItemOwner {
    let text = id.and_then(|id| id.text()).unwrap_or_default();
    match () {
        () if !text.starts_with(MESSAGE) && !text.starts_with(RESPONSE) => ItemOwner::Foreign,
        () if OpenCall::of_message(&text).is_some() || Restored::of(&text).is_some() => {
            ItemOwner::Restored
        }
        () => ItemOwner::Nothing,
    }
}

/// Returns the path of a request with the provider's own response id, if the path contains one of ours:
/// `/v1/responses/resp_agentguard~resp_1~fcall_1/cancel`.
pub(in crate::protocol) fn restored_path(path: &str) -> Option<String> {
    const BEFORE: &str = "/responses/";
    let end = path.find('?').unwrap_or(path.len());
    let at = path.get(..end)?.find(BEFORE)?.saturating_add(BEFORE.len());
    let (before, rest) = path.split_at_checked(at)?;
    let length = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (id, rest) = rest.split_at_checked(length)?;
    let id = crate::wire::http::percent_decode(id);
    let restored = Restored::of(&id)?;
    Some(format!("{before}{}{rest}", restored.id))
}

/// Replaces our ids by the provider's own, and removes items that the provider does not have.
pub(in crate::protocol) fn restore(root: Value<'_>, edits: &mut Edits) {
    let list = ["input", "items"].iter().find_map(|name| {
        root.get(name)
            .filter(|list| list.kind() == ValueKind::Array)
    });
    let mut answered: SortedSet<Box<str>> = SortedSet::new();
    for item in list.into_iter().flat_map(|list| list.elements()) {
        if kind_of(item).ends_with("_output") {
            let id = item.get("call_id").or_else(|| item.get("id"));
            answered.extend(id.and_then(|id| id.text()).map(|id| Box::from(&*id)));
        }
    }
    let mut answers: Vec<Vec<u8>> = Vec::new();
    if let Some(previous) = root.get("previous_response_id") {
        let id = previous.text().unwrap_or_default();
        match standing(Some(previous)) {
            ItemOwner::Foreign => {}
            ItemOwner::Nothing => remove_members(root, &["previous_response_id"], edits),
            ItemOwner::Restored => {
                if let Some(restored) = Restored::of(&id) {
                    let mut with = Vec::new();
                    quote(restored.id, &mut with);
                    edits.replace(previous, with);
                    for call in &restored.open {
                        answers.extend(answer_once(call, &mut answered));
                    }
                }
            }
        }
    }
    let mut gone = SortedSet::new();
    let mut kept = 0usize;
    for item in list.into_iter().flat_map(|list| list.elements()) {
        kept = kept.saturating_add(1);
        let Some(id) = item
            .get("id")
            .filter(|id| standing(Some(*id)) != ItemOwner::Foreign)
        else {
            continue;
        };
        let text = id.text().unwrap_or_default();
        match (kind_of(item).as_str(), OpenCall::of_message(&text)) {
            ("item_reference", Some(call)) => {
                let mut with = br#"{"type":"item_reference","id":"#.to_vec();
                quote(&call.item, &mut with);
                with.push(b'}');
                if let Some(answer) = answer_once(&call, &mut answered) {
                    with.push(b',');
                    with.extend_from_slice(&answer);
                }
                edits.replace(item, with);
            }
            ("item_reference", None) => {
                kept = kept.saturating_sub(1);
                gone.insert(item.place());
            }
            // The message itself is kept. Its id becomes one that OpenAI accepts: letters, digits, `_` and `-`, at
            // most 64.
            (_, call) if call.is_some() || text.len() > MOST_ID_BYTES => {
                let item_id =
                    call.map_or(Cow::Borrowed(&*text), |call| call.item.into_string().into());
                let mut with = Vec::new();
                quote(&plain_message_id(&item_id), &mut with);
                edits.replace(id, with);
            }
            _ => {}
        }
    }
    if let Some(list) = list.filter(|_| !gone.is_empty()) {
        remove_elements(list, &|place| gone.contains(&place), edits);
    }
    if !answers.is_empty() {
        put_first(root, &answers.join(&b','), kept > 0, edits);
    }
}

/// Returns the result of a call, unless the request contains one already.
fn answer_once(call: &OpenCall, answered: &mut SortedSet<Box<str>>) -> Option<Vec<u8>> {
    if !answered.insert(call.call.clone()) {
        return None;
    }
    let mut out = Vec::new();
    call.answer(&mut out);
    Some(out)
}

/// Inserts items before all others of `input`, whatever its type.
fn put_first(root: Value<'_>, items: &[u8], has_others: bool, edits: &mut Edits) {
    let input = root.get("input").filter(|input| !input.is_null());
    let at = |start: u32, end: u32| Span { start, end };
    match input.map(|input| (input, input.kind())) {
        Some((list, ValueKind::Array)) => {
            let start = list.span().start;
            let comma: &[u8] = if has_others { b"," } else { b"" };
            let with = [b"[", items, comma].concat();
            edits.splice(list.doc(), at(start, start.saturating_add(1)), with);
        }
        Some((text, _)) => {
            let Span { start, end } = text.span();
            let before = [
                b"[",
                items,
                br#",{"type":"message","role":"user","content":"#,
            ]
            .concat();
            edits.splice(text.doc(), at(start, start), before);
            edits.splice(text.doc(), at(end, end), b"}]".to_vec());
        }
        None => {
            let with = [b"[", items, b"]"].concat();
            match root.get("input") {
                Some(null) => edits.replace(null, with),
                None => {
                    let start = root.span().start;
                    let with = [br#"{"input":"#, with.as_slice(), b","].concat();
                    edits.splice(root.doc(), at(start, start.saturating_add(1)), with);
                }
            }
        }
    }
}
