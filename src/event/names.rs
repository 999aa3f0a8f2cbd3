//! Names that policies write and protocols bear.

/// Names of protocols, in policies and records. A test holds them against the protocols that there are.
pub const PROTOCOL_NAMES: &[&str] = &[
    "openai.chat",
    "openai.responses",
    "openai.embeddings",
    "openai.moderations",
    "openai.images",
    "openai.audio",
    "ollama.chat",
    "ollama.generate",
    "cohere.v2",
    "cohere.v1",
    "openai.completions",
    "openai.other",
    "a2a",
    "mcp",
    "generic",
];
