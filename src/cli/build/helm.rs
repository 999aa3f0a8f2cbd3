//! `build --for helm`: values for the chart in `deploy/helm/agentguard`, which contains the manifests of
//! `--for istio`.

use super::istio::{attached, kind, refuse_file};
use super::manifest::{comment, yaml};
use super::mesh::{Context, DEFAULT_NAME, DEFAULT_NAMESPACE, Kind, MeshOptions, refuse};
use super::{Built, FILTER};
use crate::cli::Failed;
use serde_json::{Value, json};

/// Returns the values.
pub(super) fn values(built: &Built<'_>, options: &MeshOptions) -> Result<String, Failed> {
    options.check_names()?;
    if options.name != DEFAULT_NAME || options.namespace != DEFAULT_NAMESPACE {
        return refuse(
            "--name and --namespace are those of the release: `helm install NAME --namespace NAMESPACE`",
        );
    }
    // The same checks as for `--for istio`; the chart reads the same texts.
    let image = options.image("helm")?;
    attached(options)?;
    let kind = kind(built, options)?;
    if kind == Kind::EnvoyFilter {
        options.refuse_pull_secret()?;
        refuse_file(&image)?;
    }
    let values = json!({
        "image": options.image.as_deref().map(|image| image.strip_prefix("oci://").unwrap_or(image)),
        "sha256": options.sha256.as_deref().unwrap_or_default(),
        "pullSecret": options.pull_secret.as_deref().unwrap_or_default(),
        "proxies": proxies(options)?,
        "kind": kind.word(),
        "policy": {
            "name": built.name,
            "version": built.version,
            "document": built.document,
            "holdsHeaders": built.holds,
            "keys": built.keys,
            "bufferLimit": built.buffer,
        },
    });
    let values = yaml(&values).or_else(|what| refuse(&what))?;
    let head = comment(&format!(
        "Values of the Helm chart: policy {} {}.\n\
         Written by `agentguard build --for helm`: change the policy and build again instead of editing this file.\n\
         \n\
         Then, and after each change: helm upgrade --install {FILTER} deploy/helm/agentguard --namespace NAMESPACE --values FILE",
        built.shown_name(),
        built.version,
    ));
    Ok(head + &values)
}

fn proxies(options: &MeshOptions) -> Result<Value, Failed> {
    let context = match options.context {
        Context::Gateway => "gateway",
        Context::Inbound => "inbound",
        Context::Outbound => "outbound",
    };
    Ok(match &options.gateway {
        Some(gateway) => json!({"gateway": gateway, "context": context}),
        None => json!({"selector": options.labels()?, "context": context}),
    })
}
