//! Secrets: keys, tokens, passwords. One file for each family.

mod apart;
pub(super) mod aws;
pub(super) mod azure;
pub(super) mod bot;
mod command;
pub(super) mod generic;
pub(super) mod github;
pub(super) mod gitlab;
pub(super) mod google;
pub(super) mod jwt;
pub(super) mod login;
pub(super) mod mail;
pub(super) mod model;
mod named;
pub(super) mod package;
pub(super) mod password;
pub(super) mod platform;
pub(super) mod private_key;
pub(super) mod slack;
pub(super) mod stripe;
pub(super) mod vendor;
