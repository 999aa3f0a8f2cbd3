//! Keys of Stripe.

use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::token_form::token;
use crate::detect::{Detector, Doc, hit, miss};

const KEY: &str = "[0-9a-zA-Z]{10,120}";

pub(in crate::detect) static KEYS: Detector = Detector {
    name: "stripe_key",
    groups: &["secrets.payment"],
    doc: Doc {
        finds: "Secret and restricted keys: `sk_` and `rk_` with `live_`, `test_` or `prod_` and ten or more letters and digits; webhook secrets `whsec_`.",
        misses: "Publishable keys (`pk_`), which are no secret.",
        source: "Stripe Docs, API keys",
    },
    reach: 130,
    context: &[],
    anchors: &[Anchor::Beginning(&[
        token("sk_live_", KEY),
        token("sk_test_", KEY),
        token("sk_prod_", KEY),
        token("sk_org_live_", KEY),
        token("sk_org_test_", KEY),
        token("rk_live_", KEY),
        token("rk_test_", KEY),
        token("rk_prod_", KEY),
        token("whsec_", "[0-9a-zA-Z+/=]{32,64}").entropy(35),
    ])],
    hits: &[
        hit(
            concat!(
                "use sk",
                "_live_4GbSdljjfw2Tq57SCG0DmosixsWqTYpx for the refund"
            ),
            &[concat!("sk", "_live_4GbSdljjfw2Tq57SCG0DmosixsWqTYpx")],
        ),
        hit(
            concat!("{\"key\":\"rk", "_test_WB4v6QRC9jzIuBUzEZdsXK3aM\"}"),
            &[concat!("rk", "_test_WB4v6QRC9jzIuBUzEZdsXK3aM")],
        ),
        hit(
            concat!("sk", "_prod_AmdLCXyoa25XjY4c"),
            &[concat!("sk", "_prod_AmdLCXyoa25XjY4c")],
        ),
    ],
    misses: &[
        miss(
            concat!("pk", "_live_j5krY8XTgIcDaHDb3YrsAfCl"),
            "a publishable key",
        ),
        miss(concat!("sk", "_live_"), "nothing follows"),
        miss("task_test_WB4v6QRC9jzIuBUzEZdsXK3aM", "another word"),
    ],
};
