//! Bedrock's streams.
