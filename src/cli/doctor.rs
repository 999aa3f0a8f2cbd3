//! `agentguard doctor FILE`, `agentguard doctor --admin URL`: examines the configuration of an Envoy.

use super::{ExitStatus, Failed, output};
use crate::author::{ConfigurationProblem, Files, ModuleFile, Proxy, examine};
use crate::diag::{codes, nearest};
use clap::Args;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

/// Maximum bytes of a configuration. A dump of a large mesh has several megabytes, and contains policies.
const MAX_BYTES: usize = 256 << 20;

/// Maximum time for connecting to an admin interface, and for its response. The command ends, whatever listens at the
/// address.
const MAX_CONNECTING: Duration = Duration::from_secs(5);
const MAX_ANSWERING: Duration = Duration::from_secs(30);

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  agentguard doctor envoy.yaml
  agentguard doctor egress.yaml stats.yaml      # merged, as by `--config-yaml`
  agentguard doctor --admin http://127.0.0.1:9901
  kubectl exec deploy/gateway -- curl -s localhost:15000/config_dump | agentguard doctor -

Exit codes: 0 nothing is wrong; 1 something is; 2 the configuration can't be read.")]
pub(super) struct Doctor {
    /// A bootstrap (YAML or JSON), or a configuration dump (`/config_dump` of Envoy's admin interface). `-` is standard
    /// input. Further files are merged into a bootstrap as Envoy merges `--config-yaml`.
    #[arg(value_name = "FILE", required_unless_present = "admin")]
    files: Vec<String>,
    /// Take the configuration from a running Envoy's admin interface.
    #[arg(long, value_name = "URL", conflicts_with = "files")]
    admin: Option<String>,
    /// Examine only this listener. May be repeated.
    #[arg(long, value_name = "NAME")]
    listener: Vec<String>,
}

impl Doctor {
    pub(super) fn run(&self, json: bool) -> Result<ExitStatus, Failed> {
        let (name, document) = self.document()?;
        let files = Files {
            resource: &read_resource,
            module: &module_file,
        };
        let mut proxy = Proxy::read(&document, files).map_err(|what| not_envoys(&name, &what))?;
        if proxy.listener_names().is_empty() {
            return Err(output::print_coded(
                codes::AG9013,
                &format!(
                    "{name}: no listener is in it, so that nothing can be examined; those that Envoy gets from a control plane are \
                     in the running Envoy: --admin http://127.0.0.1:9901, or its `/config_dump`"
                ),
            ));
        }
        self.keep_listeners(&name, &mut proxy)?;
        let examination = examine(&proxy);
        for what in proxy.unseen() {
            output::note(&format!(
                "agentguard: note: {name}: {what} are not in it and were not examined; --admin URL asks the running Envoy"
            ));
        }
        if json {
            for policy in &examination.policies {
                output::json_line(
                    &json!({"listener": policy.listener, "policy": policy.policy, "version": policy.version,
                            "module": policy.module})
                    .to_string(),
                );
            }
            for problem in &examination.problems {
                output::json_line(
                    &json!({"code": problem.code, "title": title(problem), "place": problem.place,
                            "what": problem.what, "fix": problem.fix})
                    .to_string(),
                );
            }
        } else {
            for policy in &examination.policies {
                output::line(&format!(
                    "listener {}: policy {} {}, module {}",
                    policy.listener, policy.policy, policy.version, policy.module
                ));
            }
            for problem in &examination.problems {
                output::print(&as_text(problem));
            }
            let (listeners, found) = (proxy.listener_names().len(), examination.problems.len());
            output::line(&match found {
                0 if listeners == 1 => format!("{name}: nothing is wrong with 1 listener"),
                0 => format!("{name}: nothing is wrong with {listeners} listeners"),
                1 => format!("{name}: 1 finding; `agentguard explain CODE` explains it"),
                _ => format!("{name}: {found} findings; `agentguard explain CODE` explains it"),
            });
        }
        Ok(match examination.problems.is_empty() {
            true => ExitStatus::Clean,
            false => ExitStatus::Found,
        })
    }

    /// Returns the configuration and its name for messages.
    fn document(&self) -> Result<(String, Value), Failed> {
        if let Some(url) = &self.admin {
            let document = parsed(&fetch(url)?).map_err(|what| not_envoys(url, &what))?;
            return Ok((url.clone(), document));
        }
        let mut whole = Value::Null;
        for name in &self.files {
            let bytes = output::read_lines(name)?;
            if bytes.len() > MAX_BYTES {
                let what = format!("too large: more than {MAX_BYTES} bytes");
                return Err(output::print_unread(name, &what));
            }
            if let Some(what) = not_of_a_proxy(&bytes) {
                return Err(not_envoys(name, what));
            }
            merge(
                &mut whole,
                parsed(&bytes).map_err(|what| not_envoys(name, &what))?,
            );
        }
        Ok((self.files.join(" "), whole))
    }

    fn keep_listeners(&self, name: &str, proxy: &mut Proxy) -> Result<(), Failed> {
        let known: Vec<String> = proxy
            .listener_names()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        for wanted in &self.listener {
            if !known.contains(&&**wanted) {
                let hint = nearest(wanted, &known);
                let hint = hint
                    .map(|near| format!("; did you mean {near}?"))
                    .unwrap_or_default();
                return Err(output::print_coded(
                    codes::AG9012,
                    &format!("--listener {wanted}: {name} has no such listener{hint}"),
                ));
            }
        }
        if !self.listener.is_empty() {
            proxy.keep_listeners(&self.listener);
        }
        Ok(())
    }
}

/// Reports that a document is no configuration.
fn not_envoys(name: &str, what: &str) -> Failed {
    // The error may quote the document, which can contain anything.
    let lines: Vec<String> = what.lines().map(output::visible).collect();
    output::print_coded(codes::AG9013, &format!("{name}: {}", lines.join("\n")))
}

/// Returns what a document with `apiVersion` and `kind` is, which a configuration of Envoy does not have.
fn not_of_a_proxy(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    let (version, has_kind) = match serde_json::from_str::<Value>(&text) {
        Ok(document) => {
            let version = document.get("apiVersion")?.as_str()?.to_owned();
            (version, document.get("kind").is_some())
        }
        // A file of manifests has several documents, and templates are no YAML.
        Err(_) => {
            let mut lines = text.lines();
            let version = lines.find_map(|line| line.strip_prefix("apiVersion:"))?;
            let version = version.trim().trim_matches(['"', '\'']).to_owned();
            (version, text.lines().any(|line| line.starts_with("kind:")))
        }
    };
    match has_kind {
        false => None,
        true if version.starts_with("agentguard.dev/") => Some(
            "this is a document of AgentGuard, and doctor examines the configuration of an Envoy: `agentguard validate` and `agentguard lint` \
             examine a policy",
        ),
        true => Some(
            "this is a manifest of Kubernetes, and doctor examines the configuration of an Envoy: give `/config_dump` of the proxy that \
             gets it; of a manifest from `build --for k8s`, also `envoy.json` in its ConfigMap",
        ),
    }
}

/// Merges a configuration into another one, as Envoy does: lists are appended, members of objects merged.
fn merge(whole: &mut Value, more: Value) {
    match (whole, more) {
        (Value::Object(members), Value::Object(more)) => {
            for (name, value) in more {
                merge(members.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(items), Value::Array(more)) => items.extend(more),
        (whole, more) => *whole = more,
    }
}

/// Parses JSON, or YAML with everything that Envoy reads, including anchors.
fn parsed(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).or_else(|_| {
        let text = String::from_utf8_lossy(bytes);
        serde_saphyr::from_str(&text).map_err(|error| yaml_fault(&error.to_string()))
    })
}

/// Returns the error of a document in one line. The parser's report has a picture, and advice for callers of its API.
fn yaml_fault(report: &str) -> String {
    let first = report.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let ends = [", set ", "; use ", ": Depth", ": Nodes"];
    let end = ends.iter().filter_map(|end| first.find(end)).min();
    let what = end.and_then(|end| first.get(..end)).unwrap_or(first);
    format!(
        "{what}; this is neither YAML nor JSON that could be a configuration of Envoy: name a bootstrap or a configuration dump"
    )
}

/// Determines the type of a module's file from its first bytes. If its folder does not exist either, the file is on
/// another machine.
fn module_file(path: &str) -> ModuleFile {
    let path = Path::new(path);
    let mut start = [0; 4];
    let read = std::fs::metadata(path).and_then(|status| match status.is_file() {
        true => File::open(path)?.read_exact(&mut start),
        false => Err(ErrorKind::InvalidData.into()),
    });
    match read.map_err(|error| error.kind()) {
        Ok(()) if start == *b"\0asm" => ModuleFile::Wasm,
        Ok(()) if start == *b"\x7fELF" => ModuleFile::SharedObject,
        Ok(()) | Err(ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => ModuleFile::Other,
        Err(ErrorKind::NotFound) if output::folder_of(path).is_dir() => ModuleFile::Missing,
        Err(_) => ModuleFile::Unknown,
    }
}

/// Reads the file of a watched filter, if it is on this machine.
fn read_resource(path: &str) -> Option<Value> {
    parsed(&output::read_at_most(path, MAX_BYTES).ok()?).ok()
}

/// Fetches the configuration dump of a running Envoy.
fn fetch(url: &str) -> Result<Vec<u8>, Failed> {
    let failed = |what: String| {
        output::print_coded(
            codes::AG9010,
            &format!(
                "{}: {what}; write the address of Envoy's admin interface: http://127.0.0.1:9901",
                output::without_password(url)
            ),
        )
    };
    let base = url.trim_end_matches('/');
    let mut response = ureq::get(format!("{base}/config_dump"))
        .config()
        .timeout_connect(Some(MAX_CONNECTING))
        .timeout_global(Some(MAX_ANSWERING))
        .build()
        .call()
        .map_err(|error| failed(unanswered(&error)))?;
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    let read = response.body_mut().with_config().limit(limit).read_to_vec();
    read.map_err(|error| failed(unanswered(&error)))
}

/// Returns the reason why an admin interface did not respond.
fn unanswered(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => {
            format!("no answer within {} seconds", MAX_ANSWERING.as_secs())
        }
        error => error.to_string(),
    }
}

fn title(problem: &ConfigurationProblem) -> &'static str {
    codes::find(problem.code)
        .map(|code| code.title)
        .unwrap_or_default()
}

fn as_text(problem: &ConfigurationProblem) -> String {
    let fix: String = problem
        .fix
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    format!(
        "{}: {}\n  {}: {}\n{fix}",
        problem.code,
        title(problem),
        problem.place,
        problem.what
    )
}
