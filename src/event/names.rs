//! Names that policies write and protocols bear.

/// Names of protocols, in policies and records. A test holds them against the protocols that there are.
pub const PROTOCOL_NAMES: &[&str] = &["openai.chat", "a2a", "mcp", "generic"];
