//! Options for Kubernetes, Istio and Envoy Gateway, and the common parts of their manifests.

use super::image::{Image, is_sha256};
use crate::cli::{Failed, output};
use crate::diag::codes;
use crate::policy::{Node, NodeValue};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

const HEADING: &str = "Kubernetes, Istio and Envoy Gateway";

/// Log line of an audit event.
pub(super) const AUDIT_FORMAT: &str = "%FILTER_STATE(wasm.agentguard:PLAIN)%\n";

/// CEL expression for requests that the filter has seen.
pub(super) const IS_AUDITED: &str = "'wasm.agentguard' in filter_state";

/// Default of `--name`, the name of the resources.
pub(super) const DEFAULT_NAME: &str = "agentguard";

/// Default of `--namespace`.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// Default of `--listener`, the listener of a Gateway.
const DEFAULT_LISTENER: &str = "http";

/// Namespace in which Envoy Gateway runs proxies by default.
const DEFAULT_PROXY_NAMESPACE: &str = "envoy-gateway-system";

/// Options of `build` and `init` for manifests.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = HEADING)]
pub(in crate::cli) struct MeshOptions {
    /// The image: for Istio and Envoy Gateway of the module, for Kubernetes of Envoy with the module. With `@sha256:…`,
    /// nothing else can take its place. For Istio and Envoy Gateway also the module's https URL.
    #[arg(long, value_name = "REGISTRY/NAME:TAG[@sha256:DIGEST]")]
    pub(super) image: Option<String>,
    /// For a module from an https URL: the SHA-256 of the file.
    #[arg(long, value_name = "HEX", requires = "image")]
    pub(super) sha256: Option<String>,
    /// The secret with the registry's password.
    #[arg(long, value_name = "SECRET", requires = "image")]
    pub(super) pull_secret: Option<String>,
    /// The name of the resources.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NAME)]
    pub(super) name: String,
    /// Their namespace: that of the proxies.
    #[arg(long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    pub(super) namespace: String,
    /// A label of the proxies' pods; may be repeated. Only with Istio.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) selector: Vec<String>,
    /// The Gateway (Kubernetes Gateway API) that is filtered.
    #[arg(long, value_name = "NAME", conflicts_with = "selector")]
    pub(super) gateway: Option<String>,
    /// With Envoy Gateway: the issuer of the tokens that requests need.
    #[arg(long, value_name = "URL", requires = "jwks")]
    jwt_issuer: Option<String>,
    /// With Envoy Gateway: the issuer's keys.
    #[arg(long, value_name = "URL", requires = "jwt_issuer")]
    jwks: Option<String>,
    /// With Envoy Gateway: the ConfigMap with the authority (`ca.crt`) of the certificates that clients need.
    #[arg(long, value_name = "CONFIGMAP")]
    pub(super) client_ca: Option<String>,
    /// With Istio: the traffic that is filtered.
    #[arg(long, value_enum, default_value_t)]
    pub(super) context: Context,
    /// The kind of resource that installs the filter. With Istio by default WasmPlugin, and EnvoyFilter for a policy that
    /// holds headers; with Envoy Gateway EnvoyExtensionPolicy.
    #[arg(long, value_enum)]
    pub(super) kind: Option<Kind>,
    /// With EnvoyPatchPolicy: a listener of the Gateway; may be repeated.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_LISTENER)]
    pub(super) listener: Vec<String>,
    /// With EnvoyPatchPolicy: the namespace in which Envoy Gateway runs proxies.
    #[arg(long, value_name = "NAMESPACE", default_value = DEFAULT_PROXY_NAMESPACE)]
    pub(super) proxy_namespace: String,
}

/// The traffic that is filtered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Context {
    /// Of a gateway.
    #[default]
    Gateway,
    /// Into the pods of a sidecar, or through a waypoint.
    Inbound,
    /// Out of the pods of a sidecar.
    Outbound,
}

/// The resource of a mesh that installs the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Istio, all supported versions.
    #[value(name = "WasmPlugin")]
    WasmPlugin,
    /// Istio, from 1.30.
    #[value(name = "TrafficExtension")]
    TrafficExtension,
    /// Istio, from 1.28: the only one that can hold headers.
    #[value(name = "EnvoyFilter")]
    EnvoyFilter,
    /// Envoy Gateway, unless another one is named.
    #[value(name = "EnvoyExtensionPolicy")]
    EnvoyExtensionPolicy,
    /// Envoy Gateway, where policies change often or hold headers: a change of the policy interrupts no stream.
    #[value(name = "EnvoyPatchPolicy")]
    EnvoyPatchPolicy,
}

impl Kind {
    /// Returns the kind's name in Kubernetes and for `--kind`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::WasmPlugin => "WasmPlugin",
            Kind::TrafficExtension => "TrafficExtension",
            Kind::EnvoyFilter => "EnvoyFilter",
            Kind::EnvoyExtensionPolicy => "EnvoyExtensionPolicy",
            Kind::EnvoyPatchPolicy => "EnvoyPatchPolicy",
        }
    }
}

/// Reports a usage error.
pub(super) fn refuse<T>(what: &str) -> Result<T, Failed> {
    Err(output::print_misused(what))
}

impl MeshOptions {
    /// Returns the image, which is required.
    pub(super) fn image(&self, target: &str) -> Result<Image, Failed> {
        let Some(image) = &self.image else {
            return refuse(&format!(
                "--for {target} needs --image REGISTRY/NAME:TAG[@sha256:DIGEST]: where the proxy gets the module from"
            ));
        };
        let image = Image::parse(image).or_else(|what| {
            let shown = match image.starts_with("http") {
                true => output::without_password(image),
                false => image.clone(),
            };
            refuse(&format!("--image {shown}: {what}"))
        })?;
        match (&image, &self.sha256) {
            (Image::Registry(..), Some(_)) => {
                return refuse(
                    "--sha256 is for https URLs; write the digest behind the image: `@sha256:…`",
                );
            }
            (_, Some(hex)) if !is_sha256(hex) => {
                return refuse("--sha256: write 64 hexadecimal digits in lower case");
            }
            (Image::Url(_), _) if self.pull_secret.is_some() => {
                return refuse(
                    "--pull-secret changes nothing here: it is for an image in a registry, and --image is a URL",
                );
            }
            (Image::Registry(_, None), None) => output::note(
                "agentguard: note: --image has no digest: whatever the registry has under this name will run; \
                 append `@sha256:…`",
            ),
            (Image::Url(url), None) if !url.starts_with("file:") => output::note(
                "agentguard: note: --image is a URL without a digest: whatever answers there will run; add `--sha256 HEX`",
            ),
            _ => {}
        }
        Ok(image)
    }

    /// Rejects a pull secret, which Istio would not read.
    pub(super) fn refuse_pull_secret(&self) -> Result<(), Failed> {
        match self.pull_secret {
            None => Ok(()),
            Some(_) => refuse(
                "--pull-secret: Istio reads no secret for an EnvoyFilter; mount a Docker configuration into the proxy and set \
                 DOCKER_CONFIG there",
            ),
        }
    }

    /// Returns `{name, namespace}`.
    pub(super) fn metadata(&self, name: &str) -> Value {
        json!({"name": name, "namespace": self.namespace})
    }

    /// Rejects names that Kubernetes rejects.
    pub(super) fn check_names(&self) -> Result<(), Failed> {
        let labels = [
            ("--name", &*self.name),
            ("--namespace", &*self.namespace),
            ("--proxy-namespace", &*self.proxy_namespace),
        ];
        for (option, name) in labels {
            if !is_label(name) {
                return refuse(&format!(
                    "{option} {name}: lower case letters, digits and `-`, at most 63, as Kubernetes requires"
                ));
            }
        }
        // Names of the user's own resources, which may contain dots.
        let named = [
            ("--gateway", self.gateway.as_deref()),
            ("--pull-secret", self.pull_secret.as_deref()),
            ("--client-ca", self.client_ca.as_deref()),
        ];
        let named = named
            .into_iter()
            .filter_map(|(option, name)| Some((option, name?)));
        let listeners = self.listener.iter().map(|name| ("--listener", &**name));
        for (option, name) in named.chain(listeners) {
            if !is_subdomain(name) {
                return refuse(&format!(
                    "{option} {name}: lower case letters, digits, `-` and `.`, at most 253, as Kubernetes requires"
                ));
            }
        }
        Ok(())
    }

    /// Rejects a name that Kubernetes rejects for a Service: it is part of host names.
    pub(super) fn check_service_name(&self) -> Result<(), Failed> {
        match self.name.starts_with(|c: char| c.is_ascii_digit()) {
            false => Ok(()),
            true => refuse(&format!(
                "--name {}: the Service gets this name, which must begin with a letter",
                self.name
            )),
        }
    }

    /// Returns the options in the form of a command line.
    pub(in crate::cli) fn as_arguments(&self) -> Vec<&str> {
        let mut arguments = vec!["--name", &*self.name, "--namespace", &*self.namespace];
        let given = [
            ("--image", &self.image),
            ("--sha256", &self.sha256),
            ("--pull-secret", &self.pull_secret),
            ("--gateway", &self.gateway),
            ("--jwt-issuer", &self.jwt_issuer),
            ("--jwks", &self.jwks),
            ("--client-ca", &self.client_ca),
        ];
        for (option, value) in given {
            arguments.extend(value.iter().flat_map(|value| [option, &**value]));
        }
        arguments.extend(
            self.selector
                .iter()
                .flat_map(|label| ["--selector", &**label]),
        );
        let context = match self.context {
            Context::Gateway => None,
            Context::Inbound => Some("inbound"),
            Context::Outbound => Some("outbound"),
        };
        arguments.extend(context.iter().flat_map(|context| ["--context", *context]));
        if self.listener != [DEFAULT_LISTENER] {
            let names = self.listener.iter();
            arguments.extend(names.flat_map(|name| ["--listener", &**name]));
        }
        if self.proxy_namespace != DEFAULT_PROXY_NAMESPACE {
            arguments.extend(["--proxy-namespace", &*self.proxy_namespace]);
        }
        let kind = self.kind.map(Kind::word);
        arguments.extend(kind.iter().flat_map(|kind| ["--kind", *kind]));
        arguments
    }

    /// Returns the first option that is not at its default.
    pub(in crate::cli) fn first_given(&self) -> Option<&str> {
        let arguments = self.as_arguments();
        let defaults = [("--name", DEFAULT_NAME), ("--namespace", DEFAULT_NAMESPACE)];
        let mut pairs = arguments.chunks_exact(2).filter_map(|pair| match pair {
            [option, value] => Some((*option, *value)),
            _ => None,
        });
        let given = pairs.find(|pair| !defaults.contains(pair));
        given.map(|(option, _)| option)
    }

    /// Returns the issuer of tokens and the URL of its keys.
    pub(super) fn jwt(&self) -> Result<Option<(&str, &str)>, Failed> {
        match (&self.jwt_issuer, &self.jwks) {
            (Some(issuer), Some(jwks)) if jwks.starts_with("https://") => Ok(Some((issuer, jwks))),
            (Some(_), Some(jwks)) => refuse(&format!(
                "--jwks {}: write an https URL",
                output::without_password(jwks)
            )),
            _ => Ok(None),
        }
    }

    /// Returns the labels of `--selector`.
    pub(super) fn labels(&self) -> Result<Value, Failed> {
        let mut labels = serde_json::Map::new();
        for label in &self.selector {
            let (key, value) = match label.split_once('=') {
                Some((key, value)) if is_label_key(key) && is_label_value(value) => (key, value),
                _ => {
                    return refuse(&format!(
                        "--selector {label}: write KEY=VALUE as in a pod's labels: letters, digits, `-`, `_` and `.`, at most 63 \
                         each, without `*`"
                    ));
                }
            };
            if labels.insert(key.to_owned(), json!(value)).is_some() {
                return refuse(&format!(
                    "--selector {label}: a pod has one label {key}; leave the other one out"
                ));
            }
        }
        Ok(Value::Object(labels))
    }
}

/// Returns whether a text is a resource name, which may contain dots.
fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_name_part)
}

/// Returns whether a text is the key of a label: `app`, `app.kubernetes.io/name`.
fn is_label_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

/// Returns whether a text is the value of a label.
fn is_label_value(value: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_outer = |c: char| c.is_ascii_alphanumeric();
    value.is_empty()
        || (value.len() <= 63
            && value.bytes().all(is_inner)
            && value.starts_with(is_outer)
            && value.ends_with(is_outer))
}

fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_name_part(name)
}

fn is_name_part(name: &str) -> bool {
    let is_inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    !name.is_empty() && name.bytes().all(is_inner) && !name.starts_with('-') && !name.ends_with('-')
}

/// Rejects a number that a double changes: Istio passes the policy as a Struct, and Kubernetes parses decimals as
/// doubles.
pub(super) fn refuse_inexact_numbers(root: &Node, path: &str) -> Result<(), Failed> {
    match &root.data {
        NodeValue::Number(text) if !is_exact(text) => refuse(&format!(
            "{} {path}: {text} would arrive as another number: Istio and Kubernetes carry numbers as doubles; write \
             it with at most 15 digits, or as a text",
            codes::AG1020
        )),
        NodeValue::List(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(at, item)| refuse_inexact_numbers(item, &format!("{path}[{at}]"))),
        NodeValue::Map(members) => members.iter().try_for_each(|member| {
            let dot = if path.is_empty() { "" } else { "." };
            refuse_inexact_numbers(&member.value, &format!("{path}{dot}{}", member.key))
        }),
        _ => Ok(()),
    }
}

/// Returns whether a double represents a number exactly: always up to 15 digits, otherwise if the double is formatted the
/// same way.
fn is_exact(text: &str) -> bool {
    let Some(double) = text.parse::<f64>().ok().filter(|double| double.is_finite()) else {
        return false;
    };
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0').trim_end_matches('0');
    let is_zero_by_rounding = double == 0.0 && !digits.is_empty();
    !is_zero_by_rounding && (digits.len() <= 15 || double.to_string() == text)
}

/// Maximum bytes of a resource for `kubectl apply`, which keeps a copy in an annotation.
const ANNOTATION_BYTES: usize = 262_144;

/// Maximum bytes of a resource in etcd.
const ETCD_BYTES: usize = 1_500_000;

/// Rejects manifests, or values of a chart, that no cluster stores. Notes when `kubectl apply` of the file, if it is one of manifests,
/// needs `--server-side`.
pub(super) fn check_size(built: &str, manifests: Option<&str>) -> Result<(), Failed> {
    if built.len() > ETCD_BYTES {
        return refuse(&format!(
            "the manifests have {} bytes; Kubernetes stores at most {ETCD_BYTES} in a resource: shorten the policy's lists, \
             or mount the policy as a file (`--for envoy`)",
            built.len()
        ));
    }
    if let (Some(file), true) = (manifests, built.len() > ANNOTATION_BYTES) {
        output::note(&format!(
            "agentguard: note: larger than {ANNOTATION_BYTES} bytes: `kubectl apply --server-side -f {file}` is required"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_a_double_changes_are_found() {
        for exact in [
            "0",
            "-1",
            "64.0",
            "1e3",
            "0.1",
            "123456789.5",
            "9007199254740992",
            "100000000000000000000",
        ] {
            assert!(is_exact(exact), "{exact}");
        }
        for changed in [
            "9007199254740993",
            "0.12345678901234567890",
            "1e999",
            "1e-999",
        ] {
            assert!(!is_exact(changed), "{changed}");
        }
    }
}
