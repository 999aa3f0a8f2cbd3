//! Official packages of the providers as clients: Python, npm and Go.

use harness::{Envoy, Http, go_packages, node, sdk_python};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// The language of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Python's, by `packages.py`.
    Python,
    /// JavaScript's from npm, by `packages.cjs`.
    Npm,
    /// Go's, by `go/packages.go`.
    Go,
}

/// A package for one format.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Its language.
    pub language: Language,
    /// The format's name in the scripts and the recordings.
    pub format: &'static str,
}

impl Package {
    /// Whether it speaks HTTP/2 without TLS.
    pub fn speaks_http2(self) -> bool {
        self.language == Language::Python && self.format != "bedrock.converse"
    }

    /// Sends these requests to a listener, one after the other. Returns the result for the package's caller of each, as
    /// the scripts report it.
    pub fn ask(self, envoy: &Envoy, site: &str, http: Http, questions: &[Value]) -> Vec<Value> {
        let address = envoy.site(site).address.to_string();
        let version = if http == Http::Two { "2" } else { "1.1" };
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/envoy");
        let mut command = match self.language {
            Language::Python => {
                let mut python = Command::new(sdk_python());
                // Recorded requests name models that a package calls outdated.
                python.args(["-W", "ignore", "packages.py"]);
                python
            }
            Language::Npm => {
                let mut node = Command::new(node());
                node.arg("packages.cjs");
                node
            }
            Language::Go => Command::new(go_packages()),
        };
        command
            .current_dir(folder)
            .args([&address, self.format, version])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // The packages would use a proxy of the machine.
        for proxy in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        let mut child = command.spawn().expect("the packages");
        let lines: String = questions.iter().map(|asked| format!("{asked}\n")).collect();
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(lines.as_bytes()).expect("a reader");
        drop(stdin);
        let output = child.wait_with_output().expect("an end");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{self:?}: {errors}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let results: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(results.len(), questions.len(), "{self:?}");
        results
    }
}
