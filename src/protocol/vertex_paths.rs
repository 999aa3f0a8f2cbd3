//! Paths of Google's models: at the Gemini API (`/v1beta/models/MODEL:VERB`), at Vertex AI
//! (`/v1/projects/P/locations/L/publishers/PUBLISHER/models/MODEL:VERB`, `…/endpoints/ID:VERB`).

use super::{Endpoint, RouteHead};
use crate::event::Known;
use crate::wire::letter_case;

/// Model call in a path: publisher, model and verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VertexCall {
    /// Publisher of the model; absent at the Gemini API and behind endpoints.
    pub(super) publisher: Option<String>,
    /// The model, without `models/`; with its collection where that is another one (`tunedModels/x`, `endpoints/1`).
    pub(super) model: String,
    /// The model that answers is hidden behind a name: a tuned model, an endpoint.
    pub(super) hidden: bool,
    /// Verb in lower case: `generatecontent`.
    pub(super) verb: String,
}

impl VertexCall {
    /// An endpoint with this path's model.
    pub(super) fn endpoint(&self, name: &'static str) -> Endpoint {
        Endpoint {
            model: Known::Is(self.model.as_str().into()),
            behind: if self.hidden {
                Known::Unknown
            } else {
                Known::Missing
            },
            ..Endpoint::named(name)
        }
    }
}

/// Reads `…/COLLECTION/NAME:VERB`.
pub(super) fn vertex_call(head: &RouteHead<'_>) -> Option<VertexCall> {
    let (last, before) = head.path.segments.split_last()?;
    let (name, verb) = last.rsplit_once(':')?;
    let (collection, before) = before.split_last()?;
    let publisher = match before.split_last() {
        Some((publisher, rest))
            if rest
                .last()
                .is_some_and(|word| word.eq_ignore_ascii_case("publishers")) =>
        {
            Some(letter_case::ascii_lower(publisher))
        }
        _ => None,
    };
    let (model, hidden) = match letter_case::ascii_lower(collection).as_str() {
        "models" => (name.to_owned(), false),
        // Vertex AI's own models without a publisher, tuned models, and models behind an endpoint.
        "tunedmodels" | "endpoints" | "reasoningengines" | "dynamic" => {
            (format!("{collection}/{name}"), true)
        }
        _ => return None,
    };
    if model.is_empty() || verb.is_empty() {
        return None;
    }
    Some(VertexCall {
        publisher,
        model,
        hidden,
        verb: letter_case::ascii_lower(verb),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http::Path;

    fn call(target: &str) -> Option<VertexCall> {
        vertex_call(&RouteHead {
            method: "POST",
            host: "",
            path: &Path::parse(target),
            headers: &[],
        })
    }

    #[test]
    fn a_model_is_found_however_its_path_is_written() {
        for target in [
            "/v1beta/models/gemini-2.5-flash:generateContent",
            "/v1/models/gemini-2.5-flash%3AgenerateContent?key=x",
            "//gw/v1beta//models/gemini-2.5-flash:generateContent/",
            "/V1BETA/Models/gemini-2.5-flash:GENERATECONTENT",
            "/v1/publishers/google/models/gemini-2.5-flash:generateContent",
            "/v1beta1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:generateContent",
        ] {
            let call = call(target).unwrap();
            assert_eq!(call.model, "gemini-2.5-flash", "{target}");
            assert_eq!(call.verb, "generatecontent", "{target}");
            assert!(!call.hidden, "{target}");
        }
    }

    #[test]
    fn what_hides_a_model_says_so() {
        let call = call("/v1/projects/p/locations/l/endpoints/42:generateContent").unwrap();
        assert_eq!((call.model.as_str(), call.hidden), ("endpoints/42", true));
    }

    #[test]
    fn other_paths_name_no_model() {
        for target in [
            "/v1beta/models",
            "/v1beta/models/x",
            "/v1/files/x:y",
            "/x:y",
            "/models/:x",
        ] {
            assert_eq!(call(target), None, "{target}");
        }
    }
}
