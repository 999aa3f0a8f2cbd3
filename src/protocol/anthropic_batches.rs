//! Anthropic's Message Batches: many requests in one body, `POST …/v1/messages/batches`; the state of a batch; its results,
//! one JSON value a line, `GET …/v1/messages/batches/ID/results`.

use super::anthropic_messages::denied_text;
use super::anthropic_shapes::{
    add_request_event, answered_message, error, remove_from_message, request,
};
use super::coverage::{ASKED, CONVERSATION, RESPONSE_WITH_RESULTS, TEXT_RESPONSE, shown};
use super::reader::{Origin, Reader, Row, Type};
use super::{
    CannotRemove, CoverageRow, Denial, Dialect, Endpoint, Format, Inspected, Protocol,
    RequestContext, ResponseEdit, ResponseForm, RouteHead,
};
use crate::diag::codes;
use crate::event::{Author, Known, Part, Turn};
use crate::wire::json::Value;
use crate::wire::letter_case;
use crate::wire::span::offset;

/// The format.
pub(super) struct AnthropicBatches;

const RESULTS: &str = "messages.batches.results";

static FORMAT: Format = Format {
    name: "anthropic.batches",
    dialect: Dialect::Anthropic,
    routes: &[],
    coverage: &[
        CoverageRow {
            route: shown("`POST …/v1/messages/batches`: each request in it"),
            request: CONVERSATION,
            response: TEXT_RESPONSE,
            stream: Inspected::UNREAD_STREAM,
        },
        CoverageRow {
            route: shown(
                "`GET`, `DELETE`, `POST …/cancel` of `…/v1/messages/batches`, and a batch's results",
            ),
            request: ASKED,
            response: RESPONSE_WITH_RESULTS,
            stream: Inspected::UNREAD_STREAM,
        },
    ],
};

impl Protocol for AnthropicBatches {
    fn format(&self) -> &'static Format {
        &FORMAT
    }

    fn endpoint(&self, head: &RouteHead<'_>) -> Option<Endpoint> {
        let path: Vec<String> = head
            .path
            .segments
            .iter()
            .map(|segment| letter_case::ascii_lower(segment))
            .collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let (is_read, is_write) = match head.method {
            "GET" | "HEAD" => (true, false),
            "POST" | "DELETE" => (false, true),
            _ => return None,
        };
        match path.as_slice() {
            [.., "messages", "batches"] if head.method == "POST" => {
                Some(Endpoint::named("messages.batches"))
            }
            [.., "messages", "batches"] if is_read => {
                Some(Endpoint::without_body("messages.batches.list"))
            }
            [.., "messages", "batches", _, "results"] if is_read => Some(Endpoint {
                response: ResponseForm::Lines,
                ..Endpoint::without_body(RESULTS)
            }),
            [.., "messages", "batches", _, "cancel"] if head.method == "POST" => {
                Some(Endpoint::without_body("messages.batches.cancel"))
            }
            [.., "messages", "batches", _] if is_read => {
                Some(Endpoint::without_body("messages.batches.get"))
            }
            [.., "messages", "batches", _] if is_write && head.method == "DELETE" => {
                Some(Endpoint::without_body("messages.batches.delete"))
            }
            _ => None,
        }
    }

    fn read_request(&self, reader: &mut Reader<'_>, root: Value<'_>, endpoint: &Endpoint) {
        const BATCH: &[Row] = &[("requests", Type::Custom)];
        const REQUEST: &[Row] = &[
            ("custom_id", Type::Text(Part::Other)),
            ("params", Type::Custom),
        ];
        let origin = Origin::of(Author::User, Part::Other);
        reader.rows(root, BATCH, &origin, &mut |reader, _, list| {
            reader.array(list, |reader, element| {
                reader.rows(element, REQUEST, &origin, &mut |reader, _, params| {
                    request(reader, params, endpoint);
                });
            });
        });
        if root.get("requests").is_none_or(|list| list.is_null()) {
            reader.problem(codes::AG2001, root, "`requests` is missing");
        }
        add_request_event(reader, root);
    }

    fn read_response(&self, reader: &mut Reader<'_>, root: Value<'_>, context: &RequestContext) {
        if context.endpoint.response == ResponseForm::Lines {
            let mut line = 0usize;
            reader.array(root, |reader, result| {
                reader.in_choice(result, offset(line));
                read_result(reader, result, offset(line));
                line = line.saturating_add(1);
            });
        } else {
            read_state(reader, root);
        }
    }

    fn denied_response(&self, denial: &Denial, context: &RequestContext) -> Vec<u8> {
        if context.endpoint.response != ResponseForm::Lines {
            return self.format().dialect.body(denial);
        }
        let mut out =
            br#"{"custom_id":"agentguard","result":{"type":"succeeded","message":"#.to_vec();
        out.extend_from_slice(&denied_text(denial, context));
        out.extend_from_slice(b"}}\n");
        out
    }

    fn remove_from_response(&self, edit: &mut ResponseEdit<'_>) -> Result<(), CannotRemove> {
        if edit.context.endpoint.response != ResponseForm::Lines {
            return edit.removals.only_edits();
        }
        let denied_texts = edit.removals.denied_texts();
        let denied = edit.removals.denied_calls();
        let mut taken = 0usize;
        for (line, result) in edit.root.elements().enumerate() {
            let denied_text = denied_texts.get(&offset(line)).copied();
            let message = result
                .get("result")
                .and_then(|result| result.get("message"));
            let Some(message) =
                message.filter(|_| denied_text.is_none() || has_nothing_else(result))
            else {
                if denied_text.is_some() {
                    return Err(CannotRemove);
                }
                continue;
            };
            let more = remove_from_message(message, denied_text, &denied, edit.edits)?;
            taken = taken.saturating_add(more);
        }
        if taken < denied.len() {
            return Err(CannotRemove);
        }
        Ok(())
    }
}

/// Returns whether a line contains only its message and its id, so that nothing is left when the message is replaced.
fn has_nothing_else(line: Value<'_>) -> bool {
    let is_known =
        |(key, _): (Value<'_>, Value<'_>)| key.is_text("custom_id") || key.is_text("result");
    let in_result =
        |(key, _): (Value<'_>, Value<'_>)| key.is_text("type") || key.is_text("message");
    line.members().all(is_known)
        && line
            .get("result")
            .is_some_and(|result| result.members().all(in_result))
}

fn answered(choice: u32) -> Origin {
    Origin {
        choice,
        ..Origin::new(Known::Missing, Part::Other, Turn::Latest)
    }
}

/// One line of the results.
fn read_result(reader: &mut Reader<'_>, line: Value<'_>, choice: u32) {
    const LINE: &[Row] = &[("custom_id", Type::Id), ("result", Type::Custom)];
    const RESULT: &[Row] = &[
        ("type", Type::Word("succeeded|errored|canceled|expired")),
        ("message", Type::Custom),
        ("error", Type::Custom),
    ];
    const ERROR: &[Row] = &[
        ("type", Type::Word("error")),
        ("error", Type::Custom),
        ("request_id", Type::Id),
    ];
    let origin = answered(choice);
    reader.rows(line, LINE, &origin, &mut |reader, _, result| {
        reader.rows(
            result,
            RESULT,
            &origin,
            &mut |reader, key, value| match key {
                "message" => answered_message(reader, value, choice),
                _ => reader.rows(value, ERROR, &origin, &mut |reader, _, value| {
                    error(reader, value, &origin);
                }),
            },
        );
    });
}

/// The state of a batch, or a list of such.
fn read_state(reader: &mut Reader<'_>, root: Value<'_>) {
    const BATCH: &[Row] = &[
        (
            "type",
            Type::Word("message_batch|message_batch_deleted|error"),
        ),
        ("id", Type::Id),
        (
            "processing_status",
            Type::Word("in_progress|canceling|ended"),
        ),
        ("request_counts", Type::Counts),
        ("created_at", Type::Id),
        ("ended_at", Type::Id),
        ("expires_at", Type::Id),
        ("archived_at", Type::Id),
        ("cancel_initiated_at", Type::Id),
        ("results_url", Type::Text(Part::Other)),
        ("request_id", Type::Id),
        ("error", Type::Custom),
        ("data", Type::Custom),
        ("has_more", Type::Flag),
        ("first_id", Type::Id),
        ("last_id", Type::Id),
    ];
    let origin = answered(0);
    reader.rows(root, BATCH, &origin, &mut |reader, key, value| match key {
        "error" => error(reader, value, &origin),
        _ => reader.array(value, read_state),
    });
}
