//! Tokens of GitLab.

use crate::detect::entropy::{is_placeholder, shannon_entropy_tenths};
use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::scan::token_form::token;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

const TWENTY: &str = "[0-9a-zA-Z_-]{20}";
const ROUTABLE: &str = r"[0-9a-zA-Z_-]{27,300}\.[0-9a-z]{9}";

/// As above since GitLab 17.9, with the version of the form before the check.
const VERSIONED: &str = r"[0-9a-zA-Z_-]{27,300}\.01\.[0-9a-z]{9}";

pub(in crate::detect) static TOKENS: Detector = Detector {
    name: "gitlab_token",
    groups: &["secrets.code"],
    doc: Doc {
        finds: "The prefixes of GitLab's tokens with their lengths: `glpat-` and `glrt-` (plain and routable), `glrtr-`, `glwt-`, `glcbt-`, `gldt-`, `glffct-`, `glft-`, `glimt-`, `glagent-`, `gloas-`, `glptt-`, `glsoat-`, `GR1348941`, and `_gitlab_session=`.",
        misses: "Instances with prefixes of their own.",
        source: "GitLab Docs, Token overview, token prefixes",
    },
    reach: 330,
    context: &[],
    anchors: &[
        Anchor::Beginning(&[
            token("glpat-", TWENTY),
            token("glpat-", ROUTABLE).entropy(30),
            token("glpat-", VERSIONED).entropy(30),
            token("glrt-", TWENTY),
            token("glrt-", ROUTABLE).entropy(30),
            token("glrt-", VERSIONED).entropy(30),
            token("glrtr-", TWENTY),
            token("glwt-", TWENTY),
            token("glrt-t", "[0-9]{1}_[0-9a-zA-Z_-]{20,30}"),
            token("glcbt-", "[0-9a-zA-Z_-]{20,26}"),
            token("gldt-", TWENTY),
            token("glffct-", TWENTY),
            token("glft-", "[0-9a-zA-Z_-]{20,26}"),
            token("glimt-", "[0-9a-zA-Z_-]{25}"),
            token("glagent-", "[0-9a-zA-Z_-]{50,200}").entropy(30),
            token("gloas-", "[0-9a-zA-Z_-]{64}").entropy(30),
            token("glptt-", "[0-9a-zA-Z_-]{40}").entropy(28),
            token("glsoat-", TWENTY),
            token("GR1348941", TWENTY),
        ]),
        Anchor::Word(&["gitlab_session="], session),
    ],
    hits: &[
        hit(
            concat!("key: gl", "pat-nb7pVbOphA6mzZKGwfZn\n"),
            &[concat!("gl", "pat-nb7pVbOphA6mzZKGwfZn")],
        ),
        hit(
            concat!(
                "| gl",
                "rt-t3_AVuzP4UrFlfeMagEvEU8izZ765bshX9oscmupv.4fc6lkcdn |"
            ),
            &[concat!(
                "gl",
                "rt-t3_AVuzP4UrFlfeMagEvEU8izZ765bshX9oscmupv.4fc6lkcdn"
            )],
        ),
        hit(
            concat!(
                "Cookie: _gitlab",
                "_session=i9kzqjoyprcb0l358tz0moi1e26aixte"
            ),
            &[concat!(
                "_gitlab",
                "_session=i9kzqjoyprcb0l358tz0moi1e26aixte"
            )],
        ),
        hit(
            concat!("GR134", "8941eIN2R6jt65m7rF1WmgZs"),
            &[concat!("GR134", "8941eIN2R6jt65m7rF1WmgZs")],
        ),
    ],
    misses: &[
        miss(concat!("gl", "pat-hellOWorld380 testin"), "too short"),
        miss(
            concat!("gl", "ptt-Need5_T00-be-exactly-40-chars--ELse_failing"),
            "too long",
        ),
        miss(
            concat!("gl", "pat-xxxxxxxx-xxxxxxxxxxxxxxxxxx.xxxxxxxxx"),
            "a placeholder",
        ),
        miss(concat!("GR134", "894112312312312312312312"), "no variety"),
    ],
};

fn session(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let start = place
        .at
        .wrapping_sub(usize::from(text.before(place.at) == b'_'));
    place.begins(start);
    let end = text.run_of(Alphabet::Smalls, place.end, 33);
    let value = text.slice(place.end..end);
    let fits = value.len() == 32 && shannon_entropy_tenths(value) >= 30 && !is_placeholder(value);
    fits.then_some(Match {
        start,
        end,
        confidence: Confidence::High,
    })
}
