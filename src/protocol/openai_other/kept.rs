//! Content that is sent to be kept or inspected and that starts no model of the client's choosing: traces and
//! telemetry, evaluations, documents whose text is extracted.

use super::{OCR, TRACES};
use crate::event::{Author, Direction, Event, Kind, Part};
use crate::protocol::openai_shapes;
use crate::protocol::reader::{Origin, Reader};
use crate::wire::json::{self, Value};

/// Reads such content. Traces contain whole conversations, evaluations contain prompts and models, telemetry contains
/// anything: every string is a text. Only the response contains the text of a document.
pub(super) fn read_request(reader: &mut Reader<'_>, root: Value<'_>, name: &str) {
    reader.reading.params = Some(root.place());
    let user = Origin::of(Author::User, Part::Other);
    if name != TRACES {
        for node in root.descendants() {
            let model = node.value.get("model");
            if let Some(model) = model.filter(|model| model.kind() == json::ValueKind::String) {
                openai_shapes::model(reader, model);
            }
        }
    }
    let texts = if name == OCR {
        document(reader, root);
        reader.rest(root)
    } else {
        reader.tree(root)
    };
    reader.emit_text(root, texts, &user);
    let event = Event::new(Kind::Request, Direction::Request, root.place());
    reader.reading.add(event);
}

/// Members of `{type: "document_url", document_url}`, `{type: "image_url", image_url: "…" | {url}}`, `{type: "file",
/// file_id}`.
fn document(reader: &mut Reader<'_>, root: Value<'_>) {
    let Some(document) = root.get("document") else {
        return;
    };
    reader.attachment(document, |count| &mut count.file);
    for node in document.descendants() {
        let is_bytes = node.value.raw_content().starts_with(b"data:");
        if node.value.kind() == json::ValueKind::String && is_bytes {
            reader.media(node.value);
        }
    }
}

/// Members of `{pages: [{markdown, images: [{image_base64}]}]}`.
pub(super) fn read_pages(reader: &mut Reader<'_>, root: Value<'_>) {
    let answer = Origin::answer(0);
    let pages = root.get("pages");
    for page in pages.into_iter().flat_map(|pages| pages.elements()) {
        if let Some(text) = page.get("markdown") {
            reader.text(text, &answer);
        }
        let images = page.get("images");
        for image in images.into_iter().flat_map(|images| images.elements()) {
            if let Some(bytes) = image.get("image_base64").filter(|bytes| !bytes.is_null()) {
                reader.attachment(bytes, |count| &mut count.image);
                reader.media(bytes);
            }
        }
    }
}
