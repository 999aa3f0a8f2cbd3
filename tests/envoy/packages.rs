//! Official packages of the providers as clients: Python, npm and Go.

use crate::script::Script;
use harness::{Envoy, Http, go_packages, node, sdk_python};
use serde_json::{Value, json};
use std::ffi::OsString;

/// Language of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Python, by `packages.py`.
    Python,
    /// JavaScript from npm, by `packages.cjs`.
    Npm,
    /// Go, by `go/packages.go`.
    Go,
}

/// Package for one format.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Language.
    pub language: Language,
    /// Name of the format in the scripts and the recordings.
    pub format: &'static str,
}

impl Package {
    /// Returns whether the package supports HTTP/2 without TLS.
    pub fn speaks_http2(self) -> bool {
        self.language == Language::Python && self.format != "bedrock.converse"
    }

    /// Sends these requests to a listener, one after the other. Returns the result for the package's caller of each, as
    /// the scripts report it.
    pub fn ask(self, envoy: &Envoy, site: &str, http: Http, questions: &[Value]) -> Vec<Value> {
        let (program, arguments) = match self.language {
            // Recorded requests name models that a package reports as outdated.
            Language::Python => (sdk_python(), &["-W", "ignore", "packages.py"][..]),
            Language::Npm => (node(), &["packages.cjs"][..]),
            Language::Go => (go_packages(), &[][..]),
        };
        let arguments = arguments.iter().chain([&self.format]);
        let script = Script {
            program,
            arguments: arguments.map(OsString::from).collect(),
        };
        let results = script.answer(&json!({
            "address": envoy.site(site).address.to_string(),
            "http": if http == Http::Two { "2" } else { "1.1" },
            "questions": questions,
        }));
        let results = results.as_array().expect("the results").clone();
        assert_eq!(results.len(), questions.len(), "{self:?}");
        results
    }
}
