//! Audio: `POST …/audio/speech` turns text into sound; `…/audio/transcriptions` and `…/audio/translations` turn sound into
//! text, as forms (OpenRouter: as JSON).

mod stream;

use super::coverage::shown;
use super::json_edit::replace_present;
use super::openai_shapes::{self, answer_member, read_answer};
use super::reader::{Origin, Reader, Row, Type};
use super::routes::{RouteSpec, json};
use super::stream::{StreamReader, TextStream};
use super::{
    BodyForm, CannotRemove, CoverageRow, Dialect, Endpoint, Format, Protocol, RequestContext,
    ResponseEdit, ResponseForm, TEXT_ANSWER, TEXTS,
};
use crate::event::{Author, Part};
use crate::wire::json::{self, Value};

/// The format.
pub(super) struct OpenAiAudio;

const ROUTES: &[RouteSpec] = &[
    json("audio/speech", "audio.speech").answer(ResponseForm::Media),
    json("audio/transcriptions", "audio.transcriptions")
        .body(BodyForm::Multipart)
        .answer(ResponseForm::Transcript),
    json("audio/translations", "audio.translations")
        .body(BodyForm::Multipart)
        .answer(ResponseForm::Transcript),
];

const REQUEST: &[Row] = &[
    ("model", Type::Custom),
    ("models", Type::Custom),
    ("input", Type::Text(Part::Text)),
    ("prompt", Type::Text(Part::Text)),
    ("instructions", Type::Custom),
    ("file", Type::Custom),
    ("file_url", Type::Custom),
    ("input_audio", Type::Custom),
    ("stream", Type::Stream),
    ("voice", Type::Custom),
    ("known_speaker_references[]", Type::Custom),
    ("known_speaker_references", Type::Custom),
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
    ("audio_data", Type::Custom),
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
        answer: TEXT_ANSWER,
        stream: TEXT_ANSWER,
    }],
};

impl Protocol for OpenAiAudio {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        openai_shapes::read_input(
            reader,
            root,
            endpoint,
            REQUEST,
            &mut |reader, key, value, user| match key {
                "instructions" => {
                    reader.text(value, &Origin::of(Author::System, Part::Text));
                }
                "voice" => match value.kind() {
                    json::ValueKind::String => reader.id(value),
                    _ => reader.object(value, &["id"], |reader, _, value| reader.id(value)),
                },
                _ => sound(reader, value, user),
            },
        );
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, _: &RequestContext) {
        read_answer(reader, root, RESPONSE, &mut |reader, key, value| {
            match key {
                _ if value.is_null() => reader.claim(value),
                // Mistral answers with the sound inside JSON.
                "audio_data" => {
                    reader.media(value);
                    reader.uninspectable(value, "attachment");
                }
                _ => answer_member(reader, key, value),
            }
        });
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
