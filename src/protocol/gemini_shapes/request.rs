//! Body of a request for content.

use super::parts::{contents, contents_by};
use super::{SAFETY, tools};
use crate::diag::codes;
use crate::event::{Author, Known, Part};
use crate::protocol::Endpoint;
use crate::protocol::reader::{Origin, Reader, Row, Type};
use crate::wire::json::Value;

const REQUEST: &[Row] = &[
    ("model", Type::Custom),
    ("contents", Type::Read(contents)),
    (
        "systemInstruction",
        Type::Read(|reader, value| contents_by(reader, value, Known::Is(Author::System))),
    ),
    ("tools", Type::Read(tools)),
    ("toolConfig", Type::Read(tool_config)),
    ("generationConfig", Type::Read(generation_config)),
    ("generateContentRequest", Type::Custom),
    ("safetySettings", Type::List(&Type::Object(SAFETY))),
    // System, tools and contents that the provider keeps.
    ("cachedContent", Type::State),
    ("continuationToken", Type::State),
    ("labels", Type::Tree(Part::Other)),
    (
        "modelArmorConfig",
        Type::Object(&[
            ("promptTemplateName", Type::Id),
            ("responseTemplateName", Type::Id),
        ]),
    ),
    (
        "serviceTier",
        Type::Word("standard|flex|priority|unspecified"),
    ),
    ("store", Type::Flag),
    // Members of a cached content.
    ("name", Type::Id),
    ("displayName", Type::Text(Part::Other)),
    ("ttl", Type::Id),
    ("expireTime", Type::Id),
    ("kmsKeyName", Type::Id),
];

const GENERATION: &[Row] = &[
    ("temperature", Type::Number),
    ("topP", Type::Number),
    ("topK", Type::Number),
    (
        "candidateCount",
        Type::Read(|reader, value| reader.answers(value)),
    ),
    ("maxOutputTokens", Type::MaxTokens),
    ("stopSequences", Type::Tree(Part::Other)),
    (
        "responseMimeType",
        Type::Read(|reader, value| reader.media_type(value)),
    ),
    ("responseSchema", Type::Tree(Part::Definition)),
    ("responseJsonSchema", Type::Tree(Part::Definition)),
    ("responseFormat", Type::Tree(Part::Definition)),
    ("responseModalities", Type::List(&Type::Constant)),
    ("responseLogprobs", Type::Flag),
    ("logprobs", Type::Number),
    ("presencePenalty", Type::Number),
    ("frequencyPenalty", Type::Number),
    ("seed", Type::Number),
    ("mediaResolution", Type::Constant),
    ("audioTimestamp", Type::Flag),
    ("enableAffectiveDialog", Type::Flag),
    ("enableEnhancedCivicAnswers", Type::Flag),
    (
        "thinkingConfig",
        Type::Object(&[
            ("includeThoughts", Type::Flag),
            ("thinkingBudget", Type::Number),
            (
                "thinkingLevel",
                Type::Word("minimal|low|medium|high|MINIMAL|LOW|MEDIUM|HIGH"),
            ),
        ]),
    ),
    (
        "imageConfig",
        Type::Object(&[
            ("aspectRatio", Type::Id),
            ("imageSize", Type::Id),
            ("personGeneration", Type::Id),
        ]),
    ),
    (
        "routingConfig",
        Type::Object(&[
            (
                "autoMode",
                Type::Object(&[("modelRoutingPreference", Type::Constant)]),
            ),
            ("manualMode", Type::Object(&[("modelName", Type::Model)])),
        ]),
    ),
    (
        "modelSelectionConfig",
        Type::Object(&[("featureSelectionPreference", Type::Constant)]),
    ),
];

/// Reads the body of a request for content, or such a request in a batch, a count of tokens or a cache.
pub(in crate::protocol) fn generate_request(
    reader: &mut Reader<'_>,
    root: Value<'_>,
    endpoint: &Endpoint,
) {
    let origin = Origin::of(Author::System, Part::Other);
    reader.rows(
        root,
        REQUEST,
        &origin,
        &mut |reader, key, value| match key {
            "model" => reader.model_beside_path(value, &endpoint.model),
            // Of a count of tokens: the whole request.
            _ => generate_request(reader, value, endpoint),
        },
    );
}

/// Notes at the body's root that a request says nothing: the server would read something else than we do.
pub(in crate::protocol) fn contents_are_needed(
    reader: &mut Reader<'_>,
    request: Option<Value<'_>>,
    root: Value<'_>,
) {
    let contents = request.and_then(|request| reader.get(request, "contents"));
    if contents.is_none_or(|contents| contents.is_null()) {
        reader.problem(codes::AG2001, root, "`contents` is missing");
    }
}

/// Reads `generationConfig`.
fn generation_config(reader: &mut Reader<'_>, value: Value<'_>) {
    let origin = Origin::of(Author::System, Part::Other);
    let is_set = |reader: &Reader<'_>, name: &str| {
        reader
            .get(value, name)
            .is_some_and(|value| !value.is_null())
    };
    let mime_type = reader.get(value, "responseMimeType");
    reader.reading.structured_output |= is_set(reader, "responseSchema")
        || is_set(reader, "responseJsonSchema")
        || mime_type.is_some_and(|kind| kind.is_text("application/json"));
    reader.plain_rows(value, GENERATION, &origin);
}

fn tool_config(reader: &mut Reader<'_>, value: Value<'_>) {
    const CONFIG: &[Row] = &[
        (
            "functionCallingConfig",
            Type::Object(&[
                ("mode", Type::Constant),
                ("allowedFunctionNames", Type::List(&Type::Name)),
                ("streamFunctionCallArguments", Type::Flag),
            ]),
        ),
        (
            "retrievalConfig",
            Type::Object(&[
                (
                    "latLng",
                    Type::Object(&[("latitude", Type::Number), ("longitude", Type::Number)]),
                ),
                ("languageCode", Type::Id),
            ]),
        ),
        ("includeServerSideToolInvocations", Type::Flag),
    ];
    let mode = reader
        .get(value, "functionCallingConfig")
        .and_then(|config| reader.get(config, "mode"));
    reader.reading.forces_tool |= mode.is_some_and(|mode| {
        mode.text()
            .is_some_and(|mode| mode.eq_ignore_ascii_case("ANY"))
            || mode.as_u64() == Some(2)
    });
    reader.plain_rows(value, CONFIG, &Origin::of(Author::System, Part::Other));
}
