//! Keys, tokens and certificates, made with `openssl` for one test.

use harness::Request;
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Folder that is deleted at the end of the test.
pub(crate) struct Folder(PathBuf);

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("agentguard-identity-{}-{name}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    /// Writes a file. Returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).expect("a file");
        self.path(name)
    }

    /// Returns the folder's path.
    pub(crate) fn root(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }

    /// Copies a file within the folder.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        std::fs::copy(self.0.join(from), self.0.join(to)).expect("a copy");
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Curve of certificates' keys, which are generated at once; an RSA key takes a second on a busy machine.
const CURVE: &str = "ec_paramgen_curve:prime256v1";

/// Runs `openssl` in a folder, with these bytes as its standard input.
fn openssl(folder: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl");
    let mut stdin = child.stdin.take().expect("its standard input");
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().expect("openssl");
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Returns the SHA-256 of a key, in hexadecimal digits.
pub(crate) fn hash(key: &str) -> String {
    let digest = openssl(
        &std::env::temp_dir(),
        &["dgst", "-sha256", "-binary"],
        key.as_bytes(),
    );
    agentguard::wire::hex::encode(&digest)
}

/// Encodes bytes as base64url without padding.
pub(crate) fn encoded(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0u8; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for digit in 0..=chunk.len() {
            let place = (bits >> (18 - 6 * digit)) & 63;
            text.push(char::from(
                DIGITS[usize::try_from(place).expect("six bits")],
            ));
        }
    }
    text
}

/// Returns a token without a signature: `"alg": "none"`.
pub(crate) fn unsigned(claims: &Value) -> String {
    let head = json!({"alg": "none", "typ": "JWT"}).to_string();
    format!(
        "{}.{}.",
        encoded(head.as_bytes()),
        encoded(claims.to_string().as_bytes())
    )
}

/// Issuer of tokens, with an RSA key.
pub(crate) struct Signer {
    folder: Folder,
}

impl Signer {
    pub(crate) fn new(name: &str) -> Signer {
        let folder = Folder::new(name);
        openssl(&folder.0, &["genrsa", "-out", "key.pem", "2048"], b"");
        openssl(
            &folder.0,
            &["rsa", "-in", "key.pem", "-pubout", "-out", "public.pem"],
            b"",
        );
        Signer { folder }
    }

    /// Returns the public key as a JSON Web Key Set.
    pub(crate) fn key_set(&self) -> Value {
        let told = openssl(
            &self.folder.0,
            &["rsa", "-in", "key.pem", "-noout", "-modulus"],
            b"",
        );
        let told = String::from_utf8(told).expect("text");
        let digits = told.trim().strip_prefix("Modulus=").expect("a modulus");
        let pairs = digits.as_bytes().chunks(2);
        let modulus: Vec<u8> = pairs
            .map(|pair| std::str::from_utf8(pair).expect("text"))
            .map(|pair| u8::from_str_radix(pair, 16).expect("digits"))
            .collect();
        json!({"keys": [{
            "kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k-1", "n": encoded(&modulus), "e": "AQAB",
        }]})
    }

    /// Returns a token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let head = json!({"alg": "RS256", "typ": "JWT", "kid": "k-1"});
        self.signed(
            &head,
            claims,
            &["dgst", "-sha256", "-binary", "-sign", "key.pem"],
        )
    }

    /// Returns a token that is signed with the public key as a shared secret.
    pub(crate) fn signed_with_public_key(&self, claims: &Value) -> String {
        let public = std::fs::read(self.folder.0.join("public.pem")).expect("the public key");
        let digits = agentguard::wire::hex::encode(&public);
        let key = format!("hexkey:{digits}");
        let head = json!({"alg": "HS256", "typ": "JWT", "kid": "k-1"});
        self.signed(
            &head,
            claims,
            &[
                "dgst", "-sha256", "-binary", "-mac", "HMAC", "-macopt", &key,
            ],
        )
    }

    fn signed(&self, head: &Value, claims: &Value, arguments: &[&str]) -> String {
        let text = format!(
            "{}.{}",
            encoded(head.to_string().as_bytes()),
            encoded(claims.to_string().as_bytes())
        );
        let signature = openssl(&self.folder.0, arguments, text.as_bytes());
        format!("{text}.{}", encoded(&signature))
    }
}

/// Issuer of certificates.
pub(crate) struct Authority {
    folder: Folder,
}

/// Certificate with its key: names of files.
pub(crate) struct Certificate {
    certificate: String,
    key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let folder = Folder::new(name);
        let subject = format!("/CN={name}");
        openssl(
            &folder.0,
            &[
                "req", "-x509", "-newkey", "ec", "-pkeyopt", CURVE, "-nodes", "-days", "2",
                "-subj", &subject, "-keyout", "ca.key", "-out", "ca.pem",
            ],
            b"",
        );
        let authority = Authority { folder };
        authority.certificate("server", "DNS:localhost");
        authority
    }

    /// Returns the folder of the authority's files.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Issues a certificate with these alternative names: `URI:spiffe://td/a,DNS:b`.
    pub(crate) fn certificate(&self, name: &str, alternative_names: &str) -> Certificate {
        let folder = &self.folder.0;
        let file = |end: &str| format!("{name}.{end}");
        let subject = format!("/CN={name}");
        openssl(
            folder,
            &[
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                CURVE,
                "-nodes",
                "-subj",
                &subject,
                "-keyout",
                &file("key"),
                "-out",
                &file("csr"),
            ],
            b"",
        );
        self.folder.write(
            &file("ext"),
            &format!("subjectAltName={alternative_names}\n"),
        );
        openssl(
            folder,
            &[
                "x509",
                "-req",
                "-in",
                &file("csr"),
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                &file("ext"),
                "-out",
                &file("pem"),
            ],
            b"",
        );
        Certificate {
            certificate: self.folder.path(&file("pem")),
            key: self.folder.path(&file("key")),
        }
    }

    /// Returns Envoy's `DownstreamTlsContext`, which verifies a client's certificate, and requires none.
    pub(crate) fn server_context(&self) -> Value {
        let file = |name: &str| json!({"filename": self.folder.path(name)});
        json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": false,
            "common_tls_context": {
                "tls_certificates": [{
                    "certificate_chain": file("server.pem"), "private_key": file("server.key"),
                }],
                "validation_context": {"trusted_ca": file("ca.pem")},
            },
        })
    }
}

/// Sends a request over TLS. Returns the status; `None` without a response.
pub(crate) fn send(
    address: SocketAddr,
    server: &Authority,
    certificate: Option<&Certificate>,
    request: &Request,
) -> Option<u16> {
    let (target, authorities) = (address.to_string(), server.folder.path("ca.pem"));
    let mut arguments = vec![
        "s_client",
        "-quiet",
        "-ign_eof",
        "-connect",
        &target,
        "-CAfile",
        &authorities,
    ];
    if let Some(certificate) = certificate {
        arguments.extend(["-cert", &certificate.certificate, "-key", &certificate.key]);
    }
    let mut child = Command::new("openssl")
        .args(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    let mut stdin = child.stdin.take().expect("its standard input");
    let _ = stdin.write_all(&request.clone().header("connection", "close").bytes());
    let output = child.wait_with_output().expect("openssl");
    drop(stdin);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}
