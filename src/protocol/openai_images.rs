//! Images: `POST …/images/generations` (OpenRouter: `…/images`) as JSON, `…/images/edits` and `…/images/variations` as forms (xAI: as JSON).

mod stream;

use super::coverage::shown;
use super::openai_shapes::{beside, generated_media, model, models, read_answer, read_input};
use super::reader::{Origin, Reader, Row, Type};
use super::routes::{RouteSpec, json};
use super::stream::{StreamReader, TextStream};
use super::{
    BodyForm, CoverageRow, Dialect, Endpoint, Format, Protocol, RequestContext, TEXT_RESPONSE,
    TEXTS,
};
use crate::event::Part;
use crate::wire::json::{self, Value};

/// The format.
pub(super) struct OpenAiImages;

const ROUTES: &[RouteSpec] = &[
    json("images/generations", "images.generations"),
    // OpenRouter.
    json("images", "images.generations"),
    json("images/edits", "images.edits").body(BodyForm::Multipart),
    json("images/variations", "images.variations").body(BodyForm::Multipart),
];

const REQUEST: &[Row] = &[
    ("model", Type::Read(model)),
    ("models", Type::Read(models)),
    ("prompt", Type::Text(Part::Text)),
    ("negative_prompt", Type::Text(Part::Text)),
    ("image", Type::ReadOf(image)),
    ("image[]", Type::ReadOf(image)),
    ("images", Type::ReadOf(image)),
    ("images[]", Type::ReadOf(image)),
    ("input_references", Type::ReadOf(image)),
    ("mask", Type::ReadOf(image)),
    ("user", Type::Text(Part::Other)),
    ("stream", Type::Stream),
    ("n", Type::Number),
    ("output_compression", Type::Number),
    ("partial_images", Type::Number),
    ("size", Type::Id),
    ("aspect_ratio", Type::Id),
    ("resolution", Type::Id),
    ("quality", Type::Word("standard|hd|low|medium|high|auto")),
    ("style", Type::Word("vivid|natural")),
    ("response_format", Type::Word("url|b64_json")),
    ("background", Type::Word("transparent|opaque|auto")),
    ("moderation", Type::Word("low|auto")),
    ("output_format", Type::Word("png|jpeg|webp")),
    ("input_fidelity", Type::Word("high|low")),
];
const RESPONSE: &[Row] = &[
    ("created", Type::Number),
    ("data", Type::List(&Type::Object(IMAGE))),
    ("background", Type::Id),
    ("output_format", Type::Id),
    ("quality", Type::Id),
    ("size", Type::Id),
];
const IMAGE: &[Row] = &[
    ("b64_json", Type::Read(generated_media)),
    ("url", Type::Read(generated_url)),
    ("revised_prompt", Type::Text(Part::Other)),
    ("mime_type", Type::Id),
];
const REFERENCE: &[Row] = &[
    ("type", Type::Word("image_url|input_image")),
    ("url", Type::ReadOf(reference)),
    ("image_url", Type::ReadOf(reference)),
    ("file_id", Type::State),
];

static FORMAT: Format = Format {
    name: "openai.images",
    dialect: Dialect::OpenAi,
    routes: ROUTES,
    coverage: &[CoverageRow {
        route: shown(
            "`POST …/images/generations`, `…/images`, `…/images/edits`, `…/images/variations`",
        ),
        request: TEXTS,
        response: TEXT_RESPONSE,
        stream: TEXT_RESPONSE,
    }],
};

impl Protocol for OpenAiImages {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        read_input(reader, root, endpoint, REQUEST);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        read_answer(reader, root, RESPONSE);
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(TextStream::new(stream::IMAGE_STREAM, context)))
    }
}

/// Reads the location of an image that the model generated.
fn generated_url(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.url(value, &beside());
    reader.uninspectable(value, "attachment");
}

/// An image to work on: a file of a form, a URL, or a reference in JSON. It is what the request is about, not a part of a
/// message, and not counted among those.
fn image(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    match value.kind() {
        json::ValueKind::Null => reader.claim(value),
        json::ValueKind::String => {
            reader.uninspectable(value, "attachment");
            reader.url(value, origin);
        }
        json::ValueKind::Array => reader.array(value, |reader, value| image(reader, value, origin)),
        _ if value.get("filename").is_some() => {
            reader.file(value);
        }
        _ => {
            reader.uninspectable(value, "attachment");
            reader.plain_rows(value, REFERENCE, origin);
        }
    }
}

/// Reads the URL of an image, or an object that contains one.
fn reference(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    match value.kind() {
        json::ValueKind::String => reader.url(value, origin),
        _ => reader.object(value, &["url"], |reader, _, value| {
            reader.url(value, origin);
        }),
    }
}
