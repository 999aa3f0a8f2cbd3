//! Audio: `POST …/audio/speech` turns text into sound; `…/audio/transcriptions` and `…/audio/translations` turn sound into
//! text, as forms (OpenRouter: as JSON).

mod stream;

use super::coverage::shown;
use super::json_edit::replace_present;
use super::openai_shapes::{generated_media, model, models, read_answer, read_input};
use super::reader::{Origin, Reader, Row, Type};
use super::routes::{RouteSpec, json};
use super::stream::{StreamReader, TextStream};
use super::{
    BodyForm, CannotRemove, CoverageRow, Dialect, Endpoint, Format, Protocol, RequestContext,
    ResponseEdit, ResponseForm, TEXT_RESPONSE, TEXTS,
};
use crate::event::{Author, Part};
use crate::wire::json::{self, Value};

/// The format.
pub(super) struct OpenAiAudio;

const ROUTES: &[RouteSpec] = &[
    json("audio/speech", "audio.speech").response(ResponseForm::Media),
    json("audio/transcriptions", "audio.transcriptions")
        .body(BodyForm::Multipart)
        .response(ResponseForm::Transcript),
    json("audio/translations", "audio.translations")
        .body(BodyForm::Multipart)
        .response(ResponseForm::Transcript),
];

const REQUEST: &[Row] = &[
    ("model", Type::Read(model)),
    ("models", Type::Read(models)),
    ("input", Type::Read(speech)),
    ("prompt", Type::Text(Part::Text)),
    ("instructions", Type::Read(instructions)),
    ("file", Type::ReadOf(sound)),
    ("file_url", Type::ReadOf(sound)),
    ("input_audio", Type::ReadOf(sound)),
    ("stream", Type::Stream),
    ("voice", Type::Read(voice)),
    ("known_speaker_references[]", Type::ReadOf(sound)),
    ("known_speaker_references", Type::ReadOf(sound)),
    ("known_speaker_names[]", Type::Tree(Part::Name)),
    ("known_speaker_names", Type::Tree(Part::Name)),
    ("speed", Type::Number),
    ("temperature", Type::Number),
    ("language", Type::Id),
    (
        "response_format",
        Type::Word("json|text|srt|verbose_json|vtt|diarized_json|mp3|opus|aac|flac|wav|pcm"),
    ),
    ("stream_format", Type::Word("sse|audio")),
    ("chunking_strategy", Type::Word("auto")),
    (
        "timestamp_granularities[]",
        Type::List(&Type::Word("word|segment")),
    ),
    ("include[]", Type::List(&Type::Word("logprobs"))),
];
const RESPONSE: &[Row] = &[
    ("text", Type::Text(Part::Transcript)),
    ("task", Type::Id),
    ("language", Type::Id),
    ("duration", Type::Number),
    ("segments", Type::List(&Type::Object(SEGMENT))),
    ("words", Type::List(&Type::Object(SEGMENT))),
    ("logprobs", Type::Tokens),
    // Mistral answers with the sound inside JSON.
    ("audio_data", Type::Read(generated_media)),
    ("x_groq", Type::Object(&[("id", Type::Id)])),
];
/// Segment of a transcript, or one word of it.
const SEGMENT: &[Row] = &[
    ("id", Type::Id),
    ("type", Type::Id),
    ("seek", Type::Number),
    ("start", Type::Number),
    ("end", Type::Number),
    ("text", Type::Text(Part::Transcript)),
    ("word", Type::Text(Part::Transcript)),
    ("speaker", Type::Text(Part::Name)),
    ("tokens", Type::Numbers),
    ("temperature", Type::Number),
    ("avg_logprob", Type::Number),
    ("compression_ratio", Type::Number),
    ("no_speech_prob", Type::Number),
];

static FORMAT: Format = Format {
    name: "openai.audio",
    dialect: Dialect::OpenAi,
    routes: ROUTES,
    coverage: &[CoverageRow {
        route: shown("`POST …/audio/speech`, `…/audio/transcriptions`, `…/audio/translations`"),
        request: TEXTS,
        response: TEXT_RESPONSE,
        stream: TEXT_RESPONSE,
    }],
};

impl Protocol for OpenAiAudio {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        read_input(reader, root, endpoint, REQUEST);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        read_answer(reader, root, RESPONSE);
    }

    /// Keeps only the whole transcript after an edit: an edited range may be spread over several of its segments, words
    /// and tokens.
    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        edit.removals.only_edits()?;
        for name in ["segments", "words", "logprobs"] {
            replace_present(edit.root, name, b"[]", edit.edits);
        }
        Ok(())
    }

    fn stream(&self, context: &RequestContext) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(TextStream::new(stream::AUDIO_STREAM, context)))
    }
}

fn instructions(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.text(value, &Origin::of(Author::System, Part::Text));
}

/// Text to speak; or texts, each in its own voice (OpenRouter).
fn speech(reader: &mut Reader<'_>, value: Value<'_>) {
    const TURN: &[Row] = &[
        ("text", Type::Text(Part::Text)),
        ("instructions", Type::Read(instructions)),
        ("voice", Type::Read(voice)),
    ];
    const TURNS: Type = Type::List(&Type::Object(TURN));
    let of = match value.kind() {
        json::ValueKind::Array => TURNS,
        _ => Type::Text(Part::Text),
    };
    reader.value(value, of, &Origin::of(Author::User, Part::Text));
}

fn voice(reader: &mut Reader<'_>, value: Value<'_>) {
    match value.kind() {
        json::ValueKind::String => reader.id(value),
        _ => reader.object(value, &["id"], |reader, _, value| reader.id(value)),
    }
}

/// Something to listen to: a file of a form, a URL, or base64 in JSON. It is what the request is about, not a part of a
/// message, and not counted among those.
fn sound(reader: &mut Reader<'_>, value: Value<'_>, origin: &Origin) {
    match value.kind() {
        json::ValueKind::Array => reader.array(value, |reader, value| sound(reader, value, origin)),
        json::ValueKind::Object if value.get("filename").is_some() => {
            reader.file(value);
        }
        json::ValueKind::Object => {
            reader.uninspectable(value, "attachment");
            reader.object(
                value,
                &["data", "format", "url"],
                |reader, key, value| match key {
                    "data" => reader.media(value),
                    "url" => reader.url(value, origin),
                    _ => reader.id(value),
                },
            );
        }
        _ => {
            reader.uninspectable(value, "attachment");
            reader.url(value, origin);
        }
    }
}
