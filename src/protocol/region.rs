//! Regions: where a cloud processes a request, as its host or its path says.
//!
//! ```text
//! bedrock-runtime.eu-central-1.amazonaws.com      eu-central-1
//! europe-west4-aiplatform.googleapis.com          europe-west4
//! aiplatform.googleapis.com/v1/projects/p/locations/us-east5/…   us-east5
//! westeurope.api.cognitive.microsoft.com          westeurope
//! NAME.openai.azure.com                           unknown: the resource's name does not say
//! ```

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
        return named(labels.get(next).copied().filter(|label| is_aws(label)));
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
}
