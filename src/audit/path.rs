//! Paths for audit events. Identifiers in them become `{id}`, and the endpoint stays readable.
//!
//! `/v1/threads/thread_hdFYJQRmuM9wGxfEgIQ1Zxlt/runs` is `/v1/threads/thread_{id}/runs`, `/orders/4711` is `/orders/{id}`.

use crate::wire::http::percent_decode;

/// Replacement of an identifier.
const ID: &str = "{id}";

/// Minimum digits in a row that are an identifier within a segment. A date and a model's `20240620` have eight.
const MIN_DIGITS: usize = 9;

/// Minimum characters of an identifier in hexadecimal digits.
const MIN_HEX: usize = 8;

/// Minimum characters of an identifier in letters and digits.
const MIN_MIXED: usize = 16;

/// Minimum characters of an identifier that has digits and letters of both cases.
const MIN_BOTH_CASES: usize = 12;

/// Minimum characters of an identifier without digits. No word of an API is that long.
const MIN_LETTERS: usize = 32;

/// The groups of a UUID.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// Returns a path without its query and with its identifiers masked.
///
/// Percent-encoding is decoded, so that no identifier is hidden by it. Characters that would then be part of the path's
/// own syntax stay encoded. A segment that is encoded twice is masked as a whole.
pub fn mask_identifiers(path: &str) -> String {
    let end = path.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    let path = end.and_then(|end| path.get(..end)).unwrap_or(path);
    let mut out = String::with_capacity(path.len());
    for (number, segment) in path.split('/').enumerate() {
        if number > 0 {
            out.push('/');
        }
        mask_segment(segment, &mut out);
    }
    out
}

fn mask_segment(segment: &str, out: &mut String) {
    let decoded = percent_decode(segment);
    let is_number = decoded.bytes().all(|byte| byte.is_ascii_digit());
    let is_encoded_twice = *decoded != *segment && *percent_decode(&decoded) != *decoded;
    if !decoded.is_empty() && (is_number || is_encoded_twice) {
        out.push_str(ID);
        return;
    }
    let mut rest = &*decoded;
    while !rest.is_empty() {
        let end = match uuid_end(rest) {
            Some(end) => end,
            None => rest
                .bytes()
                .position(|byte| !byte.is_ascii_alphanumeric())
                .unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        out.push_str(if is_identifier(word) { ID } else { word });
        let mut chars = after.chars();
        match chars.next() {
            Some('/') => out.push_str("%2F"),
            Some('?') => out.push_str("%3F"),
            Some('#') => out.push_str("%23"),
            Some('%') => out.push_str("%25"),
            Some(c) => out.push(c),
            None => {}
        }
        rest = chars.as_str();
    }
}

/// Returns the end of a UUID at the start of a text.
fn uuid_end(text: &str) -> Option<usize> {
    let mut end = 0usize;
    for (number, length) in UUID.into_iter().enumerate() {
        if number > 0 {
            text.get(end..)?.strip_prefix('-')?;
            end = end.checked_add(1)?;
        }
        let next = end.checked_add(length)?;
        let group = text.get(end..next)?;
        group
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then_some(())?;
        end = next;
    }
    let is_whole = text
        .get(end..)?
        .chars()
        .next()
        .is_none_or(|c| !c.is_ascii_alphanumeric());
    is_whole.then_some(end)
}

/// Returns whether a word is an identifier, not a word of an API or the name of a model.
fn is_identifier(word: &str) -> bool {
    if word.contains('-') {
        // Only a UUID has several groups here.
        return true;
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if digits == word.len() {
        return digits >= MIN_DIGITS;
    }
    if digits == 0 {
        return word.len() >= MIN_LETTERS;
    }
    let has = |is: fn(&u8) -> bool| word.bytes().any(|byte| is(&byte));
    let has_both_cases = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    word.len() >= MIN_MIXED
        || (is_hex && word.len() >= MIN_HEX)
        || (has_both_cases && word.len() >= MIN_BOTH_CASES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_masked_and_the_endpoint_stays() {
        for (path, expected) in [
            ("/v1/chat/completions", "/v1/chat/completions"),
            ("/v1/files?after=secret", "/v1/files"),
            ("/v1/files#secret", "/v1/files"),
            ("/orders/4711", "/orders/{id}"),
            (
                "/v1/threads/thread_hdFYJQRmuM9wGxfEgIQ1Zxlt/runs",
                "/v1/threads/thread_{id}/runs",
            ),
            (
                "/v1/responses/resp_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b/cancel",
                "/v1/responses/resp_{id}/cancel",
            ),
            ("/s/3f2b8c1e-7a44-4d0e-9b1a-2f6c0d9e8a71", "/s/{id}"),
            (
                "/s/session:3F2B8C1E-7A44-4D0E-9B1A-2F6C0D9E8A71.json",
                "/s/session:{id}.json",
            ),
            ("/commit/1f2e3d4c", "/commit/{id}"),
            ("/t/AbC123dEf456", "/t/{id}"),
            (
                "/t/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
                "/t/{id}.{id}.c2ln",
            ),
            ("/customers/49170123456", "/customers/{id}"),
            ("/c/0049-1701234567", "/c/0049-{id}"),
            ("/a%2Fb/%31%32%33", "/a%2Fb/{id}"),
            ("/x/jane%2540example.com", "/x/{id}"),
            ("/x/100%25", "/x/100%25"),
            ("//", "//"),
            ("", ""),
            ("*", "*"),
        ] {
            assert_eq!(mask_identifiers(path), expected, "{path}");
        }
    }

    #[test]
    fn names_of_models_versions_and_dates_stay() {
        for path in [
            "/v1beta/models/gemini-2.0-flash:generateContent",
            "/openai/deployments/gpt-4o-2024-08-06/chat/completions",
            "/model/us.anthropic.claude-3-5-sonnet-20240620-v1:0/invoke-with-response-stream",
            "/v1/models/accounts/fireworks/models/llama-v3p1-405b-instruct",
            "/v1/publishers/google/models/gemini-2.0-flash@001:streamGenerateContent",
            "/2015-03-31/functions/lookup/invocations",
            "/.well-known/oauth-protected-resource",
            "/mcp/server_1",
        ] {
            assert_eq!(mask_identifiers(path), path);
        }
    }
}
