//! `--image`: source of the module or the container.

/// Source from which a proxy gets the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Image {
    /// Image in a registry: `registry.example.com/agentguard:0.1.0`, with its manifest's SHA-256.
    Registry(String, Option<String>),
    /// URL of the module: `https://…`, `file://…`.
    Url(String),
}

impl Image {
    /// Parses `[oci://]NAME[:TAG][@sha256:DIGEST]`, or a URL.
    pub(super) fn parse(text: &str) -> Result<Image, String> {
        let name = match text.split_once("://") {
            Some(("oci", name)) => name,
            Some(("http" | "https" | "file", rest)) if !rest.is_empty() => {
                return Ok(Image::Url(text.to_owned()));
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
        if !has_registry || name.contains(char::is_whitespace) {
            return Err("name the registry: `registry.example.com/agentguard:0.1.0`".to_owned());
        }
        Ok(Image::Registry(name.to_owned(), digest))
    }
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
        for wrong in [
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
