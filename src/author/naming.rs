//! Canonical spelling of a field, however a policy wrote it.

use crate::policy::field::{Field, RequestField, UsageField};
use crate::wire::json::{JsonPath, PathStep};

impl Field {
    /// Returns the field's name: `principal.roles` for `role`, `args["a.b"][0]`, `args.cc|to`.
    pub(super) fn name(&self) -> String {
        let word = match self {
            Field::In => "in",
            Field::Protocol => "protocol",
            Field::Provider => "provider",
            Field::Server => "server",
            Field::Model => "model",
            Field::Host => "host",
            Field::Path => "path",
            Field::Method => "method",
            Field::Environment => "environment",
            Field::Client => "principal.client",
            Field::Tenant => "principal.tenant",
            Field::Agent => "principal.agent",
            Field::Roles => "principal.roles",
            Field::Time => "time",
            Field::Uri => "uri",
            Field::Text => "text",
            Field::From => "from",
            Field::Part => "part",
            Field::Turn => "turn",
            Field::Tool => "tool",
            Field::Definition => "definition",
            Field::ProviderRun => "provider_run",
            Field::Unoffered => "unoffered",
            Field::Earlier => "earlier",
            Field::Ok => "ok",
            Field::Finish => "finish",
            Field::Code => "code",
            Field::Class => "class",
            Field::ContentType => "content_type",
            Field::Request(field) => match field {
                RequestField::MessageCount => "request.message_count",
                RequestField::Roles(role) => return format!("request.roles.{role}"),
                RequestField::EstimatedTokens => "request.estimated_tokens",
                RequestField::Bytes => "request.bytes",
                RequestField::Stream => "request.stream",
                RequestField::MaxTokens => "request.max_tokens",
                RequestField::Tools => "request.tools",
                RequestField::Region => "request.region",
            },
            Field::Usage(field) => match field {
                UsageField::Input => "usage.input_tokens",
                UsageField::Output => "usage.output_tokens",
                UsageField::Cached => "usage.cached_tokens",
                UsageField::Reasoning => "usage.reasoning_tokens",
            },
            Field::Principal(name) => return format!("principal.{name}"),
            Field::Header(name) => {
                return match name.strip_prefix('?') {
                    Some(parameter) => format!("query.{parameter}"),
                    None => format!("header.{name}"),
                };
            }
            Field::Session(name) => return format!("session.{name}"),
            Field::Params(path) => return path_name("params", path),
            Field::Args(path) => return path_name("args", path),
            Field::Result(path) => return path_name("result", path),
            Field::Item(path) => return path_name("item", path),
        };
        word.to_owned()
    }
}

fn path_name(root: &str, path: &JsonPath) -> String {
    let mut ways: Vec<String> = path.ways.iter().map(|way| steps(way)).collect();
    ways.sort();
    ways.dedup();
    match ways.as_slice() {
        [] => root.to_owned(),
        [only] => format!("{root}{only}"),
        several => {
            // Alternatives are siblings: they differ in their last step.
            let cut = several
                .iter()
                .map(|way| way.rfind('.').unwrap_or_default())
                .min()
                .unwrap_or_default();
            let common = several.first().and_then(|way| way.get(..cut));
            let names: Option<Vec<&str>> = several
                .iter()
                .map(|way| way.strip_prefix(common?)?.strip_prefix('.'))
                .collect();
            match (common, names) {
                (Some(common), Some(names)) => format!("{root}{common}.{}", names.join("|")),
                _ => format!("{root}{}", several.join("|")),
            }
        }
    }
}

fn steps(way: &[PathStep]) -> String {
    way.iter()
        .map(|step| match step {
            PathStep::Key(name) if is_plain(name) => format!(".{name}"),
            PathStep::Key(name) => format!("[{name:?}]"),
            PathStep::Index(at) => format!("[{at}]"),
            PathStep::Every => "[*]".to_owned(),
            PathStep::Anywhere(name) => format!("..{name}"),
        })
        .collect()
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    !name.is_empty() && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_the_same_field() {
        for name in [
            "role",
            "tenant",
            "args",
            "args.a.b",
            "args[\"a.b\"][0]",
            "args.items[*].price",
            "args..email",
            "args.mail.to|cc|bcc",
            "args..cc|to",
            "args.$.a",
            "result.rows[0]",
            "header.X-Team",
            "header.*",
            "query.api-version",
            "query.*",
            "request.roles.user",
            "usage.output_tokens",
            "principal.department",
        ] {
            let field = Field::parse(name).unwrap();
            let written = field.name();
            assert_eq!(Field::parse(&written).unwrap().name(), written, "{name}");
        }
        assert_eq!(Field::parse("args.to|cc").unwrap().name(), "args.cc|to");
        assert_eq!(Field::parse("role").unwrap().name(), "principal.roles");
    }
}
