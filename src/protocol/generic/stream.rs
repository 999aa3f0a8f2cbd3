//! Stream of an endpoint in a policy. It is unknown which texts continue in later frames, so those at declared
//! positions do.
//!
//! ```text
//! {"answer":{"text":"Rain"}}    with `answer.text` declared as a text
//! Rain                          if the policy declares the whole body as a text
//! ```

use super::read;
use crate::event::{CustomFormat, Kind};
use crate::protocol::reader::Reader;
use crate::protocol::stream::{
    HeldFrame, OrderingGroups, StreamReader, SyntheticFrame, TextKey, is_done,
};
use crate::protocol::{CannotRemove, Denial, Dialect, RemovalMethod, Removals};
use crate::wire::json::{JsonBody, JsonPath, Limits, Value, quote};
use std::rc::Rc;

/// Stream of JSON in frames, or of plain text in them.
pub(super) struct GenericStream {
    shape: Rc<CustomFormat>,
    /// Whether the policy declares the whole body as a text.
    is_text: bool,
}

impl GenericStream {
    pub(super) fn new(shape: Rc<CustomFormat>) -> GenericStream {
        GenericStream {
            is_text: shape.texts.iter().any(JsonPath::is_whole),
            shape,
        }
    }

    /// Returns whether a payload is a plain text. A payload that resembles JSON but is invalid is a text only if the
    /// policy declares it; a bare number or word is as likely part of a text.
    fn is_prose(&self, payload: &[u8]) -> bool {
        let limits = Limits { max_depth: 64 };
        std::str::from_utf8(payload).is_ok()
            && match payload.trim_ascii_start().first() {
                Some(b'{' | b'[') => self.is_text && JsonBody::scan(payload, limits, 0).is_err(),
                Some(b'"') => JsonBody::scan(payload, limits, 0).is_err(),
                _ => true,
            }
    }
}

impl StreamReader for GenericStream {
    fn read(&mut self, reader: &mut Reader<'static>, root: Value<'_>, _: Option<&str>) {
        read(reader, root, &self.shape, true);
        reader.frame.lanes = OrderingGroups::ALL;
    }

    fn is_end(&self, payload: &[u8]) -> bool {
        is_done(payload)
    }

    fn wraps(&self) -> bool {
        true
    }

    fn unwrap(&self, payload: &[u8]) -> Option<Vec<u8>> {
        if !self.is_prose(payload) {
            return Some(payload.to_vec());
        }
        let text = std::str::from_utf8(payload).ok()?;
        let mut quoted = Vec::with_capacity(text.len().saturating_add(2));
        quote(text, &mut quoted);
        Some(quoted)
    }

    fn wrap(&self, original: Option<&[u8]>, json: Vec<u8>) -> Vec<u8> {
        if !original.is_some_and(|payload| self.is_prose(payload)) {
            return json;
        }
        let text = JsonBody::scan(&json, Limits { max_depth: 1 }, 0)
            .ok()
            .and_then(|json| Some(json.body()?.root().text()?.into_owned()));
        text.map_or(json, String::into_bytes)
    }

    fn text_at(&self, text_key: &TextKey) -> String {
        format!("#text/{}", text_key.item)
    }

    /// Returns [`RemovalMethod::Whole`]: it is unknown whether a response of unknown form is valid without a part.
    fn removal(&self, _: Kind) -> RemovalMethod {
        RemovalMethod::Whole
    }

    fn remove_from_response(
        &mut self,
        _: &mut HeldFrame,
        _: &Removals,
    ) -> Result<(), CannotRemove> {
        Ok(())
    }

    fn denial_frames(&mut self, denial: &Denial, _: bool) -> Vec<SyntheticFrame> {
        vec![SyntheticFrame::new(None, Dialect::OpenAi.body(denial))]
    }
}
