//! Values of an event's fields, found on demand.

use super::path_readings;
use crate::detect::fold_name;
use crate::event::{Event, Facts, Form, Known, Models, RpcMessage};
use crate::policy::context::Context;
use crate::policy::field::{Field, RequestField, UsageField};
use crate::policy::joined;
use crate::policy::operators::Polarity;
use crate::policy::scalar::{Scalar, TextValue};
use crate::wire::json::{self, Inside, JsonPath, Value};
use crate::wire::span::index;
use crate::wire::work;
use std::borrow::Cow;

/// Work steps for comparing the name of a tool with the name of one defined tool.
const STEPS_PER_OFFERED_NAME: usize = 16;

/// How arrays are passed to a visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrays {
    /// Element by element, at any depth.
    Opened,
    /// An array with at least one plain value is passed as a whole: its values belong together, as the words of a command
    /// do. Other arrays are passed element by element.
    Whole,
}

/// Which of the values that a path may lead to are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathReading {
    /// Whether only values are visited that other readers may take for the named one. Otherwise only values under exactly
    /// the names in the policy are visited.
    pub(crate) others: bool,
    /// Whether the elements of an array in a JSON string count as such other values.
    pub(crate) opens: bool,
    /// Whether the elements of an array, joined to one text, count as such another value.
    pub(crate) joins: bool,
}

impl PathReading {
    /// Only values under exactly the names in the policy.
    pub(crate) const NAMED: PathReading = PathReading {
        others: false,
        opens: false,
        joins: false,
    };
    /// Only values that other readers may take for the named one.
    pub(crate) const OTHERS: PathReading = PathReading {
        others: true,
        opens: false,
        joins: false,
    };
}

/// Whether a field has values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// No value exists.
    Missing,
    /// The value can't be determined.
    Unknown,
    /// The visited values have the names in the policy, but other readers may take other values for the field.
    Ambiguous,
    /// Values were visited; `and_unknown`: more values exist that can't be determined.
    Present { and_unknown: bool },
}

const PRESENT: Presence = Presence::Present { and_unknown: false };

/// Calls `visit` with each value of a field. Returns whether there are values, including those that could not be visited.
pub(crate) fn visit<'a>(
    field: &Field,
    event: &'a Event,
    context: &Context<'a>,
    reading: PathReading,
    arrays: Arrays,
    visit: &mut dyn FnMut(Scalar<'a>),
) -> Presence {
    let facts = context.facts;
    let is_path = matches!(field, Field::Params(_) | Field::Args(_) | Field::Result(_));
    if reading.others && !is_path {
        let has_lists = reading.joins
            && *field == Field::Text
            && context.each_list(event, &mut |list| visit(Scalar::Text(list)));
        return match has_lists {
            true => PRESENT,
            false => Presence::Missing,
        };
    }
    match field {
        Field::Protocol => name(&facts.protocol, visit),
        Field::Provider => name(&facts.provider, visit),
        Field::Host => name(&facts.host, visit),
        // All messages of a JSON-RPC protocol have one HTTP method. The method of the message is tested instead.
        Field::Method => match rpc(event, context) {
            Some(message) => one(message.method.as_deref().map(Scalar::text), visit),
            None => name(&facts.method, visit),
        },
        Field::Server => name(&facts.server, visit),
        Field::Environment => name(&facts.environment, visit),
        Field::Client => name(&facts.principal.client, visit),
        Field::Tenant => name(&facts.principal.tenant, visit),
        Field::Agent => name(&facts.principal.agent, visit),
        Field::Tool => name(&event.tool, visit),
        Field::In => one(Some(Scalar::text(event.direction.word())), visit),
        Field::Part => one(Some(Scalar::text(event.part.word())), visit),
        Field::Turn => one(Some(Scalar::text(event.turn.word())), visit),
        Field::ProviderRun => one(Some(Scalar::Bool(event.provider_run, None)), visit),
        Field::Unoffered => match is_unoffered(event, facts) {
            Some(unoffered) => one(Some(Scalar::Bool(unoffered, None)), visit),
            None => Presence::Unknown,
        },
        Field::Code => one(event.code.map(Scalar::text), visit),
        Field::Class => one(event.opacity.map(Scalar::text), visit),
        Field::Uri => {
            let uri = rpc(event, context).and_then(|message| message.uri.as_deref());
            one(uri.map(Scalar::text), visit)
        }
        Field::ContentType => one(facts.content_type.as_deref().map(Scalar::text), visit),
        // The path as received and as a server normalizes it, so that neither spelling evades a rule.
        Field::Path => names(&facts.paths, visit),
        Field::Model => models(&facts.models, visit),
        Field::Roles => names(&facts.principal.roles, visit),
        Field::Principal(name) => match facts.principal.claim(name) {
            Known::Missing => Presence::Missing,
            Known::Unknown => Presence::Unknown,
            Known::Is(values) => {
                for value in values {
                    visit(Scalar::text(value));
                }
                PRESENT
            }
        },
        Field::Header(name) => headers(name, facts, visit),
        Field::From => known(&event.from, |author| visit(Scalar::text(author.word()))),
        Field::Ok => known(&event.ok, |ok| visit(Scalar::Bool(*ok, None))),
        Field::Request(field) => request(field, context, visit),
        Field::Usage(field) => {
            let usage = &context.reading.usage;
            let value = match field {
                UsageField::Input => usage.input_tokens,
                UsageField::Output => usage.output_tokens,
                UsageField::Cached => usage.cached_tokens,
                UsageField::Reasoning => usage.reasoning_tokens,
            };
            one(value.map(Scalar::number), visit)
        }
        Field::Finish => {
            let reason = context.reading.finish.get(index(event.choice));
            one(reason.map(|reason| Scalar::text(&**reason)), visit)
        }
        Field::Text | Field::Definition => {
            let presence = texts(event, context, visit);
            match reading.joins && *field == Field::Text && context.has_lists(event) {
                true => Presence::Ambiguous,
                false => presence,
            }
        }
        Field::Params(path) => match rpc(event, context)
            .map_or(context.reading.params, |message| message.params)
            .and_then(|place| context.value(place))
        {
            Some(root) => json_values(root, path, context, reading, arrays, visit),
            None => Presence::Missing,
        },
        Field::Args(path) => at_place(&event.args, path, context, reading, arrays, visit),
        Field::Result(path) => at_place(&event.result, path, context, reading, arrays, visit),
        // The clock, the conversation history and the items of lists are tested elsewhere. Rules about sessions are
        // rejected when the policy is compiled.
        Field::Time | Field::Session(_) | Field::Earlier | Field::Item(_) => Presence::Unknown,
    }
}

/// Visits a fact, if it is known.
fn known<'a, T>(fact: &'a Known<T>, visit: impl FnOnce(&'a T)) -> Presence {
    match fact {
        Known::Missing => Presence::Missing,
        Known::Unknown => Presence::Unknown,
        Known::Is(fact) => {
            visit(fact);
            PRESENT
        }
    }
}

fn name<'a>(name: &'a Known<Box<str>>, visit: &mut dyn FnMut(Scalar<'a>)) -> Presence {
    known(name, |name| visit(Scalar::text(&**name)))
}

fn names<'a>(names: &'a Known<Vec<Box<str>>>, visit: &mut dyn FnMut(Scalar<'a>)) -> Presence {
    known(names, |names| {
        for name in names {
            visit(Scalar::text(&**name));
        }
    })
}

/// Visits a value, if there is one.
fn one<'a>(value: Option<Scalar<'a>>, visit: &mut dyn FnMut(Scalar<'a>)) -> Presence {
    match value {
        Some(value) => {
            visit(value);
            PRESENT
        }
        None => Presence::Missing,
    }
}

fn models<'a>(models: &'a Models, visit: &mut dyn FnMut(Scalar<'a>)) -> Presence {
    for model in &models.names {
        visit(Scalar::text(&**model));
    }
    match (models.names.is_empty(), models.unknown) {
        (true, true) => Presence::Unknown,
        (true, false) => Presence::Missing,
        (false, and_unknown) => Presence::Present { and_unknown },
    }
}

/// Visits the values of a header. `*` names all headers, and `?*` all parameters of the query.
fn headers<'a>(name: &str, facts: &'a Facts, visit: &mut dyn FnMut(Scalar<'a>)) -> Presence {
    let mut presence = Presence::Missing;
    for (header, value) in &facts.headers {
        let is_meant = match name {
            "*" => !header.starts_with('?'),
            "?*" => header.starts_with('?'),
            _ => **header == *name,
        };
        if is_meant {
            presence = PRESENT;
            visit(Scalar::text(String::from_utf8_lossy(value)));
        }
    }
    presence
}

/// Value that an approval is bound to.
#[derive(Clone, Debug)]
pub(crate) enum BoundValue<'a> {
    /// Value in the body.
    Json(Value<'a>),
    /// Text fact of the exchange.
    Text(Cow<'a, str>),
    /// Number of the exchange, as written in JSON.
    Number(Cow<'a, str>),
    /// Boolean fact of the exchange.
    Bool(bool),
}

/// Calls `visit` with each value of a field, with arrays and objects as a whole. Returns whether these are certainly all
/// values, for every reader of the body.
pub(crate) fn each_bound<'a>(
    field: &Field,
    event: &'a Event,
    context: &Context<'a>,
    visit: &mut dyn FnMut(BoundValue<'a>),
) -> bool {
    let (root, path) = match field {
        Field::Args(path) => (event.args.clone(), path),
        Field::Result(path) => (event.result.clone(), path),
        Field::Params(path) => {
            let params =
                rpc(event, context).map_or(context.reading.params, |message| message.params);
            (params.into(), path)
        }
        _ => return each_fact(field, event, context, visit),
    };
    let root = match root {
        Known::Missing => return true,
        Known::Unknown => return false,
        Known::Is(place) => match context.value(place) {
            Some(root) => root,
            None => return false,
        },
    };
    let mut is_certain = true;
    let unread = path_readings::each(root, path, context.json, &mut |reached| {
        is_certain &= reached.as_named;
        visit(BoundValue::Json(reached.value));
    });
    is_certain && !unread
}

fn each_fact<'a>(
    field: &Field,
    event: &'a Event,
    context: &Context<'a>,
    each: &mut dyn FnMut(BoundValue<'a>),
) -> bool {
    let mut is_plain = true;
    let presence = visit(
        field,
        event,
        context,
        PathReading::NAMED,
        Arrays::Whole,
        &mut |scalar| match scalar {
            Scalar::Text(text) => each(BoundValue::Text(text.text())),
            Scalar::Number(number, _) => each(BoundValue::Number(number)),
            Scalar::Bool(value, _) => each(BoundValue::Bool(value)),
            Scalar::Null | Scalar::Object(_) | Scalar::Array(_) => is_plain = false,
        },
    );
    is_plain && matches!(presence, Presence::Missing | PRESENT)
}

/// Returns whether a call names a tool that the request does not define; `None` if that is unknown. A tool that the
/// provider runs counts as defined.
fn is_unoffered(event: &Event, facts: &Facts) -> Option<bool> {
    match (&event.unoffered, &facts.offered, &event.tool) {
        (Known::Is(unoffered), _, _) => Some(*unoffered),
        (Known::Unknown, _, _) => None,
        _ if event.provider_run => Some(false),
        (Known::Missing, Known::Is(offered), Known::Is(tool)) => {
            work::spend(offered.len().saturating_mul(STEPS_PER_OFFERED_NAME));
            let name = fold_name(tool);
            Some(offered.iter().all(|offered| fold_name(offered) != name))
        }
        _ => None,
    }
}

/// Visits the names of a tool: its own and, if the policy names the server, `server/tool`. Deny-side tests see both.
/// Allow-side tests don't see an own name with a `/` at any server, named or not, because it could be taken for a tool of
/// another server. With `joined`, the visitor also sees the names that the tool may have at a server whose name the client
/// put in front.
pub(crate) fn tool_names<'a>(
    event: &'a Event,
    facts: &Facts,
    side: Polarity,
    joined: Option<JoinedNames>,
    visit: &mut dyn FnMut(Scalar<'a>),
) -> Presence {
    let tool = match &event.tool {
        Known::Missing => return Presence::Missing,
        Known::Unknown => return Presence::Unknown,
        Known::Is(tool) => tool,
    };
    let qualified = facts.qualified(tool);
    let is_own = facts.server == Known::Missing || !tool.contains('/');
    if is_own || side == Polarity::Restricting {
        visit(Scalar::text(&**tool));
    }
    if let Some(qualified) = qualified {
        visit(Scalar::text(qualified));
    }
    if let Some(JoinedNames { qualified }) = joined {
        joined::each(tool, qualified, &mut |name| visit(Scalar::text(name)));
    }
    PRESENT
}

/// Which names are read from a name that joins a server's and a tool's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JoinedNames {
    /// Whether `server/tool` is also read.
    pub(crate) qualified: bool,
}

/// Returns the JSON-RPC message that an event belongs to.
fn rpc<'a>(event: &Event, context: &Context<'a>) -> Option<&'a RpcMessage> {
    context.reading.rpc.get(index(event.rpc?))
}

fn request<'a>(
    field: &RequestField,
    context: &Context<'a>,
    visit: &mut dyn FnMut(Scalar<'a>),
) -> Presence {
    let request = &context.facts.request;
    let number = match field {
        RequestField::MessageCount => request.message_count,
        RequestField::Roles(role) => request.messages_by(role),
        RequestField::EstimatedTokens => request.estimated_tokens,
        RequestField::Bytes => request.bytes,
        RequestField::MaxTokens => request.max_tokens,
        RequestField::Stream => {
            return one(
                request.stream.map(|stream| Scalar::Bool(stream, None)),
                visit,
            );
        }
        RequestField::Tools => {
            let Some(tools) = &request.tools else {
                return Presence::Missing;
            };
            for tool in tools {
                visit(Scalar::text(&**tool));
            }
            return PRESENT;
        }
        RequestField::Region => return name(&request.region, visit),
    };
    one(number.map(Scalar::number), visit)
}

fn texts<'a>(event: &Event, context: &Context<'a>, visit: &mut dyn FnMut(Scalar<'a>)) -> Presence {
    let mut presence = Presence::Missing;
    for number in event.texts.clone() {
        let Some(text) = context.text(number) else {
            continue;
        };
        presence = PRESENT;
        visit(Scalar::Text(text));
    }
    presence
}

/// Returns a list as one text.
pub(super) fn line(list: Value<'_>) -> TextValue<'_> {
    TextValue::line(path_readings::line(list), list)
}

fn at_place<'a>(
    place: &Known<json::NodeId>,
    path: &JsonPath,
    context: &Context<'a>,
    reading: PathReading,
    arrays: Arrays,
    visit: &mut dyn FnMut(Scalar<'a>),
) -> Presence {
    match place {
        Known::Missing => Presence::Missing,
        Known::Unknown => Presence::Unknown,
        Known::Is(place) => match context.value(*place) {
            Some(root) => json_values(root, path, context, reading, arrays, visit),
            None => Presence::Missing,
        },
    }
}

/// Visits the values that a path leads to.
pub(crate) fn json_values<'a>(
    root: Value<'a>,
    path: &JsonPath,
    context: &Context<'a>,
    reading: PathReading,
    arrays: Arrays,
    visit: &mut dyn FnMut(Scalar<'a>),
) -> Presence {
    let mut found = false;
    let mut others = false;
    let mut doubt = false;
    let unread = path_readings::each(root, path, context.json, &mut |reached| {
        others |= !reached.as_named;
        if reached.as_named != reading.others {
            give(reached.value, context, arrays, &mut |scalar| {
                found = true;
                visit(scalar);
            });
        }
        if reading.opens {
            doubt |= each_array_in_strings(reached.value, context, &mut |array| {
                others = true;
                if reading.others {
                    found = true;
                    give(array, context, arrays, visit);
                }
            });
        }
        if reading.joins {
            path_readings::each_line(reached.value, context.json, &mut |list| {
                others = true;
                if reading.others {
                    found = true;
                    visit(Scalar::Text(line(list)));
                }
            });
        }
    });
    let unread = unread || doubt;
    match (reading.others, found) {
        (true, false) if !unread => Presence::Missing,
        (true, _) => Presence::Present {
            and_unknown: unread,
        },
        (false, _) if others || unread => Presence::Ambiguous,
        (false, true) => PRESENT,
        (false, false) => Presence::Missing,
    }
}

/// Calls `found` with every array in a JSON string, where the string is the value itself or an element of an array, at any
/// depth. Returns whether some string could not be read.
fn each_array_in_strings<'a>(
    value: Value<'a>,
    context: &Context<'a>,
    found: &mut dyn FnMut(Value<'a>),
) -> bool {
    match value.kind() {
        json::ValueKind::Array => {
            let mut doubt = false;
            for element in value.elements() {
                doubt |= each_array_in_strings(element, context, found);
            }
            doubt
        }
        json::ValueKind::String => match context.json.inside(value) {
            Inside::Json(inner) if inner.kind() == json::ValueKind::Array => {
                found(inner);
                each_array_in_strings(inner, context, found)
            }
            Inside::Json(inner) => {
                inner.kind() == json::ValueKind::String
                    && each_array_in_strings(inner, context, found)
            }
            Inside::Unread => true,
            Inside::Nothing => false,
        },
        _ => false,
    }
}

/// Visits a value as scalars.
fn give<'a>(
    value: Value<'a>,
    context: &Context<'a>,
    arrays: Arrays,
    visit: &mut dyn FnMut(Scalar<'a>),
) {
    let is_plain = |value: Value<'_>| {
        !matches!(
            value.kind(),
            json::ValueKind::Array | json::ValueKind::Object
        )
    };
    match value.kind() {
        json::ValueKind::Array if arrays == Arrays::Whole && value.elements().any(is_plain) => {
            visit(Scalar::Array(value));
        }
        json::ValueKind::Array => {
            for element in value.elements() {
                give(element, context, arrays, visit);
            }
        }
        json::ValueKind::Null => visit(Scalar::Null),
        json::ValueKind::Bool(is_true) => visit(Scalar::Bool(is_true, Some(value))),
        json::ValueKind::Number => visit(Scalar::Number(
            value.number().unwrap_or_default().into(),
            Some(value),
        )),
        json::ValueKind::Object => visit(Scalar::Object(value)),
        json::ValueKind::String => visit(Scalar::Text(context.string(value))),
    }
}

/// Relation of a text to the value that it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextRelation {
    /// The value itself, or a string in it.
    Itself,
    /// A key or number inside a searched object or body. The rule does not name it, but text may hide in it.
    Beside,
}

/// Visits the texts in a scalar, as text operators read it: a string is one text, an object has its strings, numbers and
/// booleans are as written, and `null` has none. Keys and numbers are also visited, as [`TextRelation::Beside`].
pub(crate) fn text_parts<'a>(
    scalar: Scalar<'a>,
    visit: &mut dyn FnMut(TextValue<'a>, TextRelation),
) {
    match scalar {
        Scalar::Null | Scalar::Array(_) => {}
        Scalar::Bool(value, place) => {
            let text = if value { "true" } else { "false" };
            visit(TextValue::plain(text.into(), place), TextRelation::Itself);
        }
        Scalar::Number(text, place) => visit(TextValue::plain(text, place), TextRelation::Itself),
        Scalar::Text(text) => {
            let part = match text.form {
                Form::String => TextRelation::Itself,
                Form::Key | Form::Number => TextRelation::Beside,
            };
            visit(text, part);
        }
        Scalar::Object(value) => {
            for node in value.descendants() {
                let value = node.value;
                match value.kind() {
                    json::ValueKind::String if node.is_key => {
                        visit(
                            TextValue::in_body(value, None, Form::Key),
                            TextRelation::Beside,
                        );
                    }
                    json::ValueKind::String => {
                        visit(
                            TextValue::in_body(value, None, Form::String),
                            TextRelation::Itself,
                        );
                    }
                    json::ValueKind::Number => {
                        visit(
                            TextValue::in_body(value, None, Form::Number),
                            TextRelation::Beside,
                        );
                    }
                    _ => {}
                }
            }
        }
    }
}
