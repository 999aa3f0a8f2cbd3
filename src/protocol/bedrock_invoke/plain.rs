//! Bodies with one prompt or a list of texts, and their responses. One table contains the member names of all
//! families, because no two of them use a name differently.

use crate::event::{Author, Event, Kind, Known, Part, Turn};
use crate::protocol::anthropic_shapes::offered_tool;
use crate::protocol::bedrock_shapes::aws_error;
use crate::protocol::conversation::author_of;
use crate::protocol::json_edit::{number, remove_members, replace_present};
use crate::protocol::reader::{CallBuilder, Origin, Reader, Roles, Row, Type};
use crate::protocol::{CannotRemove, Removals};
use crate::wire::json::{self, Edits, Value};
use crate::wire::span::offset;

const REQUEST: &[Row] = &[
    // Llama, Mistral, AI21, Cohere and Claude of old, Stability.
    ("prompt", Type::Text(Part::Text)),
    // Titan.
    ("inputText", Type::Text(Part::Text)),
    // Cohere Command R.
    ("message", Type::Text(Part::Text)),
    ("preamble", Type::Read(system)),
    ("chat_history", Type::List(&Type::Read(history))),
    ("tools", Type::List(&Type::Read(offered_tool))),
    ("tool_results", Type::Read(tool_results)),
    // Cohere's embeddings and reranking: the texts have no author in a conversation.
    ("texts", Type::List(&Type::Text(Part::Text))),
    ("query", Type::Read(ranked)),
    ("documents", Type::Read(ranked)),
    (
        "text_prompts",
        Type::List(&Type::Object(&[
            ("text", Type::Text(Part::Text)),
            ("weight", Type::Number),
        ])),
    ),
    ("negative_prompt", Type::Text(Part::Other)),
    ("system", Type::Read(system)),
    ("stop", Type::Tree(Part::Other)),
    ("stop_sequences", Type::Tree(Part::Other)),
    ("stopSequences", Type::Tree(Part::Other)),
    ("images", Type::List(&Type::Read(image))),
    ("inputImage", Type::Read(image)),
    ("max_tokens", Type::MaxTokens),
    ("max_tokens_to_sample", Type::MaxTokens),
    ("max_gen_len", Type::MaxTokens),
    ("maxTokens", Type::MaxTokens),
    (
        "textGenerationConfig",
        Type::Object(&[
            ("maxTokenCount", Type::Number),
            ("temperature", Type::Number),
            ("topP", Type::Number),
            ("stopSequences", Type::Tree(Part::Other)),
        ]),
    ),
    ("temperature", Type::Number),
    ("top_p", Type::Number),
    ("topP", Type::Number),
    ("top_k", Type::Number),
    ("p", Type::Number),
    ("k", Type::Number),
    ("num_generations", Type::Number),
    ("dimensions", Type::Number),
    ("output_dimension", Type::Number),
    ("top_n", Type::Number),
    ("api_version", Type::Number),
    ("normalize", Type::Flag),
    ("stream", Type::Flag),
    (
        "input_type",
        Type::Word("search_document|search_query|classification|clustering|image"),
    ),
    ("truncate", Type::Word("NONE|START|END|LEFT|RIGHT")),
    (
        "embedding_types",
        Type::List(&Type::Word("float|int8|uint8|binary|ubinary")),
    ),
    ("return_likelihoods", Type::Word("GENERATION|ALL|NONE")),
    ("anthropic_version", Type::Id),
];

/// Reads the body of a request.
pub(super) fn request(reader: &mut Reader<'_>, root: Value<'_>) {
    let user = Origin::of(Author::User, Part::Text);
    reader.reading.count_message(&user.from);
    reader.plain_rows(root, REQUEST, &user);
}

fn system(reader: &mut Reader<'_>, value: Value<'_>) {
    let origin = Origin::of(Author::System, Part::Text);
    reader.value(value, Type::Tree(Part::Text), &origin);
}

/// Reads texts to rank, which have no author in a conversation.
fn ranked(reader: &mut Reader<'_>, value: Value<'_>) {
    let origin = Origin::new(Known::Unknown, Part::Other, Turn::Latest);
    reader.value(value, Type::Tree(Part::Other), &origin);
}

fn tool_results(reader: &mut Reader<'_>, value: Value<'_>) {
    let tool = Origin::of(Author::Tool, Part::Text);
    let texts = reader.tree(value);
    let mut event = Event::new(Kind::ToolResult, reader.direction(), value.place());
    event.tool = Known::Unknown;
    event.from = tool.from.clone();
    event.texts = texts.clone();
    reader.reading.add(event);
    reader.emit_duplicate(value, texts, &tool);
}

/// Reads base64, or a `data:` URL.
fn image(reader: &mut Reader<'_>, value: Value<'_>) {
    reader.media(value);
    reader.attachment(value, |count| &mut count.image);
}

/// Reads Cohere's `{role: USER | CHATBOT | SYSTEM | TOOL, message}`.
fn history(reader: &mut Reader<'_>, turn: Value<'_>) {
    const ROLES: Roles = &[
        ("USER", Author::User),
        ("CHATBOT", Author::Assistant),
        ("SYSTEM", Author::System),
        ("TOOL", Author::Tool),
    ];
    const TURN: &[Row] = &[
        ("role", Type::Role(ROLES)),
        ("message", Type::Text(Part::Text)),
        ("tool_calls", Type::List(&Type::Read(earlier_call))),
        ("tool_results", Type::Tree(Part::Other)),
    ];
    let from = author_of(turn, ROLES);
    reader.reading.count_message(&from);
    let origin = Origin::new(from, Part::Text, Turn::Earlier);
    reader.plain_rows(turn, TURN, &origin);
}

fn earlier_call(reader: &mut Reader<'_>, call: Value<'_>) {
    tool_call(reader, call, Turn::Earlier);
}

fn new_call(reader: &mut Reader<'_>, call: Value<'_>) {
    tool_call(reader, call, Turn::Latest);
}

/// Reads Cohere's `{name, parameters}`.
fn tool_call(reader: &mut Reader<'_>, call: Value<'_>, turn: Turn) {
    const CALL: &[Row] = &[("name", Type::Custom), ("parameters", Type::Custom)];
    let mut builder = CallBuilder::at(reader, call);
    builder.event.turn = turn;
    let origin = Origin::of(Author::Assistant, Part::Arguments);
    reader.rows(call, CALL, &origin, &mut |reader, key, value| match key {
        "name" => builder.name(reader, value),
        _ => {
            let given = reader.any_arguments(value);
            builder.given(reader, value, given);
        }
    });
    builder.add(reader);
}

const RESPONSE: &[Row] = &[
    // Titan, streamed.
    ("outputText", Type::Text(Part::Text)),
    // Llama; Claude of old; Cohere Command R.
    ("generation", Type::Text(Part::Text)),
    ("completion", Type::Text(Part::Text)),
    ("text", Type::Text(Part::Text)),
    // Titan (and ranks); Mistral; Cohere Command; AI21; SageMaker's completions.
    ("results", Type::Custom),
    ("outputs", Type::Custom),
    ("generations", Type::Custom),
    ("completions", Type::Custom),
    ("choices", Type::Custom),
    ("tool_calls", Type::List(&Type::Read(new_call))),
    ("stop_reason", Type::Read(finish)),
    ("finish_reason", Type::Read(finish)),
    // The request again.
    ("chat_history", Type::Tree(Part::Other)),
    ("prompt", Type::Read(prompt)),
    ("texts", Type::Tree(Part::Other)),
    ("embedding", Type::Counts),
    ("embeddings", Type::Counts),
    ("embeddingsByType", Type::Counts),
    ("images", Type::List(&Type::Media)),
    ("artifacts", Type::Tree(Part::Other)),
    ("id", Type::Id),
    ("response_id", Type::Id),
    ("generation_id", Type::Id),
    (
        "response_type",
        Type::Word("embeddings_floats|embeddings_by_type"),
    ),
    ("model", Type::Model),
    ("object", Type::Word("text_completion")),
    ("created", Type::Number),
    ("system_fingerprint", Type::Id),
    ("usage", Type::Counts),
    ("meta", Type::Counts),
    ("inputTextTokenCount", Type::Number),
    ("prompt_token_count", Type::Number),
    ("generation_token_count", Type::Number),
    ("message", Type::Custom),
    ("Message", Type::Custom),
    ("__type", Type::Id),
    // Members of streams only.
    ("index", Type::Number),
    ("is_finished", Type::Flag),
    ("event_type", Type::Word(EVENTS)),
    ("response", Type::Custom),
    ("completionReason", Type::Read(finish)),
    ("stop", Type::Custom),
    ("totalOutputTextTokenCount", Type::Number),
    ("amazon-bedrock-invocationMetrics", Type::Counts),
    ("amazon-bedrock-guardrailAction", Type::Constant),
    ("amazon-bedrock-trace", Type::Tree(Part::Other)),
];
/// Cohere's events.
const EVENTS: &str = "stream-start|search-queries-generation|search-results|text-generation|\
     citation-generation|tool-calls-chunk|tool-calls-generation|stream-end";
/// Reads one of several choices, in the member names of any family.
const ANSWER: &[Row] = &[
    ("outputText", Type::Text(Part::Text)),
    ("text", Type::Text(Part::Text)),
    (
        "data",
        Type::Object(&[("text", Type::Text(Part::Text)), ("tokens", Type::Tokens)]),
    ),
    ("document", Type::Tree(Part::Other)),
    ("completionReason", Type::Read(finish)),
    ("stop_reason", Type::Read(finish)),
    ("finish_reason", Type::Read(finish)),
    ("finishReason", Type::Read(finish)),
    ("id", Type::Id),
    ("index", Type::Number),
    ("tokenCount", Type::Number),
    ("relevance_score", Type::Number),
    ("likelihood", Type::Number),
    ("token_likelihoods", Type::Tokens),
    ("logprobs", Type::Tokens),
];

/// Reads the whole body of a response. Its counts are not read: Bedrock counts in headers, for every family alike.
pub(super) fn response(reader: &mut Reader<'_>, root: Value<'_>) {
    read(reader, root, &Origin::answer(0));
}

/// Reads a whole response, or the content that one frame adds to the response of `origin`.
pub(super) fn read(reader: &mut Reader<'_>, root: Value<'_>, origin: &Origin) {
    let whole = origin.whole();
    reader.rows(
        root,
        RESPONSE,
        origin,
        &mut |reader, key, value| match key {
            "results" | "outputs" | "generations" | "completions" | "choices" => {
                let mut at = 0usize;
                reader.array(value, |reader, answer| {
                    let choice = number(answer, "index").unwrap_or(offset(at));
                    let origin = Origin {
                        choice: if origin.piece_of.is_some() {
                            choice
                        } else {
                            offset(at)
                        },
                        piece_of: origin.piece_of.map(|_| IN_LIST),
                        ..origin.clone()
                    };
                    reader.plain_rows(answer, ANSWER, &origin);
                    at = at.saturating_add(1);
                });
            }
            // Cohere's last event repeats the whole response.
            "response" => {
                let first = reader.reading.events.len();
                read(reader, value, &whole);
                reader.mark_copies(first);
            }
            "stop" => {
                reader.text(value, &whole.with_part(Part::Other));
            }
            _ => aws_error(reader, root, value),
        },
    );
}

/// Where the texts of a list's answers are counted from.
const IN_LIST: u32 = 1;

/// Reads a reason, or AI21's `{reason, length, sequence}`.
fn finish(reader: &mut Reader<'_>, value: Value<'_>) {
    if value.kind() == json::ValueKind::Object {
        const REASON: &[Row] = &[
            ("reason", Type::Read(finish)),
            ("length", Type::Number),
            ("sequence", Type::Text(Part::Other)),
        ];
        reader.plain_rows(value, REASON, &Origin::answer(0));
        return;
    }
    if let Some(reason) = value.text() {
        reader.reading.finish.push(reason.into());
    }
    reader.id(value);
}

/// Reads the prompt, or AI21's `{text, tokens}`.
fn prompt(reader: &mut Reader<'_>, value: Value<'_>) {
    const PROMPT: &[Row] = &[("text", Type::Text(Part::Other)), ("tokens", Type::Tokens)];
    let origin = Origin::answer(0).with_part(Part::Other);
    if value.kind() == json::ValueKind::Object {
        reader.plain_rows(value, PROMPT, &origin);
    } else {
        reader.text(value, &origin);
    }
}

/// Denial of each family: a member of its responses, the bytes before the text, and those after it.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "results",
        r#"{"inputTextTokenCount":0,"results":[{"tokenCount":0,"outputText":"#,
        r#","completionReason":"CONTENT_FILTERED"}]}"#,
    ),
    (
        "generation",
        r#"{"generation":"#,
        r#","prompt_token_count":0,"generation_token_count":0,"stop_reason":"stop"}"#,
    ),
    (
        "outputs",
        r#"{"outputs":[{"text":"#,
        r#","stop_reason":"stop"}]}"#,
    ),
    (
        "generations",
        r#"{"id":"agentguard","generations":[{"id":"agentguard","text":"#,
        r#","finish_reason":"COMPLETE"}]}"#,
    ),
    (
        "completions",
        r#"{"id":"agentguard","prompt":{"text":"","tokens":[]},"completions":[{"data":{"text":"#,
        r#","tokens":[]},"finishReason":{"reason":"endoftext"}}]}"#,
    ),
    (
        "completion",
        r#"{"type":"completion","completion":"#,
        r#","stop_reason":"stop_sequence","stop":null}"#,
    ),
    (
        "text",
        r#"{"response_id":"agentguard","generation_id":"agentguard","text":"#,
        r#","finish_reason":"COMPLETE"}"#,
    ),
    (
        "choices",
        r#"{"object":"text_completion","choices":[{"index":0,"text":"#,
        r#","finish_reason":"stop","logprobs":null}]}"#,
    ),
];
/// Families of models: a part of the model id, and the member with the response.
const BY_VENDOR: &[(&str, &str)] = &[
    ("amazon.titan", "results"),
    ("meta.", "generation"),
    ("mistral.", "outputs"),
    ("cohere.command-r", "text"),
    ("cohere.", "generations"),
    ("ai21.j2", "completions"),
];

pub(super) fn denied_text(member: &str, text: &str) -> Option<Vec<u8>> {
    let (_, before, after) = REFUSED.iter().find(|(name, ..)| *name == member)?;
    let mut out = before.as_bytes().to_vec();
    json::quote(text, &mut out);
    out.extend_from_slice(after.as_bytes());
    Some(out)
}

/// Returns the member that contains the response of a model's family.
pub(super) fn member_of(model: &str) -> Option<&'static str> {
    let known = BY_VENDOR.iter().find(|(vendor, _)| model.contains(vendor));
    known.map(|(_, member)| *member)
}

/// Returns a response that contains only a denial, in the form of a model's family.
pub(super) fn denied_for(model: &str, text: &str) -> Option<Vec<u8>> {
    denied_text(member_of(model)?, text)
}

/// Edits a response. After any edit, members that repeat its text are removed.
pub(super) fn remove_from_response(
    root: Value<'_>,
    removals: &Removals,
    edits: &mut Edits,
) -> Result<(), CannotRemove> {
    if let Some((_, text)) = removals.choices.first() {
        let with = root
            .members()
            .find_map(|(key, _)| denied_text(&key.text()?, text))
            .ok_or(CannotRemove)?;
        edits.replace(root, with);
        return Ok(());
    }
    // Cohere's calls are beside a text that announces them: there is no form for a missing call.
    if !removals.calls.is_empty() {
        return Err(CannotRemove);
    }
    drop_copies(root, edits);
    Ok(())
}

/// Removes the members that repeat the text.
pub(super) fn drop_copies(root: Value<'_>, edits: &mut Edits) {
    remove_members(root, &["chat_history", "prompt"], edits);
    for node in root.descendants() {
        for name in ["tokens", "token_likelihoods", "logprobs"] {
            replace_present(node.value, name, b"[]", edits);
        }
    }
}
