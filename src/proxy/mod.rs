//! Interface to the surrounding proxy: properties of a connection, and data that all workers share. In the filter,
//! Envoy provides them; in the command line and in tests, they are in memory.

#[cfg(not(target_arch = "wasm32"))]
mod memory;
mod unshared;

#[cfg(not(target_arch = "wasm32"))]
pub use memory::{MemoryProperties, MemorySharedData};
pub use unshared::UnsharedWrites;

/// Value of a property that the proxy has and can't encode, such as null: neither text, number nor boolean.
pub const UNREADABLE: u8 = 0xFF;

/// Properties of the connection and of the request that only the proxy knows: addresses, certificates, verified tokens.
pub trait Properties {
    /// Returns the bytes of a property, in the proxy's encoding; `None` if it is absent or empty, [`UNREADABLE`] if it is or
    /// contains a null.
    ///
    /// `["source", "address"]` gives `127.0.0.1:54256`; the type is not in the bytes.
    fn get(&self, path: &[&str]) -> Option<Vec<u8>>;

    /// Returns whether the proxy provides the cluster of a request's route. Otherwise a missing cluster means nothing.
    fn tells_clusters(&self) -> bool {
        true
    }
}

/// Value of shared data with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// Value.
    pub value: Vec<u8>,
    /// Envoy's `cas`: a number that changes with each write; never 0.
    pub version: u32,
}

/// Write that lost against another one: the value has a different version by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionMismatch;

/// Data that all workers of one proxy share. Envoy never frees a key, so that their number must be bounded.
pub trait SharedData {
    /// Returns the value of a key, if it has ever been set.
    fn get(&self, key: &str) -> Option<Versioned>;

    /// Sets the value of a key if it still has this version; version 0 sets it in any case.
    ///
    /// # Errors
    /// Another worker has written in between.
    fn set(&self, key: &str, value: &[u8], version: u32) -> Result<(), VersionMismatch>;
}
