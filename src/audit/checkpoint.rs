//! Checkpoints: the heads of a trail's chains, signed with an Ed25519 key. They are stored where the trail's writers
//! cannot change them.
//!
//! A checkpoint is one line. Its signature covers the line as it is written, without the member `signature`:
//! `{"v":1,"kind":"agentguard-checkpoint","ts":"2026-11-22T09:00:00Z","records":42,"chains":{"0101010101010101":"41:hmac-sha256:9f86…"},"key":"ed25519:…","signature":"…"}`
//!
//! If a trail contains the records that a checkpoint names, with every link before them, those records are unchanged since
//! the checkpoint was signed: not even the holder of the MAC key can rewrite them. The holder of the checkpoint key could,
//! so that key must be kept elsewhere. A checkpoint proves nothing about later records.

use super::verify::{ChainId, Head, parse_chain_id};
use crate::wire::hex;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;

/// First line of a key file.
const KEY_HEADER: &str = "agentguard checkpoint key v1";

/// Member of a key file that contains the secret half.
const SEED: &str = "ed25519-seed: ";

/// Prefix of a public key.
const PUBLIC: &str = "ed25519:";

/// Prefix of the signed bytes. It keeps signatures that the key makes for other purposes from being valid here.
const LABEL: &[u8] = b"agentguard checkpoint v1\n";

/// Text at which the signed part of a line ends.
const SIGNATURE: &str = ",\"signature\":\"";

/// Value of the member `kind`.
const KIND: &str = "agentguard-checkpoint";

/// Heads of a trail's chains at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Time of the signature, RFC 3339.
    pub time: String,
    /// The last record of each chain.
    pub heads: BTreeMap<ChainId, Head>,
}

/// Reason why a text is not a checkpoint of a known key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointError {
    /// The text is no checkpoint.
    Malformed,
    /// The checkpoint has another version.
    OtherVersion,
    /// The checkpoint was signed by another key.
    OtherKey,
    /// The checkpoint or its signature was changed.
    BadSignature,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CheckpointError::Malformed => {
                "this is no checkpoint; `agentguard audit checkpoint` writes one"
            }
            CheckpointError::OtherVersion => {
                "the checkpoint is of a later version of agentguard: verify it with that one"
            }
            CheckpointError::OtherKey => {
                "the checkpoint was signed by another key: give its public half with --checkpoint-key"
            }
            CheckpointError::BadSignature => {
                "the checkpoint was changed, because its signature is wrong: take it from where it was kept"
            }
        })
    }
}

impl std::error::Error for CheckpointError {}

/// Secret half of a checkpoint key.
#[derive(Clone)]
pub struct CheckpointKey(SigningKey);

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckpointKey")
    }
}

impl CheckpointKey {
    /// Creates a key from 32 random bytes.
    pub fn from_seed(seed: [u8; 32]) -> CheckpointKey {
        CheckpointKey(SigningKey::from_bytes(&seed))
    }

    /// Parses a key file; `None` if the text is not one.
    pub fn from_file(text: &str) -> Option<CheckpointKey> {
        let mut lines = text.lines().map(str::trim);
        if lines.next() != Some(KEY_HEADER) {
            return None;
        }
        let seed = lines.next()?.strip_prefix(SEED)?;
        if lines.any(|line| !line.is_empty()) {
            return None;
        }
        let seed = URL_SAFE_NO_PAD.decode(seed).ok()?;
        Some(CheckpointKey::from_seed(seed.try_into().ok()?))
    }

    /// Returns the text of a key file.
    pub fn to_file(&self) -> String {
        let seed = URL_SAFE_NO_PAD.encode(self.0.to_bytes());
        format!("{KEY_HEADER}\n{SEED}{seed}\n")
    }

    /// Returns the public half: `ed25519:…`.
    pub fn public(&self) -> String {
        let public = URL_SAFE_NO_PAD.encode(self.0.verifying_key().as_bytes());
        format!("{PUBLIC}{public}")
    }
}

/// Public half of a checkpoint key.
#[derive(Clone, Debug)]
pub struct CheckpointVerifier(VerifyingKey);

impl CheckpointVerifier {
    /// Parses a public key: `ed25519:` and 43 characters of base64url.
    pub fn parse(text: &str) -> Option<CheckpointVerifier> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PUBLIC)?).ok()?;
        let key = VerifyingKey::from_bytes(&bytes.try_into().ok()?).ok()?;
        Some(CheckpointVerifier(key))
    }

    fn public(&self) -> String {
        format!("{PUBLIC}{}", URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
    }
}

/// Checkpoint as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    v: u64,
    kind: String,
    ts: String,
    records: u64,
    chains: BTreeMap<String, String>,
    key: String,
    signature: String,
}

impl Checkpoint {
    /// Returns the number of records from the beginnings of the chains to the heads.
    pub fn records(&self) -> u64 {
        let counts = self.heads.values().map(|head| head.seq.saturating_add(1));
        counts.fold(0, u64::saturating_add)
    }

    /// Signs the checkpoint. Returns its line without a line end.
    pub fn sign(&self, key: &CheckpointKey) -> String {
        let chains: BTreeMap<String, String> = self
            .heads
            .iter()
            .map(|(id, head)| (hex::encode(id), head.to_string()))
            .collect();
        let line = format!(
            r#"{{"v":1,"kind":"{KIND}","ts":{},"records":{},"chains":{},"key":"{}""#,
            json!(self.time),
            self.records(),
            json!(chains),
            key.public()
        );
        let signature = key.0.sign(&signed_bytes(&line));
        let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
        format!("{line}{SIGNATURE}{signature}\"}}")
    }

    /// Parses a checkpoint and verifies its signature with the key that it names.
    ///
    /// # Errors
    /// The text is no checkpoint, its key is not among `keys`, or the signature is not valid.
    pub fn read(text: &str, keys: &[CheckpointVerifier]) -> Result<Checkpoint, CheckpointError> {
        let text = text.trim();
        let written: Written =
            serde_json::from_str(text).map_err(|_| CheckpointError::Malformed)?;
        if written.kind != KIND {
            return Err(CheckpointError::Malformed);
        }
        if written.v != 1 {
            return Err(CheckpointError::OtherVersion);
        }
        let key = keys.iter().find(|key| key.public() == written.key);
        let key = key.ok_or(CheckpointError::OtherKey)?;
        let (line, end) = text
            .rsplit_once(SIGNATURE)
            .ok_or(CheckpointError::Malformed)?;
        let signature = URL_SAFE_NO_PAD
            .decode(&written.signature)
            .ok()
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .filter(|_| end.strip_suffix("\"}") == Some(&written.signature))
            .ok_or(CheckpointError::BadSignature)?;
        key.0
            .verify_strict(&signed_bytes(line), &signature)
            .map_err(|_| CheckpointError::BadSignature)?;
        let heads = written.chains.iter();
        let heads: Option<BTreeMap<ChainId, Head>> = heads
            .map(|(id, head)| Some((parse_chain_id(id)?, Head::parse(head)?)))
            .collect();
        let checkpoint = Checkpoint {
            time: written.ts,
            heads: heads.ok_or(CheckpointError::Malformed)?,
        };
        match checkpoint.records() == written.records {
            true => Ok(checkpoint),
            false => Err(CheckpointError::Malformed),
        }
    }
}

fn signed_bytes(line: &str) -> Vec<u8> {
    [LABEL, line.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::super::verify::DigestKind;
    use super::*;

    fn checkpoint() -> Checkpoint {
        let head = |seq| Head {
            seq,
            digest: [7; 32],
            kind: Some(DigestKind::Mac),
        };
        Checkpoint {
            time: "2026-11-22T09:00:00Z".to_owned(),
            heads: BTreeMap::from([([1; 8], head(41)), ([2; 8], head(0))]),
        }
    }

    fn keys(seed: u8) -> (CheckpointKey, CheckpointVerifier) {
        let key = CheckpointKey::from_seed([seed; 32]);
        let public = CheckpointVerifier::parse(&key.public()).unwrap();
        (key, public)
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_signed() {
        let (key, public) = keys(1);
        let line = checkpoint().sign(&key);
        let read = Checkpoint::read(&format!("{line}\n"), &[public]).unwrap();
        assert_eq!((read.records(), &read), (43, &checkpoint()));
    }

    #[test]
    fn every_changed_byte_is_found() {
        let (key, public) = keys(1);
        let line = checkpoint().sign(&key);
        for at in 0..line.len() {
            let mut bytes = line.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(text) = String::from_utf8(bytes) {
                assert!(
                    Checkpoint::read(&text, std::slice::from_ref(&public)).is_err(),
                    "{text}"
                );
            }
        }
        let (_, other) = keys(2);
        assert_eq!(
            Checkpoint::read(&line, &[other]),
            Err(CheckpointError::OtherKey)
        );
    }

    #[test]
    fn a_checkpoint_with_another_member_is_malformed() {
        let (key, public) = keys(1);
        let line = checkpoint().sign(&key);
        let more = line.replace(SIGNATURE, ",\"more\":1,\"signature\":\"");
        assert_eq!(
            Checkpoint::read(&more, &[public]),
            Err(CheckpointError::Malformed)
        );
    }

    /// A key may have signed other things, and later versions of checkpoints.
    #[test]
    fn what_the_key_has_signed_is_no_checkpoint_for_that() {
        let (key, public) = keys(1);
        let line = checkpoint().sign(&key);
        let read = |text: &str| Checkpoint::read(text, std::slice::from_ref(&public));
        let (signed, _) = line.split_once(SIGNATURE).unwrap();
        let resigned = |from: &str, to: &str| {
            let line = signed.replacen(from, to, 1);
            let signature = key.0.sign(&signed_bytes(&line)).to_bytes();
            let signature = URL_SAFE_NO_PAD.encode(signature);
            read(&format!("{line}{SIGNATURE}{signature}\"}}"))
        };
        assert_eq!(resigned("", ""), Ok(checkpoint()));
        for (from, to, error) in [
            (KIND, "agentguard-report", CheckpointError::Malformed),
            ("\"v\":1", "\"v\":2", CheckpointError::OtherVersion),
            (
                "\"records\":43",
                "\"records\":42",
                CheckpointError::Malformed,
            ),
            ("0101010101010101", "01", CheckpointError::Malformed),
            (":hmac-sha256:", ":hmac-md5:", CheckpointError::Malformed),
        ] {
            assert_eq!(resigned(from, to), Err(error), "{to}");
        }
        // The signature covers all but itself, which has one spelling.
        for changed in [
            line.replacen("\"}", "\" }", 1),
            line.replacen(SIGNATURE, ",\"signature\": \"", 1),
        ] {
            assert_ne!(changed, line);
            assert!(read(&changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn a_key_survives_its_file() {
        let (key, _) = keys(3);
        let read = CheckpointKey::from_file(&key.to_file()).unwrap();
        assert_eq!(read.public(), key.public());
        for other in [
            "",
            "agentguard approver key v1\n",
            &key.to_file().replace("seed: ", "seed: A"),
            &format!("{}more: 1\n", key.to_file()),
        ] {
            assert!(CheckpointKey::from_file(other).is_none());
        }
    }
}
