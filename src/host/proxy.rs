//! Envoy's properties and shared data.

use super::abi;
use crate::proxy::{Properties, SharedData, VersionMismatch, Versioned};

/// Properties of the exchange whose callback runs.
pub(super) struct EnvoyProperties;

impl Properties for EnvoyProperties {
    fn get(&self, path: &[&str]) -> Option<Vec<u8>> {
        abi::property(path)
    }
}

/// Shared data of all VMs with the plugin's `vm_id`, in one Envoy process.
#[derive(Debug)]
pub(super) struct EnvoySharedData;

impl SharedData for EnvoySharedData {
    fn get(&self, key: &str) -> Option<Versioned> {
        let (value, version) = abi::shared_data(key)?;
        Some(Versioned { value, version })
    }

    fn set(&self, key: &str, value: &[u8], version: u32) -> Result<(), VersionMismatch> {
        abi::set_shared_data(key, value, version).map_err(|_| VersionMismatch)
    }
}
