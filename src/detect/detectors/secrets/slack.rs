//! Tokens and webhooks of Slack.

use crate::detect::entropy::{is_placeholder, shannon_entropy_tenths};
use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(in crate::detect) static TOKEN: Detector = Detector {
    name: "slack_token",
    groups: &["secrets.messaging"],
    doc: Doc {
        finds: "`xoxa-`, `xoxb-`, `xoxc-`, `xoxe-`, `xoxo-`, `xoxp-`, `xoxr-`, `xoxs-`, `xoxe.xoxb-`, `xoxe.xoxp-` and `xapp-` with ten or more letters, digits and hyphens, among them two digits; the cookie `xoxd-`.",
        misses: "Placeholders made of words.",
        source: "Slack API, Token types",
    },
    reach: 300,
    context: &[],
    anchors: &[Anchor::Token(&["xox", "xapp-"], token)],
    hits: &[
        hit(
            concat!(
                "slack_token: 'xox",
                "b-263594206564-FGqddMF8t08v8N7Oq4i57vs1'"
            ),
            &[concat!("xox", "b-263594206564-FGqddMF8t08v8N7Oq4i57vs1")],
        ),
        hit(
            concat!("xox", "s-523423-234243-234233-e039d02840a0b9379c"),
            &[concat!("xox", "s-523423-234243-234233-e039d02840a0b9379c")],
        ),
        hit(
            concat!(
                "token=xox",
                "c-263594206564-2635942065641-c39c1e25a7d0f4b8; d=xox",
                "d-q8Zk%2BTw4v7LpXr2%2FnB9sYd3mHc6FgJt%3D; path=/"
            ),
            &[
                concat!("xox", "c-263594206564-2635942065641-c39c1e25a7d0f4b8"),
                concat!("xox", "d-q8Zk%2BTw4v7LpXr2%2FnB9sYd3mHc6FgJt%3D"),
            ],
        ),
        hit(
            concat!(
                "xa",
                "pp-1-A052FGTS2DL-5171572773297-610b6a11f4b7eb819e87b767d80e6575"
            ),
            &[concat!(
                "xa",
                "pp-1-A052FGTS2DL-5171572773297-610b6a11f4b7eb819e87b767d80e6575"
            )],
        ),
    ],
    misses: &[
        miss(concat!("xox", "b-Slack_BOT_TOKEN"), "words"),
        miss(
            concat!("xox", "b-xxxxxxxxxxx-xxxxxxxxxxxxxxxxxxxxxxxx"),
            "a placeholder",
        ),
        miss(concat!("xox", "e.xoxp-1-RANDOMSTRINGHERE"), "words"),
    ],
};

pub(in crate::detect) static WEBHOOK: Detector = Detector {
    name: "slack_webhook",
    groups: &["secrets.messaging"],
    doc: Doc {
        finds: "Addresses under `hooks.slack.com/services`, `/workflows` and `/triggers` with their path.",
        misses: "Addresses without the secret path.",
        source: "Slack API, Sending messages using incoming webhooks",
    },
    reach: 160,
    context: &[],
    anchors: &[Anchor::Word(&["hooks.slack.com/"], webhook)],
    hits: &[
        hit(
            concat!(
                "curl https://hooks.slack",
                ".com/services/TVR45WBVL/BMUJHYUNG/mwkSmvvPzwIIC4CSHM2wpX8Z"
            ),
            &[concat!(
                "https://hooks.slack",
                ".com/services/TVR45WBVL/BMUJHYUNG/mwkSmvvPzwIIC4CSHM2wpX8Z"
            )],
        ),
        hit(
            concat!(
                "http://hooks.slack",
                ".com/workflows/af57bexkwfmz2z0zd2ufjjnwk748ml326v8szvn1f0z7x"
            ),
            &[concat!(
                "http://hooks.slack",
                ".com/workflows/af57bexkwfmz2z0zd2ufjjnwk748ml326v8szvn1f0z7x"
            )],
        ),
        hit(
            concat!(
                "\"hooks.slack",
                ".com/triggers/T016M3G1GHZ/442660231806/F6Vm03reCkhPm0vD\""
            ),
            &[concat!(
                "hooks.slack",
                ".com/triggers/T016M3G1GHZ/442660231806/F6Vm03reCkhPm0vD"
            )],
        ),
    ],
    misses: &[
        miss("https://hooks.slack.com/services/", "no path"),
        miss(
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
            "the documentation's",
        ),
        miss(
            "https://slack.com/services/TVR45WBVL/BMUJHYUNG",
            "another host",
        ),
    ],
};

fn token(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let mut at = place.end;
    if text.before(at) != b'-' {
        let kind = text.at(at);
        at = at.wrapping_add(1);
        if kind == b'e' && text.follows(at, ".xox") {
            at = at.wrapping_add(5);
        }
        if !matches!(kind, b'a'..=b'e' | b'o' | b'p' | b'r' | b's') || text.at(at) != b'-' {
            return None;
        }
        at = at.wrapping_add(1);
    }
    // The cookie beside `xoxc-` is Base64, with or without percent escapes, which the view has undone.
    let alphabet = match text.at(at.wrapping_sub(2)) {
        b'd' => Alphabet::Wide,
        _ => Alphabet::Hyphened,
    };
    let end = text.run_of(alphabet, at, 280);
    let end = text.run_back(end, 1, |byte| byte == b'-');
    let body = text.slice(at..end);
    if body.len() < 10 || text.begins_name(end) {
        return None;
    }
    let digits = text.digits(at..end);
    // The last part is the secret; the numbers before it identify its owner.
    let secret = || body.rsplit(|byte| *byte == b'-').next().unwrap_or(body);
    let varied = || {
        text.variety(at..end) >= 20 && !text.is_placeholder(at..end)
            || shannon_entropy_tenths(secret()) >= 28
    };
    // The oldest tokens are a single string, which may contain no digits.
    let one =
        || !body.contains(&b'-') && text.variety(at..end) >= 30 && !text.is_placeholder(at..end);
    ((digits >= 2 || one()) && varied()).then_some(Match {
        start: place.at,
        end,
        confidence: if digits >= 4 {
            Confidence::High
        } else {
            Confidence::Medium
        },
    })
}

fn webhook(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let start = place.begins_url(place.at);
    let kind = ["services/", "workflows/", "triggers/"]
        .iter()
        .find(|kind| text.follows(place.end, kind))?;
    let from = place.end.wrapping_add(kind.len());
    let end = text.run(from, 120, |byte| Alphabet::Base64.has(byte) && byte != b'=');
    let path = text.slice(from..end);
    let fits = path.len() >= 20 && shannon_entropy_tenths(path) >= 30 && !is_placeholder(path);
    fits.then_some(Match {
        start,
        end,
        confidence: Confidence::High,
    })
}
