//! Tokens of GitHub.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::token_form::token;
use crate::detect::{Detector, Doc, hit, miss};

const TOKEN: &str = "[0-9a-zA-Z]{36}";

/// Those of installations and those that renew others are longer at times.
const LONG: &str = "[0-9a-zA-Z]{36,255}";

pub(in crate::detect) static TOKENS: Detector = Detector {
    name: "github_token",
    groups: &["secrets.code"],
    doc: Doc {
        finds: "`ghp_`, `gho_`, `ghu_`, `ghs_` and `ghr_` with 36 letters and digits, `github_pat_` with 82 letters, digits and underscores.",
        misses: "Tokens of forty hexadecimal digits, issued before April 2021.",
        source: "GitHub Docs, GitHub's token formats",
    },
    reach: 93,
    context: &[],
    anchors: &[Anchor::Beginning(&[
        token("ghp_", TOKEN).entropy(30),
        token("gho_", TOKEN).entropy(30),
        token("ghu_", TOKEN).entropy(30),
        token("ghs_", LONG).entropy(30),
        token("ghr_", LONG).entropy(30),
        token("github_pat_", "[0-9a-zA-Z_]{82}").entropy(30),
    ])],
    hits: &[
        hit(
            concat!(
                "\x1b[32m+\x1b[m\x1b[01;31m\x1b[Kgh",
                "s_IXKEtt2AAfOHNBFd0MTV25m0NSpVz96VgX6k\x1b[m\n+gh",
                "s_IXKEtt2AAfOHNBFd0MTV25m0NSpVz96VgX6j"
            ),
            &[
                concat!("gh", "s_IXKEtt2AAfOHNBFd0MTV25m0NSpVz96VgX6k"),
                concat!("gh", "s_IXKEtt2AAfOHNBFd0MTV25m0NSpVz96VgX6j"),
            ],
        ),
        hit(
            concat!("token gh", "s_IXKEtt2AAfOHNBFd0MTV25m0NSpVz96VgX6k expired"),
            &[concat!("gh", "s_IXKEtt2AAfOHNBFd0MTV25m0NSpVz96VgX6k")],
        ),
        hit(
            concat!(
                "https://x:gh",
                "u_Z8c47AwWftotpCkBHc2xdF12pVkz3JL3300e@github.com/a/b"
            ),
            &[concat!("gh", "u_Z8c47AwWftotpCkBHc2xdF12pVkz3JL3300e")],
        ),
        hit(
            concat!(
                "GITHUB_TOKEN=github",
                "_pat_QUp8DlPqbWwBzfJcg5fcAP_ZMh9Jn92tJ1VK5E53UovVks0bYdPZ62NIAu7dzNFjRvTeEgT9tYEnzBbIJu"
            ),
            &[concat!(
                "github",
                "_pat_QUp8DlPqbWwBzfJcg5fcAP_ZMh9Jn92tJ1VK5E53UovVks0bYdPZ62NIAu7dzNFjRvTeEgT9tYEnzBbIJu"
            )],
        ),
    ],
    misses: &[
        miss(
            concat!("gh", "p_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            "a placeholder",
        ),
        miss("foo_wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx", "another prefix"),
        miss(
            concat!("gh", "p_wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINU"),
            "35 characters",
        ),
    ],
};
