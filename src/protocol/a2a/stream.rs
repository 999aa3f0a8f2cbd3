//! Streamed responses of an agent: a task, then its states and its artifacts as they grow, or one message. Source: the
//! specification, "Streaming" of both versions.
//!
//! ```text
//! {"jsonrpc":"2.0","id":1,"result":{"statusUpdate":{"taskId":"t","contextId":"c","status":{"state":"TASK_STATE_WORKING"}}}}
//! {"jsonrpc":"2.0","id":1,"result":{"artifactUpdate":{"taskId":"t","contextId":"c","artifact":{"artifactId":"a1","parts":[{"text":"Rain"}]},"append":true}}}
//! ```

use super::denial;
use super::read::{self, Continued};
use crate::event::{Class, Part};
use crate::protocol::reader::Reader;
use crate::protocol::stream::{
    Delta, HeldFrame, KeepAlive, OrderingGroups, StreamReader, SyntheticFrame, TextDelta, TextKey,
};
use crate::protocol::{CannotRemove, Denial, Removals, RequestContext};
use crate::wire::json::{NodeId, Value};
use crate::wire::sort;
use crate::wire::sorted_map::SortedMap;

/// States of a task after which nothing follows until the client sends a message.
const IDLE_STATES: &[&str] = &[
    "completed",
    "canceled",
    "failed",
    "rejected",
    "input-required",
    "auth-required",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_CANCELED",
    "TASK_STATE_CANCELLED",
    "TASK_STATE_FAILED",
    "TASK_STATE_REJECTED",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_AUTH_REQUIRED",
];

/// Ordering group of the states of a task.
const STATES: u32 = 0;

/// Number of the text that the agent's messages are together. Agents send a message word by word as states of a task, and
/// clients show what has come.
const SAID: u32 = u32::MAX;

/// Streamed response of an agent. The text of an artifact may arrive in chunks, and is one text over all of its parts.
pub(super) struct A2aStream {
    context: RequestContext,
    /// The artifacts so far, by their ids.
    artifacts: SortedMap<String, ArtifactTexts>,
    /// Number of their texts.
    texts: u32,
}

/// Numbers of an artifact's texts.
#[derive(Clone, Copy)]
struct ArtifactTexts {
    /// All chunks, as a client joins them that only shows what comes.
    shown: u32,
    /// The chunks since the last one without `append`, which is the whole artifact for other clients.
    kept: u32,
}

impl A2aStream {
    pub(super) fn new(context: &RequestContext) -> A2aStream {
        A2aStream {
            context: context.clone(),
            artifacts: SortedMap::new(),
            texts: 0,
        }
    }

    /// The texts of an artifact, and whether it is a new one.
    fn texts_of(&mut self, artifact: Value<'_>) -> (&mut ArtifactTexts, bool) {
        let id = member(artifact, "artifactId", "artifact_id")
            .and_then(|id| id.text())
            .unwrap_or_default()
            .into_owned();
        let next = self.texts;
        let texts = ArtifactTexts {
            shown: next,
            kept: next,
        };
        let texts = self.artifacts.entry(id).or_insert(texts);
        let is_new = texts.kept == next;
        self.texts = next.saturating_add(u32::from(is_new));
        (texts, is_new)
    }

    /// A chunk of an artifact.
    fn chunk(&mut self, chunk: &mut ArtifactChunks, update: Value<'_>, artifact: Value<'_>) {
        let next = self.texts;
        let (texts, is_new) = self.texts_of(artifact);
        let replaced = (!is_new && !is_set(update.get("append"))).then_some(texts.kept);
        if replaced.is_some() {
            texts.kept = next;
        }
        let texts = *texts;
        if let Some(replaced) = replaced {
            self.texts = next.saturating_add(1);
            match replaced == texts.shown {
                true => chunk.replaced.push(key(replaced)),
                false => chunk.before.push(key(replaced)),
            }
        }
        let lane = texts.shown.saturating_add(STATES).saturating_add(1);
        chunk.lanes = chunk.lanes.and(OrderingGroups::of(lane));
        let is_last = is_set(member(update, "lastChunk", "last_chunk"));
        chunk.add(artifact, key(texts.kept), false);
        if is_last {
            chunk.last.push(key(texts.kept));
        }
        if texts.kept != texts.shown {
            chunk.join(artifact, key(texts.shown));
            chunk.last.push(key(texts.shown));
        }
    }

    /// An artifact of a task: all of it so far, and perhaps once more. Later chunks continue it: a client that subscribes
    /// again gets the task first.
    fn whole(&mut self, chunks: &mut ArtifactChunks, artifact: Value<'_>) {
        let (texts, is_new) = self.texts_of(artifact);
        chunks.before.extend([key(texts.kept), key(texts.shown)]);
        texts.kept = texts.shown;
        let text_key = key(texts.shown);
        chunks.last.push(text_key);
        chunks.add(artifact, text_key, !is_new);
    }
}

fn key(item: u32) -> TextKey {
    TextKey::block(item, Part::Text)
}

/// Chunks of artifacts in a frame.
#[derive(Default)]
struct ArtifactChunks {
    pieces: Vec<(NodeId, TextDelta)>,
    lanes: OrderingGroups,
    /// Texts that begin anew.
    before: Vec<TextKey>,
    /// Texts that begin anew for some clients, and go on for others.
    replaced: Vec<TextKey>,
    /// Texts whose last chunk this is, or that are complete so far.
    last: Vec<TextKey>,
}

impl ArtifactChunks {
    fn add(&mut self, artifact: Value<'_>, text_key: TextKey, is_duplicate: bool) {
        if let Some(parts) = artifact.get("parts") {
            let piece = TextDelta {
                is_duplicate,
                ..TextDelta::new(text_key, parts.place(), Class::Text)
            };
            self.pieces.push((parts.place(), piece));
        }
    }

    fn join(&mut self, artifact: Value<'_>, text_key: TextKey) {
        if let Some(parts) = artifact.get("parts") {
            let piece = TextDelta::joined(text_key, parts.place(), Class::Text);
            self.pieces.push((parts.place(), piece));
        }
    }
}

/// A member in the spelling of either binding.
fn member<'v>(value: Value<'v>, camel: &str, snake: &str) -> Option<Value<'v>> {
    value.get(camel).or_else(|| value.get(snake))
}

fn is_set(flag: Option<Value<'_>>) -> bool {
    flag.and_then(|flag| flag.as_bool()).unwrap_or(false)
}

impl StreamReader for A2aStream {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, _: Option<&str>) {
        let mut chunks = ArtifactChunks::default();
        let mut is_state = false;
        let mut is_idle = true;
        if let Some(result) = read::result_of(root, &self.context) {
            // Each is bare, or a member with its name.
            let bare = Some(result);
            let update = member(result, "artifactUpdate", "artifact_update");
            for holder in [bare, update].into_iter().flatten() {
                if let Some(artifact) = holder.get("artifact") {
                    self.chunk(&mut chunks, holder, artifact);
                    is_idle = false;
                }
            }
            let task = result.get("task");
            let artifacts = [bare, task]
                .into_iter()
                .flatten()
                .filter_map(|task| task.get("artifacts"));
            for artifact in artifacts.flat_map(|list| list.elements()) {
                self.whole(&mut chunks, artifact);
            }
            let update = member(result, "statusUpdate", "status_update");
            for holder in [bare, update, task].into_iter().flatten() {
                let Some(state) = holder.get("status").and_then(|status| status.get("state"))
                else {
                    continue;
                };
                is_state = true;
                is_idle = is_set(holder.get("final"))
                    || IDLE_STATES.iter().any(|idle| state.is_text(idle));
            }
        }
        for text_key in chunks.before {
            reader.piece(Delta::TextEnd(text_key));
        }
        for text_key in chunks.replaced {
            reader.piece(Delta::TextRest(text_key));
        }
        sort::sort_by_key(&mut chunks.pieces, |(parts, _)| *parts);
        let continued = Continued {
            chunks: &chunks.pieces,
            said: Some(TextDelta::joined(key(SAID), root.place(), Class::Text)),
        };
        read::answer(reader, root, &self.context, &continued);
        // Each message has left as a whole when the next one comes.
        reader.piece(Delta::TextRest(key(SAID)));
        for text_key in chunks.last {
            reader.piece(Delta::TextRest(text_key));
        }
        if is_idle {
            reader.piece(Delta::End(None));
        }
        reader.frame.lanes = match (is_idle, is_state) {
            (true, _) => OrderingGroups::ALL,
            (false, true) => chunks.lanes.and(OrderingGroups::of(STATES)),
            (false, false) => chunks.lanes,
        };
    }

    fn shows_texts_as_one(&self) -> bool {
        // Artifacts are documents of their own; what their chunks and the messages are together is read here.
        false
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        match text_key.item {
            SAID => "#message".to_owned(),
            item => format!("#artifact/{item}"),
        }
    }

    fn remove_from_response(
        &mut self,
        _: &mut HeldFrame,
        _: &Removals,
    ) -> Result<(), CannotRemove> {
        // Texts are edited in place; a copy of an artifact is edited like the artifact.
        Ok(())
    }

    fn denial_frames(&mut self, denial: &Denial, _: bool) -> Vec<SyntheticFrame> {
        vec![denial::frame(denial, &self.context)]
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        Some(KeepAlive::COMMENT)
    }
}
