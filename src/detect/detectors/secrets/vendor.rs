//! Tokens that name their vendor by how they begin.

use std::ops::Range;

use crate::detect::scan::first_in;
use crate::detect::scan::place::{Alphabet, Anchor, Beginning, Found, Part, Place, Sought, When};
use crate::detect::{Confidence, Detector, Doc, hit, miss};
use crate::wire::work;

use Alphabet::{
    Alphanumeric, Base64, Base64Url, Base64UrlPadded, Capitals, Digits, Dotted, Hex, HexSmall,
    Smalls, Wide, Word,
};
use Part::{Run, Text};

const fn known(prefix: &'static str, rest: &'static [Part]) -> Beginning {
    Beginning {
        prefix,
        rest,
        variety: 25,
    }
}

const UUID: &[Part] = &[
    Run(HexSmall, 8, 8),
    Text("-"),
    Run(HexSmall, 4, 4),
    Text("-"),
    Run(HexSmall, 4, 4),
    Text("-"),
    Run(HexSmall, 4, 4),
    Text("-"),
    Run(HexSmall, 12, 12),
];

/// The key's number, the key, a checksum.
const PADDLE: &[Part] = &[
    Run(Smalls, 26, 26),
    Text("_"),
    Run(Alphanumeric, 22, 22),
    Text("_"),
    Run(Alphanumeric, 3, 3),
];

/// The key's number, which ends in `CNTRL`, a hyphen, the key.
const TAILSCALE: &[Part] = &[
    Run(Alphanumeric, 10, 24),
    Text("-"),
    Run(Alphanumeric, 16, 48),
];

pub(in crate::detect) static TOKENS: Detector = Detector {
    name: "vendor_token",
    groups: &["secrets.vendor"],
    doc: Doc {
        finds: "Tokens of some hundred vendors that begin with a prefix of theirs: 1Password, Adobe, Age, Airtable, Alibaba, Atlassian, Authress, Bitbucket, Buildkite, Cerebras, CircleCI, ClickHouse, Clojars, Cloudflare, Contentful, crates.io, Deno, Docker, Doppler, Dropbox, Duffel, Dynatrace, EasyPost, Facebook, Figma, Fireworks, Flutterwave, Fly.io, Frame.io, Google OAuth, Groq, Harness, Heroku, Infracost, Jina, Langfuse, LangSmith, Linear, MaxMind, Netlify, New Relic, Notion, NVIDIA, Octopus Deploy, OpenRouter, OpenShift, Paddle, PayPal, Perplexity, Pinecone, Plaid, PlanetScale, PostHog, Postman, Prefect, Pulumi, ReadMe, Render, Replicate, Resend, RubyGems, Scalingo, Sendinblue, Sentry, SettleMint, Shippo, Sonar, Sourcegraph, Supabase, Tailscale, Tavily, Typeform, Vercel Blob, Voyage, xAI and others; Teams webhooks; the data of Kubernetes secrets.",
        misses: "Vendors whose tokens have no prefix: their values are found by the name they are assigned to (`generic_api_key`).",
        source: "The vendors' documentation; GitHub Docs, supported secret scanning patterns",
    },
    reach: 16_384,
    context: &[],
    anchors: &[
        Anchor::Number(15..=16, When::Before(b"|"), application),
        Anchor::Beginning(&[
            known("p8e-", &[Run(Smalls, 32, 32)]),
            Beginning {
                prefix: "AGE-SECRET-KEY-1",
                rest: &[Run(Capitals, 58, 58)],
                variety: 0,
            },
            known(
                "pat",
                &[Run(Alphanumeric, 14, 14), Text("."), Run(HexSmall, 64, 64)],
            ),
            known("LTAI", &[Run(Alphanumeric, 20, 20)]),
            known(
                "sc_",
                &[
                    Run(Smalls, 5, 30),
                    Text("."),
                    Run(Smalls, 4, 6),
                    Text(".acc"),
                    Run(Base64Url, 11, 33),
                    Text("."),
                    Run(Wide, 30, 120),
                ],
            ),
            known(
                "ext_",
                &[
                    Run(Smalls, 5, 30),
                    Text("."),
                    Run(Smalls, 4, 6),
                    Text(".acc"),
                    Run(Base64Url, 11, 33),
                    Text("."),
                    Run(Wide, 30, 120),
                ],
            ),
            known(
                "scauth_",
                &[
                    Run(Smalls, 5, 30),
                    Text("."),
                    Run(Smalls, 4, 6),
                    Text(".acc"),
                    Run(Base64Url, 11, 33),
                    Text("."),
                    Run(Wide, 30, 120),
                ],
            ),
            known(
                "authress_",
                &[
                    Run(Smalls, 5, 30),
                    Text("."),
                    Run(Smalls, 4, 6),
                    Text(".acc"),
                    Run(Base64Url, 11, 33),
                    Text("."),
                    Run(Wide, 30, 120),
                ],
            ),
            known("4b1d", &[Run(Alphanumeric, 38, 38)]),
            known("CLOJARS_", &[Run(Smalls, 60, 60)]),
            known(
                "v1.0-",
                &[Run(HexSmall, 24, 24), Text("-"), Run(HexSmall, 146, 146)],
            ),
            known("dp.pt.", &[Run(Alphanumeric, 40, 48)]),
            known("dp.st.", &[Run(Dotted, 40, 90)]),
            known("dp.ct.", &[Run(Alphanumeric, 40, 48)]),
            known("duffel_test_", &[Run(Base64UrlPadded, 43, 43)]),
            known("duffel_live_", &[Run(Base64UrlPadded, 43, 43)]),
            known(
                "dt0c01.",
                &[
                    Run(Alphanumeric, 24, 24),
                    Text("."),
                    Run(Alphanumeric, 64, 64),
                ],
            ),
            known("EZAK", &[Run(Alphanumeric, 54, 54)]),
            known("EZTK", &[Run(Alphanumeric, 54, 54)]),
            // Behind it the application's number begins, in Base64.
            known("EAA", &[Run(Alphanumeric, 100, 400)]),
            known("FLWPUBK_TEST-", &[Run(Smalls, 32, 32), Text("-X")]),
            known("FLWSECK_TEST-", &[Run(Smalls, 32, 32), Text("-X")]),
            known("FLWSECK_TEST-", &[Run(Smalls, 12, 12)]),
            known("FLWSECK-", &[Run(Smalls, 32, 32), Text("-X")]),
            known("fo1_", &[Run(Base64Url, 43, 43)]),
            known("fm1a_", &[Run(Base64, 80, 1_000)]),
            known("fm1r_", &[Run(Base64, 80, 1_000)]),
            known("fm2_", &[Run(Base64, 80, 1_000)]),
            known("fio-u-", &[Run(Base64UrlPadded, 64, 64)]),
            known(
                "pat.",
                &[
                    Run(Base64Url, 22, 22),
                    Text("."),
                    Run(Alphanumeric, 24, 24),
                    Text("."),
                    Run(Alphanumeric, 20, 20),
                ],
            ),
            known(
                "sat.",
                &[
                    Run(Base64Url, 22, 22),
                    Text("."),
                    Run(Alphanumeric, 24, 24),
                    Text("."),
                    Run(Alphanumeric, 20, 20),
                ],
            ),
            known("HRKU-", &[Run(Base64Url, 36, 62)]),
            known("ico-", &[Run(Alphanumeric, 32, 32)]),
            known("s-s4t2ud-", &[Run(HexSmall, 64, 64)]),
            known("s-s4t2af-", &[Run(HexSmall, 64, 64)]),
            known("lin_api_", &[Run(Alphanumeric, 40, 40)]),
            known("lin_oauth_", &[Run(HexSmall, 64, 64)]),
            known("ntn_", &[Run(Digits, 11, 40), Run(Alphanumeric, 20, 46)]),
            known("secret_", &[Run(Alphanumeric, 43, 43)]),
            known("API-", &[Run(Capitals, 26, 32)]),
            known("sha256~", &[Run(Base64Url, 43, 43)]),
            known(
                "A3-",
                &[
                    Run(Capitals, 6, 6),
                    Text("-"),
                    Run(Capitals, 11, 11),
                    Text("-"),
                    Run(Capitals, 5, 5),
                    Text("-"),
                    Run(Capitals, 5, 5),
                    Text("-"),
                    Run(Capitals, 5, 5),
                ],
            ),
            known(
                "A3-",
                &[
                    Run(Capitals, 6, 6),
                    Text("-"),
                    Run(Capitals, 6, 6),
                    Text("-"),
                    Run(Capitals, 5, 5),
                    Text("-"),
                    Run(Capitals, 5, 5),
                    Text("-"),
                    Run(Capitals, 5, 5),
                    Text("-"),
                    Run(Capitals, 5, 5),
                ],
            ),
            known("ops_eyJ", &[Run(Base64, 200, 1_800)]),
            known("pplx-", &[Run(Alphanumeric, 40, 56)]),
            known("pscale_tkn_", &[Run(Dotted, 32, 64)]),
            known("pscale_oauth_", &[Run(Dotted, 32, 64)]),
            known("pscale_pw_", &[Run(Dotted, 32, 64)]),
            known(
                "PMAK-",
                &[Run(HexSmall, 24, 24), Text("-"), Run(HexSmall, 34, 34)],
            ),
            known("pnu_", &[Run(Alphanumeric, 36, 36)]),
            known("pul-", &[Run(HexSmall, 40, 40)]),
            known("rdme_", &[Run(Smalls, 70, 70)]),
            known("rubygems_", &[Run(HexSmall, 48, 48)]),
            known("tk-us-", &[Run(Base64Url, 48, 48)]),
            known(
                "xkeysib-",
                &[Run(HexSmall, 64, 64), Text("-"), Run(Alphanumeric, 16, 16)],
            ),
            known(
                "xsmtpsib-",
                &[Run(HexSmall, 64, 64), Text("-"), Run(Alphanumeric, 16, 16)],
            ),
            known(
                "sntrys_eyJ",
                &[Run(Base64, 80, 600), Text("_"), Run(Base64, 43, 44)],
            ),
            known("sntryu_", &[Run(HexSmall, 64, 64)]),
            known("sm_aat_", &[Run(Alphanumeric, 16, 16)]),
            known("sm_pat_", &[Run(Alphanumeric, 16, 16)]),
            known("sm_sat_", &[Run(Alphanumeric, 16, 16)]),
            known("shippo_live_", &[Run(Hex, 40, 40)]),
            known("shippo_test_", &[Run(Hex, 40, 40)]),
            known("sgp_", &[Run(Hex, 40, 40)]),
            known("sgp_", &[Run(Hex, 16, 16), Text("_"), Run(Hex, 40, 40)]),
            known("sgp_local_", &[Run(Hex, 40, 40)]),
            known("slk_", &[Run(HexSmall, 64, 64)]),
            known("tfp_", &[Run(Dotted, 40, 70)]),
            known("sqp_", &[Run(Hex, 40, 40)]),
            known("squ_", &[Run(Hex, 40, 40)]),
            known("sqa_", &[Run(Hex, 40, 40)]),
            known("NRAK-", &[Run(Alphanumeric, 27, 27)]),
            known("NRJS-", &[Run(HexSmall, 19, 19)]),
            known("NRII-", &[Run(Base64Url, 32, 32)]),
            known("ATATT3", &[Run(Base64UrlPadded, 150, 250)]),
            known("ATCTT3", &[Run(Base64UrlPadded, 150, 250)]),
            known("ATBB", &[Run(Alphanumeric, 32, 32)]),
            known("bkua_", &[Run(HexSmall, 40, 40)]),
            known(
                "CCIPAT_",
                &[Run(Alphanumeric, 22, 22), Text("_"), Run(HexSmall, 40, 40)],
            ),
            known("CFPAT-", &[Run(Base64Url, 43, 43)]),
            known("cio", &[Run(Alphanumeric, 32, 32)]),
            known("ddp_", &[Run(Alphanumeric, 36, 36)]),
            known("dckr_pat_", &[Run(Base64Url, 27, 27)]),
            known("dckr_oat_", &[Run(Base64Url, 27, 32)]),
            known("sl.", &[Run(Base64Url, 130, 160)]),
            known("sl.u.", &[Run(Base64Url, 130, 1_200)]),
            known("figd_", &[Run(Base64Url, 36, 48)]),
            known("ya29.", &[Run(Base64Url, 50, 500)]),
            known("GOCSPX-", &[Run(Base64Url, 28, 28)]),
            known("nfp_", &[Run(Alphanumeric, 36, 36)]),
            known("sbp_", &[Run(HexSmall, 40, 40)]),
            known(
                "re_",
                &[
                    Run(Alphanumeric, 8, 8),
                    Text("_"),
                    Run(Alphanumeric, 24, 24),
                ],
            ),
            known("pcsk_", &[Run(Word, 60, 80)]),
            known("waka_", UUID),
            known("access-production-", UUID),
            known("access-sandbox-", UUID),
            known(
                "access_token$production$",
                &[Run(Smalls, 16, 16), Text("$"), Run(HexSmall, 32, 32)],
            ),
            known(
                "access_token$sandbox$",
                &[Run(Smalls, 16, 16), Text("$"), Run(HexSmall, 32, 32)],
            ),
            known("pdl_live_apikey_", PADDLE),
            known("pdl_sdbx_apikey_", PADDLE),
            // `phc_` is the project's, which is public.
            known("phx_", &[Run(Alphanumeric, 40, 64)]),
            known("rnd_", &[Run(Alphanumeric, 24, 32)]),
            known("tskey-api-", TAILSCALE),
            known("tskey-auth-", TAILSCALE),
            known("tskey-client-", TAILSCALE),
            known("tskey-scim-", TAILSCALE),
            known("tskey-webhook-", TAILSCALE),
            known(
                "vercel_blob_rw_",
                &[
                    Run(Alphanumeric, 16, 16),
                    Text("_"),
                    Run(Alphanumeric, 24, 40),
                ],
            ),
            // Model providers
            known("sk-or-v1-", &[Run(HexSmall, 64, 64)]),
            known("gsk_", &[Run(Alphanumeric, 52, 52)]),
            known("xai-", &[Run(Alphanumeric, 80, 80)]),
            known("r8_", &[Run(Alphanumeric, 37, 37)]),
            known("fw_", &[Run(Alphanumeric, 24, 24)]),
            known("nvapi-", &[Run(Base64Url, 60, 70)]),
            known("csk-", &[Run(Smalls, 48, 48)]),
            known("pa-", &[Run(Base64Url, 43, 43)]),
            known("jina_", &[Run(Word, 60, 70)]),
            known("tgp_v1_", &[Run(Base64Url, 43, 43)]),
            known("tvly-", &[Run(Base64Url, 32, 48)]),
            known(
                "lsv2_pt_",
                &[Run(HexSmall, 32, 32), Text("_"), Run(HexSmall, 10, 10)],
            ),
            known(
                "lsv2_sk_",
                &[Run(HexSmall, 32, 32), Text("_"), Run(HexSmall, 10, 10)],
            ),
            known("sk-lf-", UUID),
            known("sk-", &[Run(HexSmall, 32, 32)]),
            known("sk_", &[Run(HexSmall, 48, 48)]),
            Beginning {
                prefix: "sk-",
                rest: &[Run(Alphanumeric, 48, 48)],
                variety: 42,
            },
            known("cfk_", &[Run(Alphanumeric, 48, 48)]),
            known("cfut_", &[Run(Alphanumeric, 48, 48)]),
            known("cfat_", &[Run(Alphanumeric, 48, 48)]),
            known("sb_secret_", &[Run(Base64Url, 31, 31)]),
            known("vcp_", &[Run(Alphanumeric, 40, 64)]),
            known("AQ.Ab8R", &[Run(Base64Url, 40, 64)]),
            known("1//0", &[Run(Base64Url, 60, 110)]),
            Beginning {
                prefix: "oy2",
                rest: &[Run(Smalls, 43, 43)],
                variety: 38,
            },
            known("bedrock-api-key-", &[Run(Base64, 60, 600)]),
            Beginning {
                prefix: "ABSKQmVkcm9ja0FQSUtleS",
                rest: &[Run(Base64, 80, 200)],
                variety: 0,
            },
            known("ABSK", &[Run(Base64, 109, 269)]),
            known("dnkey-", &[Run(Base64UrlPadded, 20, 120)]),
        ]),
        Anchor::Mixed(29..=29, When::Before(b"_"), maxmind),
        Anchor::Mixed(6..=6, When::Before(b"_"), maxmind),
        Anchor::Word(
            &[
                "webhook.office.com/webhookb2/",
                "outlook.office.com/webhook/",
            ],
            teams,
        ),
        Anchor::Word(&["data:", "stringData:"], kubernetes),
    ],
    hits: &[
        hit(
            concat!(
                "key: pp",
                "lx-GpvcQDZyrFV81i6A9BeinPquoTmIZ3cQw28mMWGUMHrhGV6u\n"
            ),
            &[concat!(
                "pp",
                "lx-GpvcQDZyrFV81i6A9BeinPquoTmIZ3cQw28mMWGUMHrhGV6u"
            )],
        ),
        hit(
            concat!("\"A3", "-I6IL3T-SIEMPP-YVOON-V6X0F-EFOU8-CTI0G\""),
            &[concat!("A3", "-I6IL3T-SIEMPP-YVOON-V6X0F-EFOU8-CTI0G")],
        ),
        hit(
            concat!(
                "OPENROUTER=sk-or",
                "-v1-1771c9a9ff879ebf899e7b9e91f682db8a19e54379c29063d961cfa28ce26e7f"
            ),
            &[concat!(
                "sk-or",
                "-v1-1771c9a9ff879ebf899e7b9e91f682db8a19e54379c29063d961cfa28ce26e7f"
            )],
        ),
        hit(
            concat!(
                "CLOUDFLARE=cf",
                "ut_k3Vd9QmZ7xRb2TnLw8YpHs4JcGf6AeUo1XiKvBqM05c7e91a"
            ),
            &[concat!(
                "cf",
                "ut_k3Vd9QmZ7xRb2TnLw8YpHs4JcGf6AeUo1XiKvBqM05c7e91a"
            )],
        ),
        hit(
            concat!(
                "tailscale up --auth-key tskey",
                "-auth-kQ7wZp2XcT11CNTRL-8hVdN3rLm5KsJ9tYbG2fWxQ4zPeR6uCa"
            ),
            &[concat!(
                "tskey",
                "-auth-kQ7wZp2XcT11CNTRL-8hVdN3rLm5KsJ9tYbG2fWxQ4zPeR6uCa"
            )],
        ),
        hit(
            concat!(
                "Bearer pdl",
                "_live_apikey_01hq7zk3mw9vd5n2rbx8tcf4ge_Q6xTGnJyv3Iz7LDtXT65bX_kQ4, ph",
                "x_hV7dN3rLm5KsJ9tYbG2fWxQ4zPeR6uCa1kTqZ8mXwEo, rn",
                "d_hV7dN3rLm5KsJ9tYbG2fWxQ4zPeR"
            ),
            &[
                concat!(
                    "pdl",
                    "_live_apikey_01hq7zk3mw9vd5n2rbx8tcf4ge_Q6xTGnJyv3Iz7LDtXT65bX_kQ4"
                ),
                concat!("ph", "x_hV7dN3rLm5KsJ9tYbG2fWxQ4zPeR6uCa1kTqZ8mXwEo"),
                concat!("rn", "d_hV7dN3rLm5KsJ9tYbG2fWxQ4zPeR"),
            ],
        ),
        hit(
            concat!(
                "BLOB_RW=vercel",
                "_blob_rw_hV7dN3rLm5KsJ9tY_bG2fWxQ4zPeR6uCa1kTqZ8mXwEo3Dg access",
                "-sandbox-7c1a4f2e-93b5-4d08-8e6a-51f0c2d7b394"
            ),
            &[
                concat!(
                    "vercel",
                    "_blob_rw_hV7dN3rLm5KsJ9tY_bG2fWxQ4zPeR6uCa1kTqZ8mXwEo3Dg"
                ),
                concat!("access", "-sandbox-7c1a4f2e-93b5-4d08-8e6a-51f0c2d7b394"),
            ],
        ),
        hit(
            "kind: Secret\ndata:\n  key: bXlwYXNzd29yZA==\n",
            &["key: bXlwYXNzd29yZA=="],
        ),
        hit(
            concat!("maxmind = w5fruZ_8ZUsgYLu8vwgb3yKsgMna3uIF9Oa4", "_mmk"),
            &[concat!("w5fruZ_8ZUsgYLu8vwgb3yKsgMna3uIF9Oa4", "_mmk")],
        ),
    ],
    misses: &[
        miss(
            concat!("sgp", "_local_d45b6G86aBb0F2Cee943902dbaDBCFCFDD1dA089"),
            "not hexadecimal",
        ),
        miss(
            "sk-thisisonlyanameandnotakeyofanythingthatisreal123",
            "words",
        ),
        miss(
            "phc_hV7dN3rLm5KsJ9tYbG2fWxQ4zPeR6uCa1kTqZ8mXwEo, rnd_generator_of_the_first_kind",
            "a public key, a name",
        ),
        miss(concat!("nt", "n_12345678901abc"), "too short"),
        miss(
            concat!(
                "rd",
                "me_XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"
            ),
            "a placeholder",
        ),
        miss(
            "src=\"./assets/vipul-f0eb1acf0da84c06a50c5b2c59932001997786b1\"",
            "within a name",
        ),
        miss(
            "kind: ExternalSecret\ndata:\n  secretKey: api-key-of-the-service\n",
            "a reference",
        ),
    ],
};

/// Six characters, `_`, 29 characters, `_mmk`; either of the two may be the first with a digit.
fn maxmind(place: &Place<'_>) -> Option<Found> {
    let text = place.text;
    let alphanumeric = |byte: u8| byte.is_ascii_alphanumeric();
    let long = place.end.wrapping_sub(place.at) == 29;
    let start = if long {
        place.at.checked_sub(7)?
    } else {
        place.at
    };
    place.begins(start);
    let middle = text.run(start, 7, alphanumeric);
    if middle.wrapping_sub(start) != 6
        || text.at(middle) != b'_'
        || alphanumeric(text.before(start))
    {
        return None;
    }
    let from = middle.wrapping_add(1);
    let end = text.run(from, 30, alphanumeric);
    let fits = end.wrapping_sub(from) == 29
        && text.follows(end, "_mmk")
        && !alphanumeric(text.at(end.wrapping_add(4)));
    fits.then_some(Found {
        start,
        end: end.wrapping_add(4),
        confidence: Confidence::High,
    })
}

fn teams(place: &Place<'_>) -> Option<Found> {
    let text = place.text;
    let host = text.run_back(place.at, 64, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')
    });
    let scheme = ["https://", "http://"]
        .iter()
        .find(|scheme| text.precedes(host, scheme));
    let start = host.wrapping_sub(scheme.map_or(0, |scheme| scheme.len()));
    place.begins(start);
    let end = text.run(place.end, 260, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'@' | b'/')
    });
    let path = text.slice(place.end..end);
    let incoming = path
        .windows(17)
        .any(|window| window == b"/IncomingWebhook/");
    (incoming && path.len() >= 100).then_some(Found {
        start,
        end,
        confidence: Confidence::High,
    })
}

/// Facebook's application token: the application's number, a bar, its secret.
fn application(place: &Place<'_>) -> Option<Found> {
    let text = place.text;
    let from = place.end.wrapping_add(1);
    let end = text.run_of(Base64Url, from, 41);
    let secret = text.slice(from..end);
    let fits = (27..=40).contains(&secret.len())
        && text.is_random(from..end, 30)
        && text.before(place.at) != b'|';
    fits.then_some(Found {
        start: place.at,
        end,
        confidence: Confidence::Medium,
    })
}

/// Bytes of a manifest that are searched for its kind, on both sides.
const MANIFEST: usize = 700;

/// Says what a manifest is of.
const KIND: &[u8] = b"kind:";

/// Whose data are credentials.
const SECRET: &[u8] = b"secret";

/// The entries of the data of a Kubernetes secret.
fn kubernetes(place: &Place<'_>) -> Option<Found> {
    let text = place.text;
    if !matches!(text.before(place.at), b'\n' | b' ' | 0) {
        return None;
    }
    let line = text.run(place.end, 40, |byte| matches!(byte, b' ' | b'\r'));
    if text.at(line) != b'\n' {
        return None;
    }
    let mut at = line.wrapping_add(1);
    let mut found: Option<(usize, usize)> = None;
    // Comments and entries, as long as they are indented.
    for _ in 0..32 {
        let entry = text.run(at, 16, |byte| matches!(byte, b' ' | b'\t'));
        if entry == at {
            break;
        }
        let end = text.run(entry, 8_192, |byte| byte != b'\n');
        if let Some((start, end)) = entry_of(place, entry, end) {
            if found.is_none() {
                place.begins(start);
            }
            found = Some((found.map_or(start, |(first, _)| first), end));
        }
        at = end.wrapping_add(1);
    }
    let (start, end) = found?;
    let from = place.at.saturating_sub(MANIFEST);
    // Of many manifests in a row each part is searched once.
    let is_secret = |what, range: Range<usize>| {
        let word = text.find_by(what, SECRET.len(), range.clone(), |range| {
            first_secret(text.slice(0..range.end), range.start)
        });
        word.is_some() && {
            work::spend(MANIFEST);
            is_secret(text.slice(range))
        }
    };
    if !is_secret(Sought::KindBefore, from..place.at) {
        let to = text.end_within(end, MANIFEST);
        if !is_secret(Sought::KindBehind, end..to) {
            return None;
        }
    }
    Some(Found {
        start,
        end,
        confidence: Confidence::Medium,
    })
}

/// `name: c2VjcmV0…`, the value perhaps on the next line.
fn entry_of(place: &Place<'_>, entry: usize, line_end: usize) -> Option<(usize, usize)> {
    let text = place.text;
    let name = text.run(entry, 64, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
    });
    if name == entry || text.at(name) != b':' {
        return None;
    }
    let mut value = text.run(name.wrapping_add(1), 8, |byte| {
        matches!(byte, b' ' | b'"' | b'\'')
    });
    if text.at(value) == b'|' && value.wrapping_add(1) >= line_end {
        value = text.run(line_end, 24, |byte| matches!(byte, b'\n' | b' ' | b'\t'));
    }
    let end = text.run_of(Base64, value, 8_000);
    let encoded = text.slice(value..end);
    let fits =
        encoded.len() >= 12 && encoded.len().is_multiple_of(4) && text.is_random(value..end, 25);
    fits.then_some((entry, end))
}

/// Where the first word from `from` on stands that says `secret` behind `kind:`.
fn first_secret(text: &[u8], from: usize) -> Option<usize> {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
    let starts = text.get(from..)?.iter().enumerate();
    starts
        .filter(|(_, byte)| **byte | 0x20 == b's')
        .filter_map(|(place, _)| text.split_at_checked(from.wrapping_add(place)))
        .find(|(before, rest)| {
            let word = rest.get(..SECRET.len());
            word.is_some_and(|word| word.eq_ignore_ascii_case(SECRET)) && {
                let blanks = before.iter().rev().take_while(|byte| blank(byte)).count();
                let named = before.len().wrapping_sub(blanks);
                before.get(..named).is_some_and(|to| to.ends_with(KIND))
            }
        })
        .map(|(before, _)| before.len())
}

/// `kind: Secret` on a line of its own.
fn is_secret(manifest: &[u8]) -> bool {
    let mut rest = manifest;
    while let Some((before, kind)) =
        first_in(rest, KIND).and_then(|place| rest.split_at_checked(place))
    {
        let blank = |byte: &u8| byte.is_ascii_whitespace() && *byte != b'\n';
        let before = before.iter().rev().find(|byte| !blank(byte));
        rest = kind.get(KIND.len()..).unwrap_or_default();
        if before.is_some_and(|byte| *byte != b'\n') {
            continue;
        }
        let kind = rest.split(|byte| *byte == b'\n').next();
        let kind = kind.unwrap_or_default().trim_ascii();
        let kind: &[u8] = kind
            .strip_prefix(b"\"")
            .and_then(|kind| kind.strip_suffix(b"\""))
            .unwrap_or(kind);
        let kind: &[u8] = kind
            .strip_prefix(b"'")
            .and_then(|kind| kind.strip_suffix(b"'"))
            .unwrap_or(kind);
        if kind.eq_ignore_ascii_case(SECRET) {
            return true;
        }
    }
    false
}
