//! Spellings of a model's name: `openai/gpt-4o:online`, `openai:gpt-4o`, `us.anthropic.claude-…-v1:0`. Gateways, libraries
//! and clouds add prefixes and suffixes for provider, region and variant; endpoints strip the ones they know. A
//! deny-side condition is evaluated for all spellings, an allow-side condition only for the original name.

/// Maximum spellings of one name. Names in use have at most twenty.
const MAX_SPELLINGS: usize = 32;

/// Maximum bytes of a model's name whose spellings are determined.
const MAX_NAME_BYTES: usize = 512;

/// Collections with account-specific members: of Google and AWS, Cloudflare's routes, Requesty's policies, TensorZero's
/// functions. Only the account knows the model behind a member.
const ACCOUNT_COLLECTIONS: &[&str] = &[
    "tunedmodels",
    "endpoints",
    "reasoningengines",
    "application-inference-profile",
    "provisioned-model",
    "custom-model",
    "custom-model-deployment",
    "imported-model",
    "prompt-router",
    "default-prompt-router",
    "prompt",
    "dynamic",
    "policy",
    "function_name",
];

/// Returns whether a name hides its model: `tunedModels/x`, `arn:aws:bedrock:…:provisioned-model/x`.
pub(super) fn hides_model(name: &str) -> bool {
    let mut parts = name.split(['/', ':']).peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_some()
            && ACCOUNT_COLLECTIONS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(part))
        {
            return true;
        }
    }
    false
}

/// Prefixes of vendors that end with a hyphen, like a word of the name itself: in names of DigitalOcean and Databricks.
const VENDOR_PREFIXES: &[&str] = &["openai-", "anthropic-", "databricks-"];

/// Adds the other spellings of a name to a list, without duplicates. Returns whether these are all: a name may have
/// very many.
pub(super) fn add_spellings(name: &str, to: &mut Vec<Box<str>>) -> bool {
    if name.len() > MAX_NAME_BYTES {
        return false;
    }
    let first = to.len();
    let mut next = first;
    let mut is_complete = true;
    let mut current: Box<str> = name.into();
    loop {
        each_shorter(&current, &mut |spelling| {
            let spelling = spelling.trim();
            let mut known = to.iter().skip(first);
            if spelling.is_empty() || spelling == name || known.any(|known| **known == *spelling) {
                return;
            }
            match to.len().saturating_sub(first) < MAX_SPELLINGS {
                true => to.push(spelling.into()),
                false => is_complete = false,
            }
        });
        let Some(following) = to.get(next) else {
            return is_complete;
        };
        current = following.clone();
        next = next.saturating_add(1);
    }
}

/// Returns whether a byte is one of those that most model names consist of.
pub(crate) fn is_plain_in_model_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Returns whether a model's name has no prefix or suffix, like `gpt-4o-mini` and `gemini-2.5-pro`. Most names have
/// none, and each frame of a stream has a name.
pub(super) fn is_bare(name: &str) -> bool {
    let is_joint = |before: u8, byte: u8| match (before, byte) {
        (before, b'.') => !before.is_ascii_digit(),
        (b'.', after) => !after.is_ascii_digit(),
        both => both == (b'-', b'-'),
    };
    let mut before = b'0';
    let is_one = name.bytes().all(|byte| {
        let before = std::mem::replace(&mut before, byte);
        is_plain_in_model_name(byte) && !is_joint(before, byte)
    });
    is_one
        && !name.ends_with("-latest")
        && !VENDOR_PREFIXES
            .iter()
            .any(|vendor| name.starts_with(vendor))
}

/// Calls `give` with each spelling that has one prefix or suffix less.
fn each_shorter(name: &str, give: &mut dyn FnMut(&str)) {
    if has_marks(name.as_bytes()) {
        each_unmarked(name, give);
    }
    for vendor in VENDOR_PREFIXES {
        if let Some(rest) = name.strip_prefix(vendor) {
            give(rest);
        }
    }
    if let Some(before) = name.strip_suffix("-latest") {
        give(before);
    }
}

/// Returns whether a name has anything but words of letters and digits with a single `-` or `_` between them.
fn has_marks(name: &[u8]) -> bool {
    let mut before = 0;
    name.iter().any(|&byte| {
        let is_twice = byte == b'-' && before == b'-';
        before = byte;
        is_twice || !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

/// Returns both sides of the first occurrence of `mark`, which is ASCII. Names are too short for a vectorised search to
/// be faster.
fn split_at<'n>(name: &'n str, mark: &[u8]) -> Option<(&'n str, &'n str)> {
    let at = name
        .as_bytes()
        .windows(mark.len())
        .position(|part| part == mark)?;
    Some((name.get(..at)?, name.get(at.saturating_add(mark.len())..)?))
}

/// Calls `give` with each spelling that lacks one part before or after a mark: `/`, `:`, `.`, `@`, …
#[inline(never)]
fn each_unmarked(name: &str, give: &mut dyn FnMut(&str)) {
    // `models/x`, `google/x`, `publishers/google/models/x`, `openrouter/openai/x`, an ARN's resource.
    if let Some((_, rest)) = name.split_once('/') {
        give(rest);
    }
    // Helicone: the provider behind the model (`gpt-4o/azure`), and models to fall back to (`gpt-4o, o3/openai`).
    if let Some((before, _)) = name.rsplit_once('/') {
        give(before);
    }
    if name.contains(',') {
        name.split(',').for_each(&mut *give);
    }
    // Bedrock: the region of an inference profile (`us.`, `eu.`, `global.`), then the vendor
    // (`anthropic.`). A version (`gpt-4.1`) has digits before its dot.
    if let Some((before, rest)) = name.split_once('.')
        && !before.is_empty()
        && before.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
    {
        give(rest);
    }
    let fine_tuned = name
        .get(..3)
        .filter(|scheme| scheme.eq_ignore_ascii_case("ft:"))
        .and_then(|_| name.get(3..));
    match (fine_tuned, name.rsplit_once(':')) {
        // `ft:gpt-4o-mini:acme::id`
        (Some(rest), _) => give(rest.split(':').next().unwrap_or_default()),
        // `:online`, `:free`, `:latest`, `:70b`, `:0`
        (None, Some((before, _))) if !name.starts_with("arn:") => {
            give(before.trim_end_matches(':'));
            // Bedrock's version: `-v1:0`.
            if let Some((model, version)) = before.rsplit_once("-v")
                && !version.is_empty()
                && version.bytes().all(|b| b.is_ascii_digit())
            {
                give(model);
            }
            // LangChain, Pydantic AI and aisuite put the provider first (`openai:gpt-4o`), as does TensorZero
            // (`openai::gpt-4o`). A number is not a model.
            let rest = name.split_once(':').map_or("", |(_, rest)| rest);
            if rest.bytes().any(|b| b.is_ascii_alphabetic()) {
                give(rest.trim_start_matches(':'));
            }
        }
        _ => {}
    }
    // A part of a multipart form with type JSON.
    if name.starts_with(['"', '\'']) {
        give(name.trim_matches(['"', '\'']));
    }
    // SAP: `anthropic--claude-3.5-sonnet`.
    if let Some((_, rest)) = split_at(name, b"--") {
        give(rest);
    }
    // Vertex AI's version: Anthropic writes `-20240620`, Google `@20240620`. Cloudflare's names start with `@`.
    if let Some((before, version)) = name
        .split_once('@')
        .filter(|(before, _)| !before.is_empty())
    {
        give(before);
        give(&format!("{before}-{version}"));
    }
    // Claude Code's `[1m]`, Fireworks' `#accounts/x/deployments/y`, CLIProxyAPI's `(high)`, Azure's `.ft-0a1b`.
    for mark in [&b"["[..], b"#", b"(", b".ft-"] {
        if let Some((before, _)) = split_at(name, mark) {
            give(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_spellings(name: &str) -> Vec<Box<str>> {
        let mut found = Vec::new();
        assert!(add_spellings(name, &mut found), "{name}: {found:?}");
        found
    }

    #[test]
    fn a_name_has_the_spellings_that_endpoints_and_gateways_make_of_it() {
        for (name, all) in [
            ("gpt-4o", &[][..]),
            ("gpt-4.1", &[]),
            ("o3", &[]),
            ("models/gemini-2.5-pro", &["gemini-2.5-pro"]),
            ("google/gemini-2.5-pro", &["gemini-2.5-pro"]),
            (
                "publishers/google/models/gemini-2.0-flash@001",
                &[
                    "google/models/gemini-2.0-flash@001",
                    "publishers/google/models/gemini-2.0-flash",
                    "gemini-2.0-flash",
                    "gemini-2.0-flash-001",
                ],
            ),
            (
                "openrouter/openai/gpt-4o:online",
                &["openai/gpt-4o:online", "openai/gpt-4o", "gpt-4o"],
            ),
            ("openai/gpt-4o:free", &["gpt-4o:free", "gpt-4o"]),
            (
                "us.anthropic.claude-3-5-sonnet-20240620-v1:0",
                &[
                    "anthropic.claude-3-5-sonnet-20240620-v1:0",
                    "anthropic.claude-3-5-sonnet-20240620-v1",
                    "claude-3-5-sonnet-20240620-v1:0",
                    "claude-3-5-sonnet-20240620",
                ],
            ),
            (
                "global.anthropic.claude-sonnet-4-v1:0",
                &["claude-sonnet-4"],
            ),
            (
                "us-gov.amazon.nova-pro-v1:0",
                &["amazon.nova-pro-v1:0", "nova-pro"],
            ),
            (
                "bedrock/converse/eu.meta.llama3-2-1b-instruct-v1:0",
                &["llama3-2-1b-instruct"],
            ),
            (
                "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2",
                &["anthropic.claude-v2", "claude-v2"],
            ),
            (
                "claude-3-5-sonnet-v2@20241022",
                &["claude-3-5-sonnet-v2", "claude-3-5-sonnet-v2-20241022"],
            ),
            ("claude-sonnet-4-5[1m]", &["claude-sonnet-4-5"]),
            ("claude-3-7-sonnet-latest", &["claude-3-7-sonnet"]),
            (
                "ft:gpt-4o-mini-2024-07-18:acme:name:id",
                &["gpt-4o-mini-2024-07-18"],
            ),
            ("llama3:latest", &["llama3"]),
            (
                "accounts/fireworks/models/qwen3#accounts/acme/deployments/1",
                &["qwen3"],
            ),
            (
                "@cf/meta/llama-3.1-8b-instruct",
                &["meta/llama-3.1-8b-instruct", "llama-3.1-8b-instruct"],
            ),
            ("deepseek-ai/DeepSeek-R1:together", &["DeepSeek-R1"]),
            ("openai:gpt-4o", &["gpt-4o"]),
            ("azure_openai:gpt-4o", &["gpt-4o"]),
            ("gateway/google-vertex:gemini-2.5-pro", &["gemini-2.5-pro"]),
            (
                "bedrock:us.anthropic.claude-3-5-sonnet-20240620-v1:0",
                &[
                    "us.anthropic.claude-3-5-sonnet-20240620-v1:0",
                    "anthropic.claude-3-5-sonnet-20240620-v1:0",
                    "claude-3-5-sonnet-20240620",
                ],
            ),
            ("huggingface:Qwen/Qwen3-32B:cerebras", &["Qwen3-32B"]),
            ("openai:ft:gpt-4o-mini:acme::id", &["gpt-4o-mini"]),
            ("openai::gpt-4o", &["gpt-4o"]),
            (
                "tensorzero::model_name::openai::gpt-4o-mini",
                &["gpt-4o-mini", "openai::gpt-4o-mini"],
            ),
            ("gpt-4o-mini/openai", &["gpt-4o-mini"]),
            ("gpt-4o-mini/azure/eu, o3", &["gpt-4o-mini", "o3"]),
            ("@openai-prod/gpt-4o", &["gpt-4o"]),
            ("anthropic--claude-3.5-sonnet", &["claude-3.5-sonnet"]),
            ("databricks-claude-sonnet-4", &["claude-sonnet-4"]),
            ("openai-gpt-4o", &["gpt-4o"]),
            ("gpt-5(high)", &["gpt-5"]),
            ("\"gpt-5\"", &["gpt-5"]),
            ("gpt-4o-2024-08-06.ft-0a1b", &["gpt-4o-2024-08-06"]),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-v2",
                &["claude-v2"],
            ),
        ] {
            let found = all_spellings(name);
            for one in all {
                assert!(
                    found.iter().any(|known| **known == **one),
                    "{name}: {one} in {found:?}"
                );
            }
            assert_eq!(found.is_empty(), all.is_empty(), "{name}: {found:?}");
        }
    }

    #[test]
    fn a_bare_name_has_no_other_spelling() {
        for name in [
            "gpt-4o-mini",
            "gemini-2.5-pro",
            "claude-sonnet-4-20250514",
            "gpt_4.1",
            "o3",
            "",
        ] {
            assert!(is_bare(name), "{name}");
            let mut found = Vec::new();
            each_shorter(name, &mut |spelling| found.push(spelling.to_owned()));
            assert!(found.is_empty(), "{name}: {found:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_bare_is_shortened_by_nothing_and_hides_nothing(name in "([a-z0-9]|-|[.]|_|--|/|:|@|ft[.:-]|-latest|openai-|databricks-|anthropic[.-]|\\PC){0,8}") {
            if is_bare(&name) {
                proptest::prop_assert!(!hides_model(&name), "{name}");
                let mut found = Vec::new();
                each_shorter(&name, &mut |spelling| {
                    if !spelling.trim().is_empty() && spelling != name {
                        found.push(spelling.to_owned());
                    }
                });
                proptest::prop_assert!(found.is_empty(), "{}: {:?}", name, found);
            }
        }
    }

    #[test]
    fn work_on_a_name_is_bounded() {
        for unit in ["/", "a/", "a.", ":", "@a", "[", "a:b/", "-latest", "a,"] {
            let mut found = Vec::new();
            add_spellings(&unit.repeat(80), &mut found);
            assert!(found.len() <= MAX_SPELLINGS);
            found.clear();
            assert!(!add_spellings(&unit.repeat(1000), &mut found));
            assert!(found.is_empty());
        }
    }

    #[test]
    fn a_name_with_more_spellings_may_be_any_model() {
        let mut found = Vec::new();
        let name = format!("{}gpt-4o", "a/".repeat(60));
        assert!(!add_spellings(&name, &mut found));
    }

    #[test]
    fn names_of_an_account_hide_their_model() {
        for name in [
            "tunedModels/x",
            "projects/p/locations/l/endpoints/42",
            "bedrock/arn:aws:bedrock:us-east-1:1:application-inference-profile/abc",
            "arn:aws:bedrock:us-east-1:1:provisioned-model/abc",
            "dynamic/cheapest",
            "policy/fallback",
            "tensorzero::function_name::write",
        ] {
            assert!(hides_model(name), "{name}");
        }
        for name in [
            "gpt-4o",
            "models/gemini-2.5-pro",
            "acme/endpoints",
            "prompt",
        ] {
            assert!(!hides_model(name), "{name}");
        }
    }
}
