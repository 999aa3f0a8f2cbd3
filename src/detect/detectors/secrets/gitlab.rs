//! Tokens of GitLab.

use crate::detect::scan::place::{Alphabet, Anchor, Beginning, Found, Part, Place};
use crate::detect::variety::{is_placeholder, variety};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

const TWENTY: &[Part] = &[Part::Run(Alphabet::Base64Url, 20, 20)];
const ROUTABLE: &[Part] = &[
    Part::Run(Alphabet::Base64Url, 27, 300),
    Part::Text("."),
    Part::Run(Alphabet::Smalls, 9, 9),
];

/// As above since GitLab 17.9, with the version of the form before the check.
const VERSIONED: &[Part] = &[
    Part::Run(Alphabet::Base64Url, 27, 300),
    Part::Text(".01."),
    Part::Run(Alphabet::Smalls, 9, 9),
];

pub(in crate::detect) static TOKENS: Detector = Detector {
    name: "gitlab_token",
    groups: &["secrets.code"],
    doc: Doc {
        finds: "The prefixes of GitLab's tokens with their lengths: `glpat-` and `glrt-` (plain and routable), `glcbt-`, `gldt-`, `glffct-`, `glft-`, `glimt-`, `glagent-`, `gloas-`, `glptt-`, `glsoat-`, `GR1348941`, and `_gitlab_session=`.",
        misses: "Instances with prefixes of their own.",
        source: "GitLab Docs, Token overview, token prefixes",
    },
    reach: 330,
    context: &[],
    anchors: &[
        Anchor::Beginning(&[
            Beginning {
                prefix: "glpat-",
                rest: TWENTY,
                variety: 25,
            },
            Beginning {
                prefix: "glpat-",
                rest: ROUTABLE,
                variety: 30,
            },
            Beginning {
                prefix: "glpat-",
                rest: VERSIONED,
                variety: 30,
            },
            Beginning {
                prefix: "glrt-",
                rest: TWENTY,
                variety: 25,
            },
            Beginning {
                prefix: "glrt-",
                rest: ROUTABLE,
                variety: 30,
            },
            Beginning {
                prefix: "glrt-",
                rest: VERSIONED,
                variety: 30,
            },
            Beginning {
                prefix: "glrt-t",
                rest: &[
                    Part::Run(Alphabet::Digits, 1, 1),
                    Part::Text("_"),
                    Part::Run(Alphabet::Base64Url, 20, 30),
                ],
                variety: 25,
            },
            Beginning {
                prefix: "glcbt-",
                rest: &[Part::Run(Alphabet::Base64Url, 20, 26)],
                variety: 25,
            },
            Beginning {
                prefix: "gldt-",
                rest: TWENTY,
                variety: 25,
            },
            Beginning {
                prefix: "glffct-",
                rest: TWENTY,
                variety: 25,
            },
            Beginning {
                prefix: "glft-",
                rest: &[Part::Run(Alphabet::Base64Url, 20, 26)],
                variety: 25,
            },
            Beginning {
                prefix: "glimt-",
                rest: &[Part::Run(Alphabet::Base64Url, 25, 25)],
                variety: 25,
            },
            Beginning {
                prefix: "glagent-",
                rest: &[Part::Run(Alphabet::Base64Url, 50, 200)],
                variety: 30,
            },
            Beginning {
                prefix: "gloas-",
                rest: &[Part::Run(Alphabet::Base64Url, 64, 64)],
                variety: 30,
            },
            Beginning {
                prefix: "glptt-",
                rest: &[Part::Run(Alphabet::Base64Url, 40, 40)],
                variety: 28,
            },
            Beginning {
                prefix: "glsoat-",
                rest: TWENTY,
                variety: 25,
            },
            Beginning {
                prefix: "GR1348941",
                rest: TWENTY,
                variety: 25,
            },
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

fn session(place: &Place<'_>) -> Option<Found> {
    let text = place.text;
    let start = place
        .at
        .wrapping_sub(usize::from(text.before(place.at) == b'_'));
    place.begins(start);
    let end = text.run_of(Alphabet::Smalls, place.end, 33);
    let value = text.slice(place.end..end);
    let fits = value.len() == 32 && variety(value) >= 30 && !is_placeholder(value);
    fits.then_some(Found {
        start,
        end,
        confidence: Confidence::High,
    })
}
