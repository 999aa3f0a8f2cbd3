//! Compressed bodies of recorded exchanges. The filter sees few of them: Envoy's decompressors stand before it, and it asks
//! providers for uncompressed responses.

use crate::flow::simulation::HttpMessage;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::StreamingDecoder;
use std::io::Read;

/// Maximum bytes of a decoded body. A larger one stays as it is.
const MAX_DECODED: u64 = 64 << 20;

/// How often a body may grow by its own length: Envoy's decompressors stop there.
const MAX_RATIO: usize = 100;

/// Codings that Envoy's decompressors take off a request, but for `br`, for which this command has no decoder.
pub(super) const OF_REQUESTS: &[&str] = &["gzip", "zstd"];

/// Codings that a provider leaves out if it is asked to.
pub(super) const OF_RESPONSES: &[&str] = &["gzip", "x-gzip", "deflate", "zstd"];

/// Returns the body behind a `content-encoding`, if that is one of `codings`. An empty body and one that grows without
/// measure stay encoded, as behind Envoy's decompressors.
pub(super) fn decoded<'h>(
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    body: &[u8],
    codings: &[&str],
) -> Option<Vec<u8>> {
    let mut values = headers.filter(|(name, _)| *name == b"content-encoding");
    let (_, coding) = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let is_one = |known: &&&str| coding.eq_ignore_ascii_case(known.as_bytes());
    let mut found = Vec::new();
    let read = match *codings.iter().find(is_one)? {
        "deflate" => read(ZlibDecoder::new(body), &mut found),
        "zstd" => read(StreamingDecoder::new(body).ok()?, &mut found),
        _ => read(MultiGzDecoder::new(body), &mut found),
    };
    let is_measured = found.len().div_ceil(MAX_RATIO) <= body.len();
    read.filter(|()| !found.is_empty() && is_measured)?;
    Some(found)
}

/// Reads to the end, or returns `None` if there is none in sight.
fn read(from: impl Read, into: &mut Vec<u8>) -> Option<()> {
    let length = from
        .take(MAX_DECODED.saturating_add(1))
        .read_to_end(into)
        .ok()?;
    u64::try_from(length)
        .is_ok_and(|length| length <= MAX_DECODED)
        .then_some(())
}

/// Decodes the body of a message, and says so in its headers.
pub(super) fn decode(mut message: HttpMessage, codings: &[&str]) -> HttpMessage {
    let headers = message.header_slices();
    let Some(body) = decoded(headers.into_iter(), &message.body(), codings) else {
        return message;
    };
    for (name, value) in &mut message.headers {
        if name == b"content-length" {
            *value = body.len().to_string().into_bytes();
        }
    }
    message
        .headers
        .retain(|(name, _)| name != b"content-encoding");
    message.chunks = vec![body];
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn message(codings: &[&str], body: &[u8]) -> HttpMessage {
        let length = body.len().to_string();
        let mut headers = vec![("content-length", &*length)];
        headers.extend(codings.iter().map(|coding| ("content-encoding", *coding)));
        HttpMessage::new(&headers, body)
    }

    #[test]
    fn each_coding_that_is_known_is_decoded_and_the_headers_say_so() {
        let text = b"{\"model\": \"gpt-4o\"}";
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(text).unwrap();
        let two_members = [gzip(&text[..5]), gzip(&text[5..])].concat();
        for (coding, body) in [
            ("gzip", gzip(text)),
            ("GZIP", gzip(text)),
            ("x-gzip", two_members),
            ("deflate", zlib.finish().unwrap()),
            (
                "zstd",
                compress_to_vec(&text[..], CompressionLevel::Fastest),
            ),
        ] {
            let plain = decode(message(&[coding], &body), OF_RESPONSES);
            assert_eq!(plain.body(), text, "{coding}");
            assert_eq!(plain.header("content-encoding"), None);
            assert_eq!(plain.header("content-length"), Some(&b"19"[..]));
        }
    }

    #[test]
    fn what_can_not_be_decoded_stays_as_it_is() {
        let text = b"{}";
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        raw.write_all(text).unwrap();
        let packed = gzip(text);
        let cut = &packed[..packed.len() - 4];
        let grown = gzip(&[b' '; 100_000]);
        for (codings, body) in [
            (&[][..], &packed[..]),
            (&["br"], &packed),
            (&["gzip, br"], &packed),
            (&["gzip", "gzip"], &packed),
            (&["gzip"], text),
            (&["gzip"], cut),
            (&["gzip"], &gzip(b"")),
            (&["gzip"], &grown),
            (&["zstd"], &packed),
            (&["deflate"], &raw.finish().unwrap()),
        ] {
            let as_it_came = message(codings, body);
            let decoded = decode(as_it_came.clone(), OF_RESPONSES);
            assert_eq!(decoded, as_it_came, "{codings:?}");
        }
        // Envoy has a decompressor for gzip, and goes by this name.
        for (coding, is_decoded) in [
            ("gzip", true),
            ("zstd", false),
            ("x-gzip", false),
            ("deflate", false),
        ] {
            let as_it_came = message(&[coding], &packed);
            let decoded = decode(as_it_came.clone(), OF_REQUESTS);
            assert_eq!(decoded != as_it_came, is_decoded, "{coding}");
        }
    }
}
