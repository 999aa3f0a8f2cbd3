//! Everything that a person reads about a mistake: stable codes, and diagnostics with a place and a way out.

pub mod codes;
