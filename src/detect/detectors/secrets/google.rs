//! API keys of Google.

use crate::detect::entropy::{is_placeholder, shannon_entropy_tenths};
use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(in crate::detect) static API_KEY: Detector = Detector {
    name: "google_api_key",
    groups: &["secrets.cloud", "secrets.model"],
    doc: Doc {
        finds: "`AIza` and 35 letters, digits, `_` and `-`, not more.",
        misses: "The keys of Google's own public samples.",
        source: "Google Cloud Docs, Manage API keys",
    },
    reach: 39,
    context: &[],
    anchors: &[Anchor::Token(&["AIza"], key)],
    hits: &[
        hit(
            concat!("GOOGLE_API_KEY=AI", "zaWxEuqLm1FnSIxsrODHvBoEY6pWCdxrc5kHq"),
            &[concat!("AI", "zaWxEuqLm1FnSIxsrODHvBoEY6pWCdxrc5kHq")],
        ),
        hit(
            concat!("js?key=AI", "zalQsueU4Qcj9P_-KCTpCuOjhj6Tz4sBwuz5m&v=3"),
            &[concat!("AI", "zalQsueU4Qcj9P_-KCTpCuOjhj6Tz4sBwuz5m")],
        ),
        hit(
            concat!("_AI", "zaYZLdO7Y7PGwp27DfvoFXz8WQOHIUK05XEvr_"),
            &[concat!("AI", "zaYZLdO7Y7PGwp27DfvoFXz8WQOHIUK05XEvr")],
        ),
        hit(
            concat!("\"key\": \"AI", "zaYZLdO7Y7PGwp27DfvoFXz8WQOHIUK05XEvr\""),
            &[concat!("AI", "zaYZLdO7Y7PGwp27DfvoFXz8WQOHIUK05XEvr")],
        ),
    ],
    misses: &[
        miss(
            concat!("AI", "zaSyabcdefghijklmnopqrstuvwxyz1234567"),
            "a placeholder",
        ),
        miss(
            concat!("AI", "zaWxEuqLm1FnSIxsrODHvBoEY6pWCdxrc5kHqX"),
            "36 characters",
        ),
        miss(
            concat!("ai", "zawxeuqlm1fnsixsrodhvboey6pwcdxrc5khq"),
            "small letters",
        ),
        miss(
            concat!(
                "47muVRNunLxsa82tMAdvmrhOqNkRKiYMEAFbTJAI",
                "zaTesb6Tscfcni8vIpWZqNCXFDFslJtVSvFDq"
            ),
            "within a longer run",
        ),
    ],
};

/// FNV-1a hashes of keys that are printed in public samples and restricted or revoked by Google. The keys themselves
/// would trigger every secret scanner that reads this file.
const SAMPLES: &[u64] = &[
    0x08B5_4596_2ADC_7D8B,
    0x1211_3C2E_6979_F447,
    0x294C_63F8_344D_5DF1,
    0x29A3_36C7_244F_48DD,
    0x515C_B771_A423_8032,
    0x6835_E0F2_8883_2A40,
    0x6ACB_D824_BD32_BBD4,
    0x816C_D10F_DB11_EAD0,
    0x8288_18F8_3325_7868,
    0x99B2_7263_46A1_E92A,
    0xADBD_04E3_FE1B_6D49,
    0xC73F_1E61_952E_6987,
    0xDB94_22F1_DD33_2DCC,
    0xE754_678E_A2B1_4EF1,
    0xE766_6DBB_286C_6C2E,
];

fn key(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let mut end = text.run_of(Alphabet::Base64Url, place.end, 36);
    if matches!(text.before(end), b'_' | b'-')
        && end.wrapping_sub(place.end) == 36
        && !text.at(end).is_ascii_alphanumeric()
    {
        // The mark of an emphasis, or a dash.
        end = end.wrapping_sub(1);
    }
    let token = text.slice(place.at..end);
    let body = text.slice(place.end..end);
    if body.len() != 35
        || !token.starts_with(b"AIza")
        || shannon_entropy_tenths(body) < 30
        || is_placeholder(body)
    {
        return None;
    }
    let hash = token.iter().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    (!SAMPLES.contains(&hash)).then_some(Match {
        start: place.at,
        end,
        confidence: Confidence::High,
    })
}
