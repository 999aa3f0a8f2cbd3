//! Key `feed` of a kill list: a service with a second list, which is in force in addition to that of the file.
//!
//! ```yaml
//! feed: { cluster: kill-feed, path: /kill.json, authority: ops.example.com, every: 1s, grace: 30s }
//! ```

use crate::diag::codes;
use crate::policy::decode::{Decoder, PolicyPath};
use crate::policy::node::Node;

/// Service from which a second list is read periodically.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillFeed {
    /// Name of Envoy's cluster.
    pub cluster: Box<str>,
    /// `:path` of the request.
    pub path: Box<str>,
    /// `:authority` of the request.
    pub authority: Box<str>,
    /// Seconds between two requests.
    pub every: u64,
    /// Seconds for which the last list stays in force while the feed can't be read.
    pub grace: u64,
}

impl KillFeed {
    /// Keys of `feed`.
    pub const KEYS: [&'static str; 5] = ["cluster", "path", "authority", "every", "grace"];

    /// Default seconds between two requests.
    pub const USUAL_EVERY: u64 = 1;

    /// Maximum seconds between two requests.
    pub const MAX_EVERY: u64 = 60;

    /// Default seconds for which a feed may be unavailable.
    pub const USUAL_GRACE: u64 = 30;

    /// Maximum seconds for which a feed may be unavailable: a day.
    pub const MAX_GRACE: u64 = 86_400;

    /// Returns whether both are the same service, so that the list of one is that of the other.
    pub fn is_same_service(&self, other: &KillFeed) -> bool {
        self.cluster == other.cluster
            && self.path == other.path
            && self.authority == other.authority
    }
}

/// Reads the key `feed`.
pub(super) fn read(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node) -> Option<KillFeed> {
    let (mut every, mut grace) = (KillFeed::USUAL_EVERY, None);
    let (mut cluster, mut path, mut authority) = (None, None, None);
    for member in decoder.mapping(at, node, &KillFeed::KEYS)? {
        let at = at.key(&member.key);
        let value = &member.value;
        match &*member.key {
            "every" => every = seconds(decoder, &at, value, KillFeed::MAX_EVERY)?,
            "grace" => grace = Some(seconds(decoder, &at, value, KillFeed::MAX_GRACE)?),
            "cluster" => cluster = Some(name(decoder, &at, value, "cluster")?),
            "path" => path = Some(name(decoder, &at, value, "path")?),
            _ => authority = Some(name(decoder, &at, value, "authority")?),
        }
    }
    let Some(cluster) = cluster else {
        let help = "name a cluster of Envoy's: `feed: { cluster: kill-feed, path: /kill.json }`";
        decoder.error(codes::AG1006, at, &node.span, "`cluster` is missing", help);
        return None;
    };
    let grace = grace.unwrap_or(KillFeed::USUAL_GRACE.max(every.saturating_mul(3)));
    if grace <= every {
        // The list would expire before it is read again.
        let message = format!("the list is read every {every} seconds, and kept for {grace}");
        let help = "write a longer `grace`, or a shorter `every`";
        decoder.error(codes::AG1011, at, &node.span, &message, help);
        return None;
    }
    Some(KillFeed {
        path: path.unwrap_or_else(|| "/".into()),
        authority: authority.unwrap_or_else(|| cluster.clone()),
        cluster,
        every,
        grace,
    })
}

fn seconds(decoder: &mut Decoder, at: &PolicyPath<'_>, node: &Node, most: u64) -> Option<u64> {
    let seconds = decoder.seconds(at, node)?;
    if !(1..=most).contains(&seconds) {
        let message = format!("between one second and {most} seconds are allowed");
        let help = "for example `every: 1s` and `grace: 30s`";
        decoder.error(codes::AG1011, at, &node.span, &message, help);
        return None;
    }
    Some(seconds)
}

/// Reads a text that is written into a request unescaped.
fn name(
    decoder: &mut Decoder,
    at: &PolicyPath<'_>,
    node: &Node,
    what: &'static str,
) -> Option<Box<str>> {
    let text = decoder.text(at, node)?;
    let is_visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_visible || (what == "path" && !text.starts_with('/')) {
        let help =
            "for example `{ cluster: kill-feed, path: /kill.json, authority: ops.example.com }`";
        let message = format!("this is no {what}");
        decoder.error(codes::AG1005, at, &node.span, &message, help);
        return None;
    }
    Some(text)
}
