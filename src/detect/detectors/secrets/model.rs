//! Keys of model providers.

use crate::detect::scan::alphabet::{Alphabet, SearchState};
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::scan::token_form::token;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(in crate::detect) static OPENAI: Detector = Detector {
    name: "openai_key",
    groups: &["secrets.model"],
    doc: Doc {
        finds: "`sk-`, `sk-proj-`, `sk-svcacct-` or `sk-admin-` and letters, digits, `_` and `-` with `T3BlbkFJ` in the middle.",
        misses: "Keys without that mark, of which other providers use the same prefix.",
        source: "OpenAI API reference, Authentication; the mark is Base64 of `OpenAI`",
    },
    reach: 220,
    context: &[],
    anchors: &[Anchor::Token(&["sk-"], openai)],
    hits: &[
        hit(
            concat!(
                "my key sk-sRcjds2k02zK70Nou6Hh",
                "T3BlbkFJ97CrX8WEooHXhnJImpdM returns 401"
            ),
            &[concat!(
                "sk-sRcjds2k02zK70Nou6Hh",
                "T3BlbkFJ97CrX8WEooHXhnJImpdM"
            )],
        ),
        hit(
            concat!(
                "sk-proj-jAr6Udjwb8R5mAFV12_8poDtus1L4D1zION03ChAtW9w9xI7x4xI7blGBESc9K8o9IRt7bw8ZA",
                "T3BlbkFJAfQLNiYSA1w8dGu6H3lKAzLjS0Bv3zhc729xzzr4UtrySyNCDdAcB17pAWOjek6mCq0wbx4-bq"
            ),
            &[concat!(
                "sk-proj-jAr6Udjwb8R5mAFV12_8poDtus1L4D1zION03ChAtW9w9xI7x4xI7blGBESc9K8o9IRt7bw8ZA",
                "T3BlbkFJAfQLNiYSA1w8dGu6H3lKAzLjS0Bv3zhc729xzzr4UtrySyNCDdAcB17pAWOjek6mCq0wbx4-bq"
            )],
        ),
        hit(
            concat!(
                "\"sk-admin-JWARXiHjpLXSh6W_0pFGb3sW7yr0cKheXXtWGMY0Q8kbBNqsxLskJy0LCO",
                "T3BlbkFJgTJWgjMvdi6YlPvdXRqmSlZ4dLK-nFxUG2d9Tgaz5Q6weGVNBaLuUmMV4A\""
            ),
            &[concat!(
                "sk-admin-JWARXiHjpLXSh6W_0pFGb3sW7yr0cKheXXtWGMY0Q8kbBNqsxLskJy0LCO",
                "T3BlbkFJgTJWgjMvdi6YlPvdXRqmSlZ4dLK-nFxUG2d9Tgaz5Q6weGVNBaLuUmMV4A"
            )],
        ),
    ],
    misses: &[
        miss("sk-your-key-here", "a placeholder"),
        miss("sk-...abcd", "a shortened key"),
        miss(
            "task-proj-runner-2024-build-00000000000000000000",
            "another word",
        ),
        miss(
            concat!(
                "sk-proj-Xi8tdMjHV6pmbBbwilTe",
                "T4BlbkFJ3UDnpdEwNNm6wVBpYM0o"
            ),
            "another mark",
        ),
    ],
};

pub(in crate::detect) static ANTHROPIC: Detector = Detector {
    name: "anthropic_key",
    groups: &["secrets.model"],
    doc: Doc {
        finds: "`sk-ant-`, the kind and version (`api03`, `admin01`, `oat01` …), a hyphen and 80–120 letters, digits, `_` and `-`.",
        misses: "Shortened keys.",
        source: "Anthropic API reference, Authentication; secret scanning partner patterns",
    },
    reach: 140,
    context: &[],
    anchors: &[Anchor::Token(&["sk-ant-"], anthropic)],
    hits: &[
        hit(
            concat!(
                "x-api-key: sk-ant",
                "-api03--yNDA-ClJLgUSphP1qO8wwJPwW1VIiMNs3gGt7ZyEKbFEc7bFUX_rn44xlCNLPEWD6eUSeTbFhHhZ-jNXQ-k11snAvGQ8AA"
            ),
            &[concat!(
                "sk-ant",
                "-api03--yNDA-ClJLgUSphP1qO8wwJPwW1VIiMNs3gGt7ZyEKbFEc7bFUX_rn44xlCNLPEWD6eUSeTbFhHhZ-jNXQ-k11snAvGQ8AA"
            )],
        ),
        hit(
            concat!(
                "| sk-ant",
                "-admin01-FW9E7Kt74akRpUt1lqljDTSrvmJ4xThy5hQx2qZ-7aX4IWsWVXEzca0KLlAbT2mxqL-MqJVV1sHxJ4ZQyaQoj5ryk-HTgAA |"
            ),
            &[concat!(
                "sk-ant",
                "-admin01-FW9E7Kt74akRpUt1lqljDTSrvmJ4xThy5hQx2qZ-7aX4IWsWVXEzca0KLlAbT2mxqL-MqJVV1sHxJ4ZQyaQoj5ryk-HTgAA"
            )],
        ),
        hit(
            concat!(
                "{\"key\":\"sk-ant",
                "-oat01-BbO3xg1c_x5ZKbrDLCxOoGMXNqNeIKPAkdojXixsOhrG5PW31YhHOb9_AP4teRqn0HgrBHsNN1-yRXGPR1Q9VLOmJsgmrAA\"}"
            ),
            &[concat!(
                "sk-ant",
                "-oat01-BbO3xg1c_x5ZKbrDLCxOoGMXNqNeIKPAkdojXixsOhrG5PW31YhHOb9_AP4teRqn0HgrBHsNN1-yRXGPR1Q9VLOmJsgmrAA"
            )],
        ),
    ],
    misses: &[
        miss(
            concat!(
                "sk-ant",
                "-api03-abc123xyz-456de-klMnopqrstuvwx-3456yza789bcde-1234fghijklmnopAA"
            ),
            "too short",
        ),
        miss(concat!("sk-ant", "-api03-..."), "a shortened key"),
        miss(
            concat!(
                "sk-ant",
                "-api03-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            ),
            "a placeholder",
        ),
    ],
};

pub(in crate::detect) static HUGGING_FACE: Detector = Detector {
    name: "huggingface_token",
    groups: &["secrets.model"],
    doc: Doc {
        finds: "`hf_` and `api_org_` with 34 letters and digits.",
        misses: "Names of programs with the same prefix.",
        source: "Hugging Face Hub documentation, User access tokens",
    },
    reach: 42,
    context: &[],
    anchors: &[Anchor::Beginning(&[
        token("hf_", "[0-9a-zA-Z]{34}").entropy(30),
        token("api_org_", "[0-9a-zA-Z]{34}").entropy(30),
    ])],
    hits: &[
        hit(
            concat!("--token hf", "_jfzrkpbnodiqkemikwyjaymqbzapoclqgx"),
            &[concat!("hf", "_jfzrkpbnodiqkemikwyjaymqbzapoclqgx")],
        ),
        hit(
            concat!("HF_TOKEN=hf", "_QNqXrtFihRuySZubEgnUVvGcnENCBhKgGD poetry"),
            &[concat!("hf", "_QNqXrtFihRuySZubEgnUVvGcnENCBhKgGD")],
        ),
        hit(
            concat!("`api", "_org_lYqIcVkErvSNFcroWzxlrUNNdTZrfUvHBz`"),
            &[concat!("api", "_org_lYqIcVkErvSNFcroWzxlrUNNdTZrfUvHBz")],
        ),
    ],
    misses: &[
        miss(
            concat!("hf", "_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            "a placeholder",
        ),
        miss(
            concat!("hf", "_requiredCharacteristicTypesForDisplayMetadata"),
            "a name",
        ),
        miss(
            concat!("_api", "_org_96726c78_4ae3_402f_b08b_7a78c6903d2a"),
            "a name",
        ),
    ],
};

fn openai(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    if !text.slice(place.at..place.end).starts_with(b"sk") {
        return None;
    }
    let end = text.run_of(Alphabet::Base64Url, place.end, 210);
    let body = text.slice(place.end..end);
    let mark = text.find(SearchState::KeyMark, b"T3BlbkFJ", place.end..end)?;
    let mark = mark.wrapping_sub(place.end);
    let fits = mark >= 16
        && body.len().saturating_sub(mark) >= 24
        && text.variety(place.end..end) >= 30
        && !text.is_placeholder(place.end..end);
    fits.then_some(Match {
        start: place.at,
        end,
        confidence: Confidence::High,
    })
}

fn anthropic(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let kind = text.run(place.end, 12, |byte| byte.is_ascii_alphanumeric());
    if kind == place.end || text.at(kind) != b'-' {
        return None;
    }
    let from = kind.wrapping_add(1);
    let end = text.run_of(Alphabet::Base64Url, from, 121);
    let body = text.slice(from..end);
    let fits = (80..=120).contains(&body.len())
        && text.variety(from..end) >= 35
        && !text.is_placeholder(from..end);
    fits.then_some(Match {
        start: place.at,
        end,
        confidence: Confidence::High,
    })
}
