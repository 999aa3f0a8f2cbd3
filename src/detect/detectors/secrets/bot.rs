//! Tokens of bots.

use crate::detect::entropy::{is_placeholder, shannon_entropy_tenths};
use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(in crate::detect) static TELEGRAM: Detector = Detector {
    name: "telegram_bot_token",
    groups: &["secrets.messaging"],
    doc: Doc {
        finds: "8–10 digits, `:AA` and 33 letters, digits, `_` and `-`; also in the path of the API (`/bot…/`).",
        misses: "Tokens of other lengths.",
        source: "Telegram Bot API, Authorizing your bot",
    },
    reach: 46,
    context: &[],
    anchors: &[
        Anchor::Number(8..=10, PreFilter::ALWAYS.before(b":"), telegram),
        Anchor::Mixed(11..=13, PreFilter::ALWAYS.before(b":"), telegram),
    ],
    hits: &[
        hit(
            concat!(
                "bot token 883595252",
                ":AAP5CS4eqyttWYg-XyLS0DNd5o3s9uBSCRS"
            ),
            &[concat!("883595252", ":AAP5CS4eqyttWYg-XyLS0DNd5o3s9uBSCRS")],
        ),
        hit(
            concat!(
                "https://api.telegram.org/bot983145129",
                ":AAKkF1zGYATAbmO_OVmc_b75Mw3iQKJQRM_/getMe"
            ),
            &[concat!("983145129", ":AAKkF1zGYATAbmO_OVmc_b75Mw3iQKJQRM_")],
        ),
        hit(
            concat!("T=2396088886", ":AAtBdaOdp2PW8BXjY62An1Td2hQX-6XlASu"),
            &[concat!(
                "2396088886",
                ":AAtBdaOdp2PW8BXjY62An1Td2hQX-6XlASu"
            )],
        ),
    ],
    misses: &[
        miss(
            "arn:aws:sns:aaa:111122223333:aaaaaaaaaaaaaaaaaaassssssddddddddddddd",
            "an ARN",
        ),
        miss("12345678:AA", "too short"),
        miss(
            concat!("883595252", ":BBP5CS4eqyttWYg-XyLS0DNd5o3s9uBSCRS"),
            "no AA",
        ),
    ],
};

pub(in crate::detect) static DISCORD: Detector = Detector {
    name: "discord_token",
    groups: &["secrets.messaging"],
    doc: Doc {
        finds: "23–26 letters and digits that begin with M, N or O, a dot, six characters, a dot, 27–38 characters; addresses of webhooks with their path.",
        misses: "Tokens of users, which have the form of a key with `mfa.`.",
        source: "Discord Developer Docs, reference, authentication; snowflakes in Base64",
    },
    reach: 140,
    context: &[],
    anchors: &[
        Anchor::Mixed(23..=26, PreFilter::ALWAYS, discord),
        Anchor::Word(
            &["discord.com/api/webhooks/", "discordapp.com/api/webhooks/"],
            webhook,
        ),
    ],
    hits: &[
        hit(
            concat!(
                "DISCORD_TOKEN=NlrxI2j66GZgBGi9UOzBrLQX",
                ".m60kJ9.1ZzCHnf9bY3yFh2z_uBXlc0NpXf"
            ),
            &[concat!(
                "NlrxI2j66GZgBGi9UOzBrLQX",
                ".m60kJ9.1ZzCHnf9bY3yFh2z_uBXlc0NpXf"
            )],
        ),
        hit(
            concat!(
                "login('NkLbyp6fIuNAPLgKSaSGP506",
                ".47Vx8u.bIB1PDHNpqDlfph-o_Fqjtiw7dG')"
            ),
            &[concat!(
                "NkLbyp6fIuNAPLgKSaSGP506",
                ".47Vx8u.bIB1PDHNpqDlfph-o_Fqjtiw7dG"
            )],
        ),
        hit(
            concat!(
                "https://discord",
                ".com/api/webhooks/1029481395951310046/sbaw8msOR3Wi6vPUzeIWy_P0vJbB0UuRVjH8l8-Qx5cO"
            ),
            &[concat!(
                "https://discord",
                ".com/api/webhooks/1029481395951310046/sbaw8msOR3Wi6vPUzeIWy_P0vJbB0UuRVjH8l8-Qx5cO"
            )],
        ),
    ],
    misses: &[
        miss("MgS7hbMfqCp4FawE5qUou0mB.HtHQlo", "one part is missing"),
        miss(
            "AgS7hbMfqCp4FawE5qUou0mB.HtHQlo.REuvvbtjSVEvgpAVyqmmyFt6hcl",
            "begins with A",
        ),
        miss("https://discord.com/api/webhooks/", "no path"),
    ],
};

fn telegram(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let token = text.slice(place.at..place.end);
    let start = if token.starts_with(b"bot") {
        place.at.wrapping_add(3)
    } else {
        place.at
    };
    let number = text.slice(start..place.end);
    if !(8..=10).contains(&number.len()) || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let from = place.end.wrapping_add(1);
    let end = text.run_of(Alphabet::Base64Url, from, 36);
    let key = text.slice(from..end);
    let fits = key.len() == 35
        && key.starts_with(b"AA")
        && shannon_entropy_tenths(key) >= 30
        && !is_placeholder(key);
    fits.then_some(Match {
        start,
        end,
        confidence: Confidence::High,
    })
}

fn discord(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    if !matches!(text.at(place.at), b'M' | b'N' | b'O') || text.at(place.end) != b'.' {
        return None;
    }
    let second = place.end.wrapping_add(1);
    let second_end = text.run_of(Alphabet::Base64Url, second, 7);
    let third = second_end.wrapping_add(1);
    let end = text.run_of(Alphabet::Base64Url, third, 39);
    let fits = second_end.wrapping_sub(second) == 6
        && text.at(second_end) == b'.'
        && end.wrapping_sub(third) >= 27;
    (fits && shannon_entropy_tenths(text.slice(place.at..end)) >= 35).then_some(Match {
        start: place.at,
        end,
        confidence: Confidence::High,
    })
}

fn webhook(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let start = place.begins_url(place.at);
    let id = text.run(place.end, 21, |byte| byte.is_ascii_digit());
    let from = id.wrapping_add(1);
    let end = text.run_of(Alphabet::Base64Url, from, 80);
    let fits =
        id.wrapping_sub(place.end) >= 15 && text.at(id) == b'/' && end.wrapping_sub(from) >= 40;
    fits.then_some(Match {
        start,
        end,
        confidence: Confidence::High,
    })
}
