//! Any other JSON endpoint in a policy. The policy defines the positions of models, texts and calls in its bodies.
//! Everything else is unknown, and evaluated as text.

mod stream;

use super::coverage::{CoverageRow, Inspected, shown};
use super::reader::{CallBuilder, Origin, Reader, is_case_variant};
use super::stream::StreamReader;
use super::{
    BodyForm, CannotRemove, Dialect, Endpoint, Format, Protocol, RemovalMethod, RequestContext,
    ResponseEdit, RouteHead, text_framing,
};
use crate::diag::codes;
use crate::event::{
    Author, CustomCallFormat, CustomFormat, Direction, Event, Kind, Known, Part, Turn,
};
use crate::wire::frame::Framing;
use crate::wire::http::MediaType;
use crate::wire::json::{self, JsonPath, Value};
use crate::wire::span::offset;
use stream::GenericStream;

/// The protocol of such endpoints.
pub(super) struct Generic;

static FORMAT: Format = Format {
    name: "generic",
    dialect: Dialect::OpenAi,
    routes: &[],
    coverage: &[CoverageRow {
        route: shown("any path that the policy names under `protocols`"),
        request: Inspected::As(&[Kind::Request, Kind::Message, Kind::ToolCall]),
        response: Inspected::As(&[Kind::Response, Kind::ToolCall]),
        stream: Inspected::As(&[Kind::Response, Kind::ToolCall]),
    }],
};

impl Protocol for Generic {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, _: &RouteHead<'_>) -> Option<Endpoint> {
        None
    }

    fn assume(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let body = match head.method {
            "POST" | "PUT" | "PATCH" => BodyForm::Json,
            "GET" | "HEAD" | "DELETE" => BodyForm::Absent,
            _ => return None,
        };
        Some(Endpoint {
            body,
            ..Endpoint::named("generic")
        })
    }

    /// Returns [`RemovalMethod::Whole`]: it is unknown whether a response of unknown form is valid without a part.
    fn removal(&self, _: Kind) -> RemovalMethod {
        RemovalMethod::Whole
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        reader.reading.params = Some(root.place());
        if let Some(shape) = endpoint.shape.as_deref() {
            read(reader, root, shape, false);
        }
        let event = Event::new(Kind::Request, Direction::Request, root.place());
        reader.reading.add(event);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        if let Some(shape) = context.endpoint.shape.as_deref() {
            read(reader, root, shape, false);
        }
    }

    fn remove_from_response(&self, _: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        Ok(())
    }

    fn framing(&self, _: &RequestContext, media: MediaType) -> Option<Framing> {
        match media {
            MediaType::AmazonEventStream => Some(Framing::Amazon),
            media => text_framing(media),
        }
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        let shape = context.endpoint.shape.clone().unwrap_or_default();
        Some(Box::new(GenericStream::new(shape)))
    }
}

/// Maximum texts that one path selects in one frame and that continue in the next.
const MOST_TEXTS: u32 = 1_000;

/// Reads the values that the paths select. A value of another type than its path declares stays unknown, because the
/// policy may match only one direction. Calls come first, so that a path to all texts does not take their arguments.
/// In a frame of a stream, the first text of a path continues in the first of the next frame, the second in the
/// second.
fn read(reader: &mut Reader<'_>, root: Value<'_>, shape: &CustomFormat, is_frame: bool) {
    for calls in &shape.calls {
        report_variants(reader, root, &calls.at);
        calls.at.each(root, &mut |value| call(reader, value, calls));
    }
    for path in &shape.models {
        report_variants(reader, root, path);
        path.each(root, &mut |value| {
            if let json::ValueKind::String = value.kind()
                && let Some(model) = reader.name(value)
            {
                reader.add_model(&model);
            }
        });
    }
    for path in &shape.ids {
        path.each(root, &mut |value| {
            if value.kind() == json::ValueKind::String {
                reader.id(value);
            }
        });
    }
    let mut origin = Origin::new(reader.author(Author::User), Part::Text, Turn::Latest);
    for (number, path) in shape.texts.iter().enumerate() {
        let first = offset(number).saturating_mul(MOST_TEXTS);
        let mut count = 0u32;
        path.each(root, &mut |value| {
            for node in value.descendants() {
                if node.value.kind() == json::ValueKind::String
                    && !node.is_key
                    && !reader.is_claimed_value(node.value)
                {
                    let item = first.saturating_add(count.min(MOST_TEXTS.saturating_sub(1)));
                    origin.piece_of = is_frame.then_some(item);
                    count = count.saturating_add(1);
                    reader.text(node.value, &origin);
                }
            }
        });
    }
}

/// Reports members of a request that servers which fold the case of keys take for those of a path.
fn report_variants(reader: &mut Reader<'_>, root: Value<'_>, path: &JsonPath) {
    if reader.direction() == Direction::Response {
        return;
    }
    path.each_name(root, &mut |object, name| {
        for (key, _) in object.members() {
            let is_variant = |key: &str| key != name && is_case_variant(key, name);
            if key.text().is_some_and(|key| is_variant(&key)) {
                let what = format!("a key that some servers read as `{name}`");
                reader.problem(codes::AG2002, key, &what);
            }
        }
    });
}

fn call(reader: &mut Reader<'_>, value: Value<'_>, shape: &CustomCallFormat) {
    report_variants(reader, value, &shape.name);
    let is_request = reader.direction() == Direction::Request;
    let mut tool: Known<Box<str>> = Known::Missing;
    shape.name.each(value, &mut |value| {
        let name = match value.kind() {
            json::ValueKind::String => reader.name(value),
            json::ValueKind::Null => return,
            _ if is_request => None,
            _ => return,
        };
        // Of several names, or of none that can be read, the server chooses.
        tool = match (&tool, name) {
            (Known::Missing, Some(name)) => Known::Is(name.into()),
            (Known::Is(first), Some(name)) if **first == *name => return,
            _ => Known::Unknown,
        };
    });
    if tool == Known::Missing {
        return;
    }
    let mut built = CallBuilder::at(reader, value);
    built.event.tool = tool;
    if let Some(args) = &shape.args {
        report_variants(reader, value, args);
        args.each(value, &mut |args| match args.kind() {
            _ if reader.is_claimed_value(args) => {}
            json::ValueKind::Object | json::ValueKind::String | json::ValueKind::Null => {
                built.arguments(reader, args);
            }
            _ => built.given(reader, args, (Known::Unknown, 0..0)),
        });
    }
    built.add(reader);
}
