//! The body of a request for content.

use super::parts::{contents, contents_by};
use super::{SAFETY, tools};
use crate::event::{Author, Known, Part};
use crate::protocol::Endpoint;
use crate::protocol::reader::{Is, Key, Origin, Reader};
use crate::wire::json::Value;

const REQUEST: &[Key] = &[
    ("model", Is::Own),
    ("contents", Is::Own),
    ("systemInstruction", Is::Own),
    ("tools", Is::Own),
    ("toolConfig", Is::Own),
    ("generationConfig", Is::Own),
    ("generateContentRequest", Is::Own),
    ("safetySettings", Is::List(&Is::Object(SAFETY))),
    // System, tools and contents that the provider keeps.
    ("cachedContent", Is::State),
    ("continuationToken", Is::State),
    ("labels", Is::Tree(Part::Other)),
    (
        "modelArmorConfig",
        Is::Object(&[
            ("promptTemplateName", Is::Id),
            ("responseTemplateName", Is::Id),
        ]),
    ),
    (
        "serviceTier",
        Is::Word(&["standard", "flex", "priority", "unspecified"]),
    ),
    ("store", Is::Flag),
    // Of a cached content.
    ("name", Is::Id),
    ("displayName", Is::Text(Part::Other)),
    ("ttl", Is::Id),
    ("expireTime", Is::Id),
    ("kmsKeyName", Is::Id),
];

const GENERATION: &[Key] = &[
    ("temperature", Is::Number),
    ("topP", Is::Number),
    ("topK", Is::Number),
    ("candidateCount", Is::Number),
    ("maxOutputTokens", Is::Own),
    ("stopSequences", Is::Tree(Part::Other)),
    ("responseMimeType", Is::Own),
    ("responseSchema", Is::Tree(Part::Definition)),
    ("responseJsonSchema", Is::Tree(Part::Definition)),
    ("responseFormat", Is::Tree(Part::Definition)),
    ("responseModalities", Is::List(&Is::Constant)),
    ("responseLogprobs", Is::Flag),
    ("logprobs", Is::Number),
    ("presencePenalty", Is::Number),
    ("frequencyPenalty", Is::Number),
    ("seed", Is::Number),
    ("mediaResolution", Is::Constant),
    ("audioTimestamp", Is::Flag),
    ("enableAffectiveDialog", Is::Flag),
    ("enableEnhancedCivicAnswers", Is::Flag),
    (
        "thinkingConfig",
        Is::Object(&[
            ("includeThoughts", Is::Flag),
            ("thinkingBudget", Is::Number),
            (
                "thinkingLevel",
                Is::Word(&[
                    "minimal", "low", "medium", "high", "MINIMAL", "LOW", "MEDIUM", "HIGH",
                ]),
            ),
        ]),
    ),
    (
        "imageConfig",
        Is::Object(&[
            ("aspectRatio", Is::Id),
            ("imageSize", Is::Id),
            ("personGeneration", Is::Id),
        ]),
    ),
    (
        "routingConfig",
        Is::Object(&[
            (
                "autoMode",
                Is::Object(&[("modelRoutingPreference", Is::Constant)]),
            ),
            ("manualMode", Is::Object(&[("modelName", Is::Model)])),
        ]),
    ),
    (
        "modelSelectionConfig",
        Is::Object(&[("featureSelectionPreference", Is::Constant)]),
    ),
];

/// Reads the body of a request for content; also one of a batch, of a count, and what is put into a cache.
pub(in crate::protocol) fn generate_request(
    reader: &mut Reader<'_>,
    root: Value<'_>,
    endpoint: &Endpoint,
) {
    let origin = Origin::of(Author::System, Part::Other);
    reader.keys(
        root,
        REQUEST,
        &origin,
        &mut |reader, key, value| match key {
            "model" => reader.model_beside_path(value, &endpoint.model),
            "contents" => contents(reader, value),
            "systemInstruction" => contents_by(reader, value, Known::Is(Author::System)),
            "tools" => tools(reader, value),
            "toolConfig" => tool_config(reader, value),
            "generationConfig" => generation_config(reader, value),
            // Of a count: the whole request that would be sent.
            _ => generate_request(reader, value, endpoint),
        },
    );
}

/// `generationConfig`.
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
    reader.keys(
        value,
        GENERATION,
        &origin,
        &mut |reader, key, value| match key {
            "responseMimeType" => reader.media_type(value),
            _ => {
                reader.value(value, Is::Number, &origin);
                let tokens = value
                    .as_u64()
                    .or_else(|| value.text().and_then(|text| text.parse().ok()));
                reader.reading.max_tokens = reader.reading.max_tokens.max(tokens);
            }
        },
    );
}

fn tool_config(reader: &mut Reader<'_>, value: Value<'_>) {
    const CONFIG: &[Key] = &[
        (
            "functionCallingConfig",
            Is::Object(&[
                ("mode", Is::Constant),
                ("allowedFunctionNames", Is::List(&Is::Name)),
                ("streamFunctionCallArguments", Is::Flag),
            ]),
        ),
        (
            "retrievalConfig",
            Is::Object(&[
                (
                    "latLng",
                    Is::Object(&[("latitude", Is::Number), ("longitude", Is::Number)]),
                ),
                ("languageCode", Is::Id),
            ]),
        ),
        ("includeServerSideToolInvocations", Is::Flag),
    ];
    let mode = reader
        .get(value, "functionCallingConfig")
        .and_then(|config| reader.get(config, "mode"));
    reader.reading.forces_tool |= mode.is_some_and(|mode| {
        mode.text()
            .is_some_and(|mode| mode.eq_ignore_ascii_case("ANY"))
            || mode.as_u64() == Some(2)
    });
    reader.known(value, CONFIG, &Origin::of(Author::System, Part::Other));
}
