//! Gemini's streams.
