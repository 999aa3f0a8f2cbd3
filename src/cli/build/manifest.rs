//! Kubernetes manifests: several YAML documents in one file, each after a comment that explains it.

use crate::author::write_yaml;
use crate::policy::parse_json;
use serde_json::Value;

/// Document of the file.
pub(in crate::cli) struct Manifest {
    /// Comment before the document, without `#`.
    pub(in crate::cli) about: String,
    /// Content.
    pub(in crate::cli) document: Value,
}

/// Maximum bytes of all values of a ConfigMap, which the API server enforces.
const CONFIG_MAP_BYTES: usize = 1 << 20;

/// Returns the file. Fails for a document that is nested too deeply or too large.
pub(in crate::cli) fn write(head: &str, manifests: &[Manifest]) -> Result<String, String> {
    let mut out = comment(head);
    for manifest in manifests {
        if manifest.document.get("kind") == Some(&Value::from("ConfigMap")) {
            let data = manifest.document.get("data").and_then(Value::as_object);
            let values = data.into_iter().flat_map(|data| data.values());
            let bytes: usize = values.filter_map(Value::as_str).map(str::len).sum();
            if bytes > CONFIG_MAP_BYTES {
                return Err(format!(
                    "the policy's ConfigMap has {bytes} bytes; Kubernetes stores at most {CONFIG_MAP_BYTES} in one: shorten the \
                     policy's lists, or mount the policy as a file (`--for envoy`)"
                ));
            }
        }
        out.push_str("---\n");
        out.push_str(&comment(&manifest.about));
        out.push_str(&yaml(&manifest.document)?);
    }
    Ok(out)
}

/// Returns a document as YAML that parsers of YAML 1.1 and 1.2 read alike.
pub(in crate::cli) fn yaml(document: &Value) -> Result<String, String> {
    let root = parse_json(document.to_string().as_bytes()).map_err(|error| error.to_string())?;
    Ok(write_yaml(&root))
}

/// Returns a text as comments, one for each of its lines.
pub(in crate::cli) fn comment(text: &str) -> String {
    text.lines()
        .map(|line| format!("# {line}").trim_end().to_owned() + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_are_separated_and_explained() {
        let manifest = |name: &str| Manifest {
            about: format!("The {name} one.\n\nMore of it."),
            document: json!({"kind": name, "word": "on", "digits": "0123"}),
        };
        assert_eq!(
            write("All.", &[manifest("First"), manifest("Second")]).as_deref(),
            Ok(concat!(
                "# All.\n",
                "---\n# The First one.\n#\n# More of it.\nkind: First\nword: \"on\"\ndigits: \"0123\"\n",
                "---\n# The Second one.\n#\n# More of it.\nkind: Second\nword: \"on\"\ndigits: \"0123\"\n",
            ))
        );
    }
}
