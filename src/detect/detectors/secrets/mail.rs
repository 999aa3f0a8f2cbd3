//! Keys of mail and message services.

use crate::detect::entropy::{is_placeholder, shannon_entropy_tenths};
use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::scan::token_form::token;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(in crate::detect) static SENDGRID: Detector = Detector {
    name: "sendgrid_key",
    groups: &["secrets.messaging"],
    doc: Doc {
        finds: "`SG.` and 66 letters, digits, `_ - = .` in all.",
        misses: "Shortened keys.",
        source: "Twilio SendGrid Docs, API keys",
    },
    reach: 69,
    context: &[],
    anchors: &[Anchor::Beginning(&[
        token("SG.", "[0-9a-zA-Z_.=-]{66}").entropy(30)
    ])],
    hits: &[
        hit(
            concat!(
                "SG",
                ".ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr"
            ),
            &[concat!(
                "SG",
                ".ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr"
            )],
        ),
        hit(
            concat!(
                "key: SG",
                ".pq9oxb4t54yv2htm-hh334v_6_x0gk=b2dqkxf=hz8bf0qc90uhhj_bw5=v_w=ncuc\n"
            ),
            &[concat!(
                "SG",
                ".pq9oxb4t54yv2htm-hh334v_6_x0gk=b2dqkxf=hz8bf0qc90uhhj_bw5=v_w=ncuc"
            )],
        ),
        hit(
            concat!(
                "\"SG",
                ".rzm6gvtq-giymsl4kcixojkf0wg42vmtq6ps=gsggr_axfwx-3eo5e.x9oldvcwwpv\""
            ),
            &[concat!(
                "SG",
                ".rzm6gvtq-giymsl4kcixojkf0wg42vmtq6ps=gsggr_axfwx-3eo5e.x9oldvcwwpv"
            )],
        ),
    ],
    misses: &[
        miss(
            concat!(
                "SG",
                ".ngeVfQFYQlKU0ufo8x5d1A..TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr"
            ),
            "67 characters",
        ),
        miss("SG.x", "too short"),
        miss(
            concat!(
                "SG",
                ".xxxxxxxxxxxxxxxxxxxxxx.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            ),
            "a placeholder",
        ),
    ],
};

pub(in crate::detect) static TWILIO: Detector = Detector {
    name: "twilio_key",
    groups: &["secrets.messaging"],
    doc: Doc {
        finds: "`SK` and 32 hexadecimal digits.",
        misses: "Account ids (`AC`), which open nothing without their token.",
        source: "Twilio Docs, API keys",
    },
    reach: 34,
    context: &["twilio"],
    anchors: &[Anchor::Mixed(34..=34, PreFilter::ALWAYS, twilio)],
    hits: &[
        hit(
            concat!("| SK", "2FBb8A7D1eA2E63EBfe7Db00FEe8Ccf3 |"),
            &[concat!("SK", "2FBb8A7D1eA2E63EBfe7Db00FEe8Ccf3")],
        ),
        hit(
            concat!("twilio_token: SK", "01a5182cf649dfc7e565bdbbd271a19f"),
            &[concat!("SK", "01a5182cf649dfc7e565bdbbd271a19f")],
        ),
        hit(
            concat!("export T=SK", "eB45CfEab61D566bE08Df52AfCf4Cafd"),
            &[concat!("SK", "eB45CfEab61D566bE08Df52AfCf4Cafd")],
        ),
    ],
    misses: &[
        miss(
            concat!("SK", "00000000000000000000000000000000"),
            "no variety",
        ),
        miss(
            concat!("SK", "01a5182cf649dfc7e565bdbbd271a19g"),
            "not hexadecimal",
        ),
        miss(
            concat!("sk", "01a5182cf649dfc7e565bdbbd271a19f"),
            "small letters",
        ),
    ],
};

pub(in crate::detect) static MAILCHIMP: Detector = Detector {
    name: "mailchimp_key",
    groups: &["secrets.messaging"],
    doc: Doc {
        finds: "32 small hexadecimal digits, `-us` and one or two digits.",
        misses: "Keys without the data centre.",
        source: "Mailchimp Docs, About API keys",
    },
    reach: 37,
    context: &[],
    anchors: &[
        Anchor::Mixed(32..=32, PreFilter::ALWAYS, mailchimp),
        Anchor::Number(32..=32, PreFilter::ALWAYS, mailchimp),
    ],
    hits: &[
        hit(
            concat!("key 16584afd87f7deca6f3ee72d79044b1a", "-us3 stopped"),
            &[concat!("16584afd87f7deca6f3ee72d79044b1a", "-us3")],
        ),
        hit(
            concat!("\"apikey\": \"2d33a42c2bc5e7ed0495c1964d0748bf", "-us47\""),
            &[concat!("2d33a42c2bc5e7ed0495c1964d0748bf", "-us47")],
        ),
        hit(
            concat!("KEY=b5b9f8e50c640da28993e8b6a48e3e53", "-us18"),
            &[concat!("b5b9f8e50c640da28993e8b6a48e3e53", "-us18")],
        ),
    ],
    misses: &[
        miss(
            concat!("9276a43e2951aa46e2b1c33ED38357DB", "-us2"),
            "capitals",
        ),
        miss("16584afd87f7deca6f3ee72d79044b1a-usa", "no data centre"),
        miss("16584afd87f7deca6f3ee72d79044b1a", "no data centre"),
    ],
};

pub(in crate::detect) static MAILGUN: Detector = Detector {
    name: "mailgun_key",
    groups: &["secrets.messaging"],
    doc: Doc {
        finds: "`key-` or `pubkey-` (of address validation) and 32 small hexadecimal digits; 32-8-8 such digits.",
        misses: "Keys of other forms, which are found by the name they are assigned to (`generic_api_key`).",
        source: "Mailgun documentation, API authentication",
    },
    reach: 50,
    context: &[],
    anchors: &[
        Anchor::Beginning(&[
            token("key-", "[0-9a-f]{32}"),
            token("pubkey-", "[0-9a-f]{32}"),
        ]),
        Anchor::Mixed(32..=32, PreFilter::ALWAYS, mailgun),
    ],
    hits: &[
        hit(
            concat!("mailgun: key", "-6aaf2d0f2f412f289de135af6d18e2a1"),
            &[concat!("key", "-6aaf2d0f2f412f289de135af6d18e2a1")],
        ),
        hit(
            concat!("\"5134c813e8f7850b618d28f440ca780c", "-0a1b1c2d-22e2f3a3\""),
            &[concat!(
                "5134c813e8f7850b618d28f440ca780c",
                "-0a1b1c2d-22e2f3a3"
            )],
        ),
        hit(
            concat!("api:key", "-0123456789abcdef9876543210fedcba@api"),
            &[concat!("key", "-0123456789abcdef9876543210fedcba")],
        ),
    ],
    misses: &[
        miss(
            concat!("monkey", "-6aaf2d0f2f412f289de135af6d18e2a1"),
            "another word",
        ),
        miss("key-6aaf2d0f", "too short"),
        miss(
            "5134c813e8f7850b618d28f440ca780c-00001111",
            "one part is missing",
        ),
    ],
};

fn twilio(place: &MatchSite<'_>) -> Option<Match> {
    let hash = place.text.slice(place.at..place.end).strip_prefix(b"SK")?;
    let fits = hash.iter().all(u8::is_ascii_hexdigit)
        && shannon_entropy_tenths(hash) >= 25
        && !is_placeholder(hash);
    fits.then_some(Match {
        start: place.at,
        end: place.end,
        confidence: Confidence::High,
    })
}

fn mailchimp(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let hash = text.slice(place.at..place.end);
    if !text.follows(place.end, "-us")
        || !hash.iter().all(|byte| Alphabet::HexSmall.has(*byte))
        || shannon_entropy_tenths(hash) < 25
    {
        return None;
    }
    let from = place.end.wrapping_add(3);
    let end = text.run(from, 3, |byte| byte.is_ascii_digit());
    let fits = matches!(end.wrapping_sub(from), 1 | 2) && !text.at(end).is_ascii_alphanumeric();
    fits.then_some(Match {
        start: place.at,
        end,
        confidence: Confidence::High,
    })
}

fn mailgun(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    // Webhook signing keys have two letters more.
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'h').contains(&byte);
    let first = text.slice(place.at..place.end);
    if text.at(place.end) != b'-'
        || !first.iter().all(|byte| hexadecimal(*byte))
        || shannon_entropy_tenths(first) < 25
    {
        return None;
    }
    let second = place.end.wrapping_add(1);
    let second_end = text.run(second, 9, hexadecimal);
    let third = second_end.wrapping_add(1);
    let end = text.run(third, 9, hexadecimal);
    let fits = second_end.wrapping_sub(second) == 8
        && text.at(second_end) == b'-'
        && end.wrapping_sub(third) == 8;
    (fits && !text.at(end).is_ascii_alphanumeric()).then_some(Match {
        start: place.at,
        end,
        confidence: Confidence::High,
    })
}
