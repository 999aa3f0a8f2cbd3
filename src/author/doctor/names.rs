//! Names of members. Protobuf's JSON accepts each member by its name in the schema, `http_filters`, or as `httpFilters`, even in one
//! file. Checks for only one spelling would miss the other.

use serde_json::{Map, Value};

/// Members whose own members are named by users: filters, keys of metadata.
const NAMED_BY_USERS: [&str; 3] = [
    "typed_per_filter_config",
    "filter_metadata",
    "typed_filter_metadata",
];

/// Returns a configuration with the schema's names of members. A `Struct` keeps the names of its author, such as the `apiVersion` of
/// a policy, because it is not a message of Envoy.
pub(super) fn in_snake_case(document: &Value) -> Value {
    match document {
        Value::Object(members) if is_struct(members) => document.clone(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let name = snake_case(name);
                let value = match value {
                    Value::Object(named) if NAMED_BY_USERS.contains(&&*name) => {
                        let named = named.iter();
                        let named = named.map(|(name, value)| (name.clone(), in_snake_case(value)));
                        Value::Object(named.collect())
                    }
                    value => in_snake_case(value),
                };
                (name, value)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => items.iter().map(in_snake_case).collect(),
        value => value.clone(),
    }
}

fn is_struct(members: &Map<String, Value>) -> bool {
    let kind = members.get("@type").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.ends_with("google.protobuf.Struct"))
}

fn snake_case(name: &str) -> String {
    let is_camel = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_camel {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_of_messages_have_the_names_of_the_schema_and_others_their_own() {
        let given = json!({
            "staticResources": {"listeners": [{"perConnectionBufferLimitBytes": 1, "filter_chains": []}]},
            "typedPerFilterConfig": {"agentGuard": {"isOptional": true}},
            "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"apiVersion": "x"}},
            "value": "camelCase",
        });
        let expected = json!({
            "static_resources": {"listeners": [{"per_connection_buffer_limit_bytes": 1, "filter_chains": []}]},
            "typed_per_filter_config": {"agentGuard": {"is_optional": true}},
            "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"apiVersion": "x"}},
            "value": "camelCase",
        });
        assert_eq!(in_snake_case(&given), expected);
    }
}
