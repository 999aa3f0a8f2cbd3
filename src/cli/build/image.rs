//! `--image`: source of the module or the container.

use std::net::Ipv6Addr;

/// Source from which a proxy gets the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Image {
    /// Image in a registry: `registry.example.com/agentguard:0.1.0`, with its manifest's SHA-256.
    Registry(String, Option<String>),
    /// URL of the module: `https://…`, `file://…`.
    Url(String),
}

impl Image {
    /// Returns whether it is a file of the proxy.
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Image::Url(url) if url.starts_with("file:"))
    }

    /// Parses `[oci://]NAME[:TAG][@sha256:DIGEST]`, or a URL.
    pub(super) fn parse(text: &str) -> Result<Image, String> {
        let name = match text.split_once("://") {
            Some(("oci", name)) => name,
            Some(("http" | "https" | "file", rest)) if !rest.is_empty() => {
                return match text.chars().all(is_in_url) {
                    true => Ok(Image::Url(text.to_owned())),
                    false => Err(
                        "a URL has no spaces, quotes or letters beyond ASCII: write `%20`, `%22`"
                            .to_owned(),
                    ),
                };
            }
            Some(_) => {
                return Err(
                    "write REGISTRY/NAME:TAG, or a URL with oci, http, https or file".to_owned(),
                );
            }
            None => text,
        };
        let (name, digest) = match name.split_once('@') {
            None => (name, None),
            Some((name, digest)) => match digest.strip_prefix("sha256:") {
                Some(hex) if is_sha256(hex) => (name, Some(hex.to_owned())),
                _ => return Err("a digest is `@sha256:` and 64 hexadecimal digits".to_owned()),
            },
        };
        // Without a registry, Docker Hub's library would be used, which is never intended.
        let has_registry = name
            .split_once('/')
            .is_some_and(|(registry, path)| !registry.is_empty() && !path.is_empty());
        if !has_registry {
            return Err("name the registry: `registry.example.com/agentguard:0.1.0`".to_owned());
        }
        if !is_reference(name) {
            return Err(
                "this is no name of an image: after the registry it has lower case letters, digits, `.`, `_`, `-` and `/`, and a \
                 tag after `:` as `registry.example.com/agentguard:0.1.0`"
                    .to_owned(),
            );
        }
        Ok(Image::Registry(name.to_owned(), digest))
    }
}

/// Returns whether a character can be in a URL.
fn is_in_url(c: char) -> bool {
    c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c)
}

/// Returns whether a text is `REGISTRY/NAME[:TAG]`, as every registry and container runtime parses it.
fn is_reference(text: &str) -> bool {
    let Some((registry, path)) = text.split_once('/') else {
        return false;
    };
    let (path, tag) = match path.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path, None),
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_tag = |tag: &str| {
        tag.len() <= 128
            && tag.starts_with(is_word)
            && tag.chars().all(|c| is_word(c) || c == '.' || c == '-')
    };
    text.len() <= 255
        && is_registry(registry)
        && path.split('/').all(is_component)
        && tag.is_none_or(is_tag)
}

/// Returns whether a text is `HOST[:PORT]`, or a user of Docker Hub.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_label = |label: &str| {
        let is_outer = |c: char| c.is_ascii_alphanumeric();
        label.starts_with(is_outer)
            && label.ends_with(is_outer)
            && label.chars().all(|c| is_outer(c) || c == '-')
    };
    let is_host = match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    let is_port = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    });
    (is_host && is_port) || is_component(text)
}

/// Returns whether a text is a part of an image's path: words of lower case letters and digits, with `.`, `_`, `__` or any number of `-`
/// between them.
fn is_component(text: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut between = text.split(is_alphanumeric);
    let is_separator =
        |part: &str| matches!(part, "" | "." | "_" | "__") || part.chars().all(|c| c == '-');
    text.starts_with(is_alphanumeric)
        && text.ends_with(is_alphanumeric)
        && between.all(is_separator)
}

/// Returns whether a text is a SHA-256 in hexadecimal digits.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_registry_and_perhaps_a_digest() {
        let digest = "0".repeat(64);
        let image = |name: &str, digest: Option<&str>| {
            Ok(Image::Registry(name.to_owned(), digest.map(str::to_owned)))
        };
        assert_eq!(Image::parse("r.io/a:1"), image("r.io/a:1", None));
        assert_eq!(
            Image::parse("oci://localhost:5000/a"),
            image("localhost:5000/a", None)
        );
        let pinned = format!("r.io/a:1@sha256:{digest}");
        assert_eq!(Image::parse(&pinned), image("r.io/a:1", Some(&digest)));
        for url in ["https://h/a.wasm", "file:///a.wasm"] {
            assert_eq!(Image::parse(url), Ok(Image::Url(url.to_owned())));
        }
        for right in [
            "r.io/a/b_c/d__e/f--g.h:V1.0_x-y",
            "[::1]:5000/a",
            "R.IO/a",
            "some-user/a",
            "r.io:443/a",
        ] {
            assert_eq!(Image::parse(right), image(right, None));
        }
        for wrong in [
            "r.io/Agentguard:1",
            "r.io/a\"b",
            "r.io/a'b:1",
            "r.io/a:\"1\"",
            "r.io/a:",
            "r.io/a:1:2",
            "r.io/a:-1",
            "r.io/a//b",
            "r.io/a___b",
            "r.io/_a",
            "r.io/ä",
            "r.io:x/a",
            "-r.io/a",
            "r.io/a\nb",
            "https://h/a b.wasm",
            "https://h/a\".wasm",
            "file:///ä.wasm",
            "",
            "agentguard",
            "/agentguard",
            "r.io/",
            "r.io/a b",
            "r.io/a@sha256:12",
            "r.io/a@md5:12",
            "ftp://a/b",
            "https://",
        ] {
            assert!(Image::parse(wrong).is_err(), "{wrong}");
        }
    }
}
