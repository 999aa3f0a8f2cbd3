//! Regions: where a cloud processes a request, from its host or its path.
//!
//! ```text
//! bedrock-runtime.eu-central-1.amazonaws.com      eu-central-1
//! europe-west4-aiplatform.googleapis.com          europe-west4
//! aiplatform.googleapis.com/v1/projects/p/locations/us-east5/…   us-east5
//! westeurope.api.cognitive.microsoft.com          westeurope
//! NAME.openai.azure.com                           unknown: the resource's name contains none
//! ```
//!
//! A cross-region inference profile of Bedrock (`eu.anthropic.claude-…`) sends a request to any region of its geography,
//! whichever region's host it was called at: the geography is the region (`eu`).

use crate::event::Known;
use crate::wire::http::Path;
use crate::wire::letter_case;

/// Returns the region of a request. It is missing where a provider has none, and unknown where it has regions and the
/// request doesn't say which, or says two.
pub fn region_of(host: &str, path: &Path) -> Known<Box<str>> {
    let host = letter_case::ascii_lower(host);
    let host = host.trim_end_matches('.');
    let labels: Vec<&str> = host.split('.').collect();
    let is_under = |domain: &str| {
        let start = host.strip_suffix(domain);
        start.is_some_and(|start| start.is_empty() || start.ends_with('.') || start.ends_with('-'))
    };
    if is_under("amazonaws.com") || is_under("amazonaws.com.cn") || is_under("api.aws") {
        let Some(at) = labels.iter().position(|label| label.starts_with("bedrock")) else {
            return Known::Missing;
        };
        let next = at.saturating_add(1);
        let called = named(labels.get(next).copied().filter(|label| is_aws(label)));
        return match model_in(path) {
            Some(model) => of_bedrock_model(called, &model),
            None => called,
        };
    }
    if is_under("aiplatform.googleapis.com") || is_under("rep.googleapis.com") {
        return vertex(&labels, path);
    }
    let azure = [
        "api.cognitive.microsoft.com",
        "models.ai.azure.com",
        "inference.ml.azure.com",
    ];
    if azure.iter().any(|domain| is_under(domain)) {
        let domain = azure.iter().find(|domain| is_under(domain));
        let behind = domain.map_or(0, |domain| domain.split('.').count());
        let at = labels.len().checked_sub(behind.saturating_add(1));
        return named(at.and_then(|at| labels.get(at)).copied());
    }
    let silent = [
        "openai.azure.com",
        "services.ai.azure.com",
        "cognitiveservices.azure.com",
    ];
    match silent.iter().any(|domain| is_under(domain)) {
        true => Known::Unknown,
        false => Known::Missing,
    }
}

fn named(region: Option<&str>) -> Known<Box<str>> {
    match region.filter(|region| !region.is_empty()) {
        Some(region) => Known::Is(region.into()),
        None => Known::Unknown,
    }
}

/// `eu-central-1`, `us-gov-west-1`
fn is_aws(label: &str) -> bool {
    let mut parts = label.rsplit('-');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.next().is_some_and(is_number) && parts.count() >= 2
}

/// Returns the region of a request to Bedrock whose body names the models: its endpoints in OpenAI's format.
pub fn region_with_models(called: Known<Box<str>>, models: &[Box<str>]) -> Known<Box<str>> {
    if !called.value().is_some_and(|region| is_aws(region)) {
        return called;
    }
    let mut regions = models
        .iter()
        .map(|model| of_bedrock_model(called.clone(), model));
    match regions.next() {
        None => called,
        Some(first) if regions.all(|other| other == first) => first,
        Some(_) => Known::Unknown,
    }
}

/// The model in a path of the Bedrock runtime: `/model/MODEL/converse`. An ARN has a slash.
fn model_in(path: &Path) -> Option<String> {
    let (_, before) = path.segments.split_last()?;
    let is_model = |segment: &String| segment.eq_ignore_ascii_case("model");
    let start = before.iter().position(is_model)?;
    let model = before.get(start.saturating_add(1)..)?.join("/");
    (!model.is_empty()).then_some(model)
}

/// Where a model of Bedrock runs that is called in a region.
fn of_bedrock_model(called: Known<Box<str>>, model: &str) -> Known<Box<str>> {
    let model = letter_case::ascii_lower(model);
    let Some(arn) = model.strip_prefix("arn:") else {
        return match geography(&model) {
            Some(geography) => Known::Is(geography.into()),
            None => called,
        };
    };
    // partition : service : region : account : kind / id
    let mut parts = arn.splitn(5, ':').skip(2);
    let (region, resource) = (parts.next(), parts.nth(1).unwrap_or_default());
    match resource.split_once('/') {
        Some(("inference-profile", id)) => named(geography(id)),
        Some((
            "foundation-model"
            | "provisioned-model"
            | "custom-model"
            | "custom-model-deployment"
            | "imported-model"
            | "endpoint",
            _,
        )) => match (called, region) {
            (Known::Is(called), Some(region)) if *called == *region => Known::Is(called),
            _ => Known::Unknown,
        },
        // A profile, a router or a prompt of an account may lead to any region.
        _ => Known::Unknown,
    }
}

/// The geography of a cross-region inference profile: `us`, `eu`, `jp`, `apac`, `global`. Other ids begin with the
/// model's vendor, and none of these has a name of two letters.
fn geography(id: &str) -> Option<&str> {
    let (first, _) = id.split_once('.')?;
    let is_short = first.len() == 2 && first.bytes().all(|byte| byte.is_ascii_lowercase());
    (is_short || matches!(first, "apac" | "global" | "us-gov")).then_some(first)
}

/// The location in the path, and the region in the host: `REGION-aiplatform`, or `aiplatform.REGION.rep`.
fn vertex(labels: &[&str], path: &Path) -> Known<Box<str>> {
    let in_host = match labels {
        ["aiplatform", region, "rep", ..] => Some(*region),
        [first, ..] => first.strip_suffix("-aiplatform"),
        [] => None,
    };
    let mut segments = path.segments.iter();
    let in_path = segments
        .by_ref()
        .any(|segment| segment == "locations")
        .then(|| segments.next())
        .flatten()
        .map(|location| letter_case::ascii_lower(location));
    match (in_host, in_path) {
        // A multi-region host (`us`) serves locations in it.
        (Some(host), Some(path)) if host != path => Known::Unknown,
        (Some(host), _) => named(Some(host)),
        (None, path) => named(path.as_deref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(host: &str, path: &str) -> String {
        match region_of(host, &Path::parse(path)) {
            Known::Is(region) => region.into(),
            Known::Unknown => "?".to_owned(),
            Known::Missing => "none".to_owned(),
        }
    }

    #[test]
    fn clouds_say_where_they_are() {
        let location = |place: &str| {
            format!(
                "/v1/projects/p/locations/{place}/publishers/google/models/gemini-3:generateContent"
            )
        };
        for (host, path, expected) in [
            (
                "bedrock-runtime.eu-central-1.amazonaws.com",
                "/model/m/converse",
                "eu-central-1",
            ),
            (
                "Bedrock-Runtime-FIPS.us-gov-west-1.amazonaws.com.",
                "/",
                "us-gov-west-1",
            ),
            ("bedrock-runtime.us-east-1.api.aws", "/", "us-east-1"),
            (
                "vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com",
                "/",
                "eu-west-1",
            ),
            ("bedrock-runtime.amazonaws.com", "/", "?"),
            ("s3.eu-west-1.amazonaws.com", "/", "none"),
            (
                "europe-west4-aiplatform.googleapis.com",
                &location("europe-west4"),
                "europe-west4",
            ),
            (
                "europe-west4-aiplatform.googleapis.com",
                &location("us-central1"),
                "?",
            ),
            (
                "aiplatform.googleapis.com",
                &location("us-east5"),
                "us-east5",
            ),
            ("aiplatform.googleapis.com", &location("global"), "global"),
            ("aiplatform.eu.rep.googleapis.com", &location("eu"), "eu"),
            (
                "aiplatform.googleapis.com",
                "/v1/publishers/google/models/m:generateContent",
                "?",
            ),
            (
                "westeurope.api.cognitive.microsoft.com",
                "/openai/deployments/d",
                "westeurope",
            ),
            (
                "name.eastus2.models.ai.azure.com",
                "/v1/chat/completions",
                "eastus2",
            ),
            ("name.openai.azure.com", "/openai/deployments/d", "?"),
            ("name.services.ai.azure.com", "/", "?"),
            ("api.openai.com", "/v1/chat/completions", "none"),
            ("evil-amazonaws.com.example.org", "/", "none"),
            ("", "/", "none"),
        ] {
            assert_eq!(region(host, path), expected, "{host}{path}");
        }
    }

    #[test]
    fn a_model_of_bedrock_runs_where_its_profile_leads() {
        let frankfurt = "bedrock-runtime.eu-central-1.amazonaws.com";
        let arn = |rest: &str| format!("arn%3Aaws%3Abedrock%3A{rest}");
        for (model, expected) in [
            ("anthropic.claude-sonnet-4-5-v1:0", "eu-central-1"),
            ("ai21.jamba-1-5-large-v1:0", "eu-central-1"),
            ("zai.glm-4.6", "eu-central-1"),
            ("eu.anthropic.claude-sonnet-4-5-v1%3A0", "eu"),
            ("US.anthropic.claude-sonnet-4-5-v1:0", "us"),
            ("apac.amazon.nova-lite-v1:0", "apac"),
            ("jp.anthropic.claude-sonnet-4-5-v1:0", "jp"),
            ("us-gov.anthropic.claude-3-haiku-v1:0", "us-gov"),
            ("global.anthropic.claude-sonnet-4-5-v1:0", "global"),
            (
                &arn("eu-central-1:123:inference-profile/eu.amazon.nova-lite-v1:0"),
                "eu",
            ),
            (
                &arn("eu-central-1:123:inference-profile%2Fglobal.amazon.nova-lite-v1:0"),
                "global",
            ),
            (&arn("eu-central-1:123:inference-profile/x"), "?"),
            (
                &arn("eu-central-1::foundation-model/amazon.nova-lite-v1:0"),
                "eu-central-1",
            ),
            (
                &arn("us-east-1::foundation-model/amazon.nova-lite-v1:0"),
                "?",
            ),
            (&arn("eu-central-1:123:provisioned-model/x"), "eu-central-1"),
            (
                &arn("eu-central-1:123:application-inference-profile/x"),
                "?",
            ),
            (&arn("eu-central-1:123:default-prompt-router/x"), "?"),
            (&arn("eu-central-1:123:prompt/x:1"), "?"),
            ("arn:", "?"),
        ] {
            for verb in ["converse", "invoke-with-response-stream"] {
                let path = format!("/model/{model}/{verb}");
                assert_eq!(region(frankfurt, &path), expected, "{path}");
            }
        }
        let path = "/model/eu.amazon.nova-lite-v1:0/converse";
        assert_eq!(region("bedrock-runtime.amazonaws.com", path), "eu");
    }

    #[test]
    fn models_in_a_body_lead_where_those_in_a_path_do() {
        let with = |called: &str, models: &[&str]| {
            let models: Vec<Box<str>> = models.iter().map(|model| (*model).into()).collect();
            match region_with_models(Known::Is(called.into()), &models) {
                Known::Is(region) => region.into(),
                Known::Unknown => "?".to_owned(),
                Known::Missing => "none".to_owned(),
            }
        };
        assert_eq!(with("us-west-2", &["openai.gpt-oss-20b-1:0"]), "us-west-2");
        assert_eq!(with("us-west-2", &["us.openai.gpt-oss-20b-1:0"]), "us");
        assert_eq!(with("us-west-2", &["us.a.b", "eu.a.b"]), "?");
        assert_eq!(with("us-west-2", &[]), "us-west-2");
        // Another cloud's models are only names.
        assert_eq!(with("europe-west4", &["us.a.b"]), "europe-west4");
    }
}
