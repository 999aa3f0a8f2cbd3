//! Properties and shared data in memory.

use super::{Properties, SharedData, UNREADABLE, VersionMismatch, Versioned};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Given properties, by their path: `["source", "address"]`.
#[derive(Clone, Debug, Default)]
pub struct MemoryProperties(pub BTreeMap<Vec<String>, Vec<u8>>);

impl MemoryProperties {
    /// Adds a property.
    #[must_use]
    pub fn with(mut self, path: &[&str], value: impl Into<Vec<u8>>) -> MemoryProperties {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        self.0.insert(path, value.into());
        self
    }
}

impl MemoryProperties {
    /// Returns properties given as JSON, each object a level of the path: `{"source": {"address": "127.0.0.1:54256"}}`.
    /// Their bytes are encoded like Envoy's.
    pub fn of_json(properties: &Value) -> MemoryProperties {
        let mut told = MemoryProperties::default();
        told.insert(&mut Vec::new(), properties);
        told
    }

    /// Returns the properties of a connection's peer: an address (`10.0.0.7:5000`, the port is optional), a SPIFFE id,
    /// or `{"address", "uri_san", "dns_san", "subject"}`.
    ///
    /// # Errors
    /// The peer is none of these.
    pub fn of_peer(peer: &Value) -> Result<MemoryProperties, String> {
        let mut told = MemoryProperties::default();
        match peer {
            Value::String(text) if text.contains("://") => told.add_peer("uri_san", text)?,
            Value::String(text) => told.add_peer("address", text)?,
            Value::Object(members) => {
                for (name, value) in members {
                    let text = value.as_str().ok_or("each member of a peer is a text")?;
                    told.add_peer(name, text)?;
                }
            }
            _ => return Err("a peer is an address, a SPIFFE id or an object".to_owned()),
        }
        Ok(told)
    }

    fn add_peer(&mut self, name: &str, text: &str) -> Result<(), String> {
        let mut add = |path: [&str; 2], value: Vec<u8>| {
            let path = path.map(str::to_owned).to_vec();
            self.0.insert(path, value);
        };
        let property = match name {
            "address" => {
                // Port that no system assigns by itself.
                const ANY_PORT: u16 = 1;
                let address = match text.parse::<IpAddr>() {
                    Ok(address) => SocketAddr::new(address, ANY_PORT).to_string(),
                    Err(_) => text.to_owned(),
                };
                add(["source", "address"], address.into_bytes());
                return Ok(());
            }
            "uri_san" => "uri_san_peer_certificate",
            "dns_san" => "dns_san_peer_certificate",
            "subject" => "subject_peer_certificate",
            other => {
                return Err(format!(
                    "a peer has no `{other}`: known are address, uri_san, dns_san, subject"
                ));
            }
        };
        add(["connection", "mtls"], vec![1]);
        add(["connection", property], text.as_bytes().to_vec());
        Ok(())
    }

    /// Adds other properties.
    pub fn extend(&mut self, more: MemoryProperties) {
        self.0.extend(more.0);
    }

    fn insert(&mut self, path: &mut Vec<String>, value: &Value) {
        let children: Vec<(String, &Value)> = match value {
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| (name.clone(), value))
                .collect(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(number, value)| (number.to_string(), value))
                .collect(),
            _ => Vec::new(),
        };
        for (name, child) in children {
            path.push(name);
            self.insert(path, child);
            path.pop();
        }
        if !path.is_empty() {
            let bytes = encoded(value).unwrap_or_else(|| vec![UNREADABLE]);
            self.0.insert(path.clone(), bytes);
        }
    }
}

/// Returns the bytes of a property's value. They don't contain the type: a text is its bytes, a number a double, a
/// boolean one byte. An object or a list is a map: the number of pairs, their lengths, then the pairs with a NUL after
/// each half. Nothing that contains a null has an encoding.
fn encoded(value: &Value) -> Option<Vec<u8>> {
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = match value {
        Value::Null => return None,
        Value::Bool(value) => return Some(vec![u8::from(*value)]),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            return Some(number.to_le_bytes().to_vec());
        }
        Value::String(text) => return Some(text.clone().into_bytes()),
        Value::Array(items) => (0_u64..)
            .zip(items)
            .map(|(number, item)| Some((number.to_le_bytes().to_vec(), encoded(item)?)))
            .collect::<Option<_>>()?,
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| Some((name.clone().into_bytes(), encoded(value)?)))
            .collect::<Option<_>>()?,
    };
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = length(pairs.len()).to_vec();
    for (name, value) in &pairs {
        bytes.extend(length(name.len()));
        bytes.extend(length(value.len()));
    }
    for half in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(half);
        bytes.push(0);
    }
    Some(bytes)
}

impl Properties for MemoryProperties {
    fn get(&self, path: &[&str]) -> Option<Vec<u8>> {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let value = self.0.get(&path).filter(|value| !value.is_empty());
        value.cloned()
    }
}

/// Shared data of one process with one worker.
#[derive(Debug, Default)]
pub struct MemorySharedData {
    values: RefCell<BTreeMap<String, Versioned>>,
}

impl SharedData for MemorySharedData {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.values.borrow().get(key).cloned()
    }

    fn set(&self, key: &str, value: &[u8], version: u32) -> Result<(), VersionMismatch> {
        let mut values = self.values.borrow_mut();
        let known = values.get(key).map_or(0, |known| known.version);
        if version != 0 && version != known {
            return Err(VersionMismatch);
        }
        let written = Versioned {
            value: value.to_vec(),
            version: known.wrapping_add(1).max(1),
        };
        values.insert(key.to_owned(), written);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_with_an_old_version_fails() {
        let data = MemorySharedData::default();
        assert_eq!(data.get("a"), None);
        data.set("a", b"1", 0).unwrap();
        let first = data.get("a").unwrap();
        data.set("a", b"2", first.version).unwrap();
        assert_eq!(data.set("a", b"3", first.version), Err(VersionMismatch));
        assert_eq!(data.get("a").unwrap().value, b"2");
    }
}
