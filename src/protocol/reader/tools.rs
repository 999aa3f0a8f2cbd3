//! Tools as every protocol has them: offers, calls with their arguments, results.

use super::{Origin, Reader, code_of};
use crate::event::{Author, Class, Direction, Event, Kind, Known, Part};
use crate::wire::json::{self, Place, Value};
use std::ops::Range;

impl Reader<'_> {
    /// A tool that the client runs: its name and the texts of its definition.
    pub fn offer(&mut self, tool: Value<'_>, name: Known<Box<str>>, texts: Range<u32>) {
        let mut event = Event::new(Kind::ToolOffer, self.direction, tool.place());
        event.tool = name;
        event.texts = texts.clone();
        self.reading.events.push(event);
        self.retell(tool, texts, &Origin::of(Author::System, Part::Definition));
    }

    /// A tool that the provider runs is used without the call ever passing here: its offer is the only thing that can be
    /// judged, so it counts as an offer and as a call whose arguments can't be read. It may go by several names; the
    /// first is its own.
    pub fn provider_run_offer(&mut self, tool: Value<'_>, names: &[&str]) {
        self.claim(tool);
        for (number, name) in names.iter().enumerate() {
            for kind in [Kind::ToolOffer, Kind::ToolCall] {
                let mut event = Event::new(kind, self.direction, tool.place());
                event.tool = Known::Is((*name).into());
                event.provider_run = true;
                event.retold = number > 0 || kind == Kind::ToolCall;
                if kind == Kind::ToolCall {
                    event.args = Known::Unknown;
                }
                self.reading.events.push(event);
            }
        }
    }

    /// Tells of a call and gives the tool's name; `holder` is the value whose texts are its arguments. Servers that send
    /// empty structures instead of none send calls without a name: those are none.
    pub fn call(&mut self, event: Event, holder: Option<Value<'_>>) -> Option<Box<str>> {
        let name = event.tool.value().cloned();
        if name.as_deref() == Some("") {
            return None;
        }
        let origin = Origin {
            from: match self.direction {
                Direction::Request => Known::Is(Author::Assistant),
                Direction::Response => Known::Missing,
            },
            part: Part::Arguments,
            turn: event.turn,
            choice: event.choice,
            piece_of: None,
        };
        let texts = event.texts.clone();
        self.reading.events.push(event);
        if let Some(holder) = holder {
            self.retell(holder, texts.clone(), &origin);
            let inner = self.look_into_all(texts);
            self.retell(holder, inner, &origin);
        }
        name
    }

    /// Tells of what a tool answered; `holder` is the value that says it. What its texts hold in another form (JSON with
    /// escapes, base64) is told beside them.
    pub fn result(&mut self, event: Event, holder: Option<Value<'_>>) {
        let inner = self.look_into_all(event.texts.clone());
        let origin = Origin {
            from: event.from.clone(),
            part: event.part,
            turn: event.turn,
            choice: event.choice,
            piece_of: None,
        };
        let again = Event {
            texts: inner.clone(),
            retold: true,
            ..event.clone()
        };
        self.reading.events.push(event);
        if let Some(holder) = holder
            && !inner.is_empty()
        {
            self.reading.events.push(again);
            self.retell(holder, inner, &origin);
        }
    }

    /// Arguments of a call, an object or JSON in a string, and the numbers of the texts in them. In a request, arguments
    /// that are no JSON are AG2001: what was executed can't be told. In a response, the call is judged with its arguments
    /// unknown.
    pub fn arguments(&mut self, value: Value<'_>) -> (Known<Place>, Range<u32>) {
        let none = 0..0;
        match value.kind() {
            // No arguments: nothing is found in the value that stands for them.
            json::Kind::Null => {
                self.claim(value);
                (Known::Is(value.place()), none)
            }
            json::Kind::Object => {
                let texts = self.tree(value);
                (Known::Is(value.place()), texts)
            }
            json::Kind::String => match self.open(value) {
                Ok(None) => (Known::Is(value.place()), none),
                Ok(Some(doc)) => {
                    let root = doc.root();
                    let texts = self.tree(root);
                    (Known::Is(root.place()), texts)
                }
                Err(error) if self.direction == Direction::Request => {
                    self.problem(
                        code_of(error),
                        value,
                        format!("arguments of a call: {error}"),
                    );
                    (Known::Unknown, none)
                }
                Err(_) => {
                    self.uninspectable(value, "arguments");
                    (Known::Unknown, self.quiet_text(value, Class::Text))
                }
            },
            _ => {
                self.wrong_type(value, "an object, or a string that holds JSON");
                (Known::Unknown, none)
            }
        }
    }

    /// What a tool's result says as data: itself if it is structured, the JSON in it if it is a text that holds some.
    pub fn structured_result(&mut self, value: Value<'_>) -> Known<Place> {
        if !self.results {
            return Known::Missing;
        }
        match value.kind() {
            json::Kind::String => {
                let begins = value.raw_content().trim_ascii_start().first();
                if !matches!(begins, Some(b'{' | b'[')) {
                    return Known::Missing;
                }
                match self.nest.open(value) {
                    Ok(doc) => Known::Is(doc.root().place()),
                    Err(_) => Known::Missing,
                }
            }
            json::Kind::Null => Known::Missing,
            _ => Known::Is(value.place()),
        }
    }

    /// A tool that the provider runs, by its type: a rule may also call it by the name without vendor, version and stage
    /// (`openrouter:web_search`, `web_search_preview_2025_03_11` are `web_search`).
    pub fn provider_tool(&mut self, tool: Value<'_>, kind: &str) {
        let family = tool_family(kind);
        if family == kind {
            self.provider_run_offer(tool, &[kind]);
        } else {
            self.provider_run_offer(tool, &[kind, family]);
        }
    }

    /// A URL of an attachment. A `data:` URL is the medium itself; any other is a reference that may carry words out.
    pub fn url(&mut self, value: Value<'_>, origin: &Origin) {
        if is_data_url(value) || value.kind() != json::Kind::String {
            self.media(value);
        } else {
            self.reference(value, &origin.with_part(Part::Other));
        }
    }
}

/// The name of a provider's tool without its vendor, its version and its stage.
fn tool_family(kind: &str) -> &str {
    let name = kind.rsplit_once(':').map_or(kind, |(_, name)| name);
    let is_version = |part: &str| part.len() >= 2 && part.bytes().all(|b| b.is_ascii_digit());
    let mut family = name;
    while let Some((before, last)) = family.rsplit_once(['_', '-'])
        && (is_version(last) || last == "preview")
        && !before.is_empty()
    {
        family = before;
    }
    family
}

/// Whether a URL is the medium itself.
pub(super) fn is_data_url(value: Value<'_>) -> bool {
    value
        .raw_content()
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"data:"))
}

#[cfg(test)]
mod tests {
    use super::tool_family;

    #[test]
    fn a_tool_of_a_provider_has_one_family_name() {
        for kind in [
            "web_search",
            "web_search_preview",
            "web_search_2025_08_26",
            "web_search_preview_2025_03_11",
            "openrouter:web_search",
            "web_search_20250305",
        ] {
            assert_eq!(tool_family(kind), "web_search", "{kind}");
        }
        assert_eq!(tool_family("computer_use_preview"), "computer_use");
        assert_eq!(tool_family("mcp"), "mcp");
        assert_eq!(tool_family(""), "");
        assert_eq!(tool_family("_1234"), "_1234");
    }
}
