//! Tokens of platforms, each with a detector of its own.

use crate::detect::entropy::{is_placeholder, makeup, shannon_entropy_tenths};
use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::probe::{Match, MatchSite};
use crate::detect::scan::token_form::token;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

const HEX_64: &str = "[0-9a-f]{64}";
const HEX_32: &str = "[0-9a-fA-F]{32}";

pub(in crate::detect) static SQUARE: Detector = Detector {
    name: "square_token",
    groups: &["secrets.payment"],
    doc: Doc {
        finds: "`sq0atp-` and `sq0csp-` with 22–60 characters, `EAAA` with 22–60 characters.",
        misses: "Application ids.",
        source: "Square Developer, Access tokens",
    },
    reach: 70,
    context: &[],
    anchors: &[Anchor::Beginning(&[
        token("sq0atp-", "[0-9a-zA-Z_-]{22,60}"),
        token("sq0csp-", "[0-9a-zA-Z_-]{22,60}").entropy(0),
        token("EAAA", "[0-9a-zA-Z_-]{22,60}").entropy(40),
    ])],
    hits: &[
        hit(
            concat!("\"sq0", "atp-VXXr2TDwMMsbEKyDceZA42oxdYhSf7IS1ZMarAE0fq\""),
            &[concat!(
                "sq0",
                "atp-VXXr2TDwMMsbEKyDceZA42oxdYhSf7IS1ZMarAE0fq"
            )],
        ),
        hit(
            concat!("key: EAA", "As4pBtr1pxi8Br_6dg6Kk6gWcCLI-aDL2Jq7wpEgWZXs\n"),
            &[concat!(
                "EAA",
                "As4pBtr1pxi8Br_6dg6Kk6gWcCLI-aDL2Jq7wpEgWZXs"
            )],
        ),
        hit(
            concat!(
                "oauth = sq0",
                "csp-ABCDEFGHIJK_LMNOPQRSTUVWXYZ-0123456789abc"
            ),
            &[concat!(
                "sq0",
                "csp-ABCDEFGHIJK_LMNOPQRSTUVWXYZ-0123456789abc"
            )],
        ),
    ],
    misses: &[
        miss(
            "aws-cli@sha256:eaaa7b11777babe28e6133a8b19ff71cea687e0d7f05158dee95a71f76ce3d00",
            "a hash",
        ),
        miss(concat!("sq0", "atp-short"), "too short"),
        miss(
            "AQ+EAAAs4pBtr1pxi8Br_6dg6Kk6gWcCLI-aDL2Jq7wpEgWZXs",
            "within a run of Base64",
        ),
    ],
};

pub(in crate::detect) static SHOPIFY: Detector = Detector {
    name: "shopify_token",
    groups: &["secrets.payment"],
    doc: Doc {
        finds: "`shpat_`, `shpca_`, `shppa_`, `shpua_` and `shpss_` with 32 hexadecimal digits.",
        misses: "Older tokens without a prefix.",
        source: "Shopify changelog, Length of the shared secret and access tokens",
    },
    reach: 38,
    context: &[],
    anchors: &[Anchor::Beginning(&[
        token("shpat_", HEX_32).entropy(20),
        token("shpca_", HEX_32).entropy(20),
        token("shppa_", HEX_32).entropy(20),
        token("shpua_", HEX_32).entropy(20),
        token("shpss_", HEX_32).entropy(20),
    ])],
    hits: &[
        hit(
            concat!("shp", "ca_4B0893d7bcfC5AF4fCAcb6e84A2D2e59"),
            &[concat!("shp", "ca_4B0893d7bcfC5AF4fCAcb6e84A2D2e59")],
        ),
        hit(
            concat!("| shp", "pa_DA0CAF33D47dacd944Da3Ce9BF86d3D8 |"),
            &[concat!("shp", "pa_DA0CAF33D47dacd944Da3Ce9BF86d3D8")],
        ),
        hit(
            concat!("token=shp", "at_4f4d58ac2ee011a5245b059e81f3bbc3;"),
            &[concat!("shp", "at_4f4d58ac2ee011a5245b059e81f3bbc3")],
        ),
    ],
    misses: &[
        miss(
            concat!("shp", "at_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            "a placeholder",
        ),
        miss(
            concat!("shp", "at_4f4d58ac2ee011a5245b059e81f3bbc"),
            "31 digits",
        ),
        miss(
            concat!("shp", "zz_4f4d58ac2ee011a5245b059e81f3bbc3"),
            "another prefix",
        ),
    ],
};

pub(in crate::detect) static DIGITALOCEAN: Detector = Detector {
    name: "digitalocean_token",
    groups: &["secrets.cloud"],
    doc: Doc {
        finds: "`dop_v1_`, `doo_v1_` and `dor_v1_` with 64 small hexadecimal digits.",
        misses: "Older tokens without a prefix; keys of Spaces.",
        source: "DigitalOcean blog, new API token formats",
    },
    reach: 71,
    context: &[],
    anchors: &[Anchor::Beginning(&[
        token("dop_v1_", HEX_64).entropy(30),
        token("doo_v1_", HEX_64).entropy(30),
        token("dor_v1_", HEX_64).entropy(30),
    ])],
    hits: &[
        hit(
            concat!(
                "dop",
                "_v1_bbc0e6f55559c213870edb10f993078c87c193549a6a7f705de9fb653f5be5a4"
            ),
            &[concat!(
                "dop",
                "_v1_bbc0e6f55559c213870edb10f993078c87c193549a6a7f705de9fb653f5be5a4"
            )],
        ),
        hit(
            concat!(
                "\"doo",
                "_v1_7a8d717c84f91608efa4e1425943e8e095bd9c6773d3e776d27d536510b7957b\""
            ),
            &[concat!(
                "doo",
                "_v1_7a8d717c84f91608efa4e1425943e8e095bd9c6773d3e776d27d536510b7957b"
            )],
        ),
        hit(
            concat!(
                "T=dor",
                "_v1_58474617b81acf6b11d9069330b0c337ea653431734b8f5f3699bc43947b638e\n"
            ),
            &[concat!(
                "dor",
                "_v1_58474617b81acf6b11d9069330b0c337ea653431734b8f5f3699bc43947b638e"
            )],
        ),
    ],
    misses: &[
        miss(concat!("dop", "_v1_bbc0e6f5"), "too short"),
        miss(
            concat!(
                "dop",
                "_v1_0000000000000000000000000000000000000000000000000000000000000000"
            ),
            "no variety",
        ),
        miss(
            concat!(
                "dop",
                "_v2_bbc0e6f55559c213870edb10f993078c87c193549a6a7f705de9fb653f5be5a4"
            ),
            "another version",
        ),
    ],
};

pub(in crate::detect) static DATABRICKS: Detector = Detector {
    name: "databricks_token",
    groups: &["secrets.cloud"],
    doc: Doc {
        finds: "`dapi` and 32 small hexadecimal digits, perhaps with `-` and a digit.",
        misses: "OAuth secrets (`dose`).",
        source: "Databricks documentation, personal access token authentication",
    },
    reach: 39,
    context: &[],
    anchors: &[Anchor::Beginning(&[token(
        "dapi",
        "[0-9a-f]{32}(-[0-9]{0,2})?",
    )])],
    hits: &[
        hit(
            concat!("| dap", "i01d413b4c0af0a068df84b670ca23789 |"),
            &[concat!("dap", "i01d413b4c0af0a068df84b670ca23789")],
        ),
        hit(
            concat!("use dap", "i38b1a99032e8f6f54671020fce787140-1 to"),
            &[concat!("dap", "i38b1a99032e8f6f54671020fce787140-1")],
        ),
        hit(
            concat!("\"dap", "i03f577350f56db2359cc4655f0e1bb49\""),
            &[concat!("dap", "i03f577350f56db2359cc4655f0e1bb49")],
        ),
    ],
    misses: &[
        miss(concat!("dap", "i123"), "too short"),
        miss("dapibus", "a Latin word"),
        miss(
            concat!("dap", "i00000000000000000000000000000000"),
            "no variety",
        ),
    ],
};

pub(in crate::detect) static GRAFANA: Detector = Detector {
    name: "grafana_token",
    groups: &["secrets.cloud"],
    doc: Doc {
        finds: "`glsa_` (service accounts), `glc_` (cloud), and keys that begin with `eyJrIjoi`.",
        misses: "Names of programs with the same prefix.",
        source: "Grafana documentation, service account tokens; Grafana Cloud access policies",
    },
    reach: 420,
    context: &[],
    anchors: &[Anchor::Beginning(&[
        token("glsa_", "[0-9a-zA-Z]{32}_[0-9a-fA-F]{8}").entropy(30),
        token("glc_", "[0-9a-zA-Z+/=]{32,400}").entropy(30),
        token("eyJrIjoi", "[0-9a-zA-Z+/=]{70,400}").entropy(30),
    ])],
    hits: &[
        hit(
            concat!("Bearer gl", "sa_pITqMOBIfNH2KL4PkXJqmTyQl0D9QGxF_486f63e1'"),
            &[concat!(
                "gl",
                "sa_pITqMOBIfNH2KL4PkXJqmTyQl0D9QGxF_486f63e1"
            )],
        ),
        hit(
            concat!(
                "use gl",
                "c_3mbq2Qp/W+27//42ik0ZrpQPV10HB0e50WnPEHpSn3fJ5xN6vCUyxpj to"
            ),
            &[concat!(
                "gl",
                "c_3mbq2Qp/W+27//42ik0ZrpQPV10HB0e50WnPEHpSn3fJ5xN6vCUyxpj"
            )],
        ),
        hit(
            concat!(
                "\"eyJrIjoi",
                "arb9agttlvkcdtwi5t87h9t8srgqt0pqbwivby4b3eas1cmyxe7v60nhn59u37g4htx7hg\""
            ),
            &[concat!(
                "eyJrIjoi",
                "arb9agttlvkcdtwi5t87h9t8srgqt0pqbwivby4b3eas1cmyxe7v60nhn59u37g4htx7hg"
            )],
        ),
    ],
    misses: &[
        miss(
            concat!("gl", "c_111111111111111111111111111111111111111111="),
            "no variety",
        ),
        miss(
            "static void GLC_CreateLightmapTextureArray(void);",
            "a name",
        ),
        miss(
            concat!("gl", "sa_pITqMOBIfNH2KL4PkXJqmTyQl0D9QGxF"),
            "no checksum",
        ),
    ],
};

pub(in crate::detect) static HASHICORP: Detector = Detector {
    name: "hashicorp_token",
    groups: &["secrets.cloud"],
    doc: Doc {
        finds: "Vault's `hvs.`, `hvb.`, `hvr.` and `s.` tokens, Terraform Cloud's `….atlasv1.…`.",
        misses: "Names such as `s.something`, which have no digits.",
        source: "HashiCorp Vault documentation, tokens; Terraform Cloud API tokens",
    },
    reach: 320,
    context: &[],
    anchors: &[
        Anchor::Beginning(&[
            token("hvs.", "[0-9a-zA-Z_-]{90,130}").entropy(35),
            // A root token, and those that Vault stores itself.
            token("hvs.", "[0-9a-zA-Z]{24}").entropy(35),
            token("hvr.", "[0-9a-zA-Z_-]{90,300}").entropy(35),
            token("hvb.", "[0-9a-zA-Z_-]{130,300}").entropy(35),
        ]),
        Anchor::Mixed(24..=24, PreFilter::ALWAYS, vault),
        Anchor::Mixed(14..=14, PreFilter::ALWAYS, terraform),
    ],
    hits: &[
        hit(
            concat!("token = \"s", ".4EqMIGRipzpSFlafc0Bir4bI\""),
            &[concat!("s", ".4EqMIGRipzpSFlafc0Bir4bI")],
        ),
        hit(
            concat!("vault login hv", "s.6j4cuewowBGit65rheNoceI7"),
            &[concat!("hv", "s.6j4cuewowBGit65rheNoceI7")],
        ),
        hit(
            concat!(
                "hv",
                "s.25EsAmU_xbdNfTZ_7pax84oVrY-pxRqIrU7ogMJQoWY6FG1R-OIuVl6hEXtzlp_sobnVVmVKFb1b9rdYXKqEUhJ9hr"
            ),
            &[concat!(
                "hv",
                "s.25EsAmU_xbdNfTZ_7pax84oVrY-pxRqIrU7ogMJQoWY6FG1R-OIuVl6hEXtzlp_sobnVVmVKFb1b9rdYXKqEUhJ9hr"
            )],
        ),
        hit(
            concat!(
                "'06e3cf3d91f235",
                ".atlasv1.817fou02itnlu_expthtf3boisk=5_8mdxvv1fyuh_d4cx3_mz2maocitou2k886t'"
            ),
            &[concat!(
                "06e3cf3d91f235",
                ".atlasv1.817fou02itnlu_expthtf3boisk=5_8mdxvv1fyuh_d4cx3_mz2maocitou2k886t"
            )],
        ),
    ],
    misses: &[
        miss("s.thisstringisalllowercase", "no digits"),
        miss("s.makeKubeConfigController = args", "a name"),
        miss("this.34925esrt60n80izkvev6u89", "not a lone s"),
    ],
};

pub(in crate::detect) static JFROG: Detector = Detector {
    name: "jfrog_token",
    groups: &["secrets.package"],
    doc: Doc {
        finds: "`AKCp` and 69 letters and digits, `cmVmd` and 59: API keys and reference tokens of Artifactory.",
        misses: "Shorter encrypted passwords (`AP…`).",
        source: "JFrog documentation, access tokens; secret scanning partner patterns",
    },
    reach: 73,
    context: &[],
    anchors: &[Anchor::Beginning(&[
        token("AKCp", "[0-9a-zA-Z]{69}").entropy(35),
        token("cmVmd", "[0-9a-zA-Z]{59}").entropy(35),
    ])],
    hits: &[
        hit(
            concat!(
                "T=cmV",
                "mdlJiLPNertggkxKqoxvWAXD2CaQv8l2vmWfyrDGKhQCAwda2QxHFfuFnizlI\n"
            ),
            &[concat!(
                "cmV",
                "mdlJiLPNertggkxKqoxvWAXD2CaQv8l2vmWfyrDGKhQCAwda2QxHFfuFnizlI"
            )],
        ),
        hit(
            concat!(
                "\"AKC",
                "pwidDXuQWvL3XrfZrno3igf3oUPDiLzKhxPeaLGr05Z8pGjiEMLWeVVVg6RHC5TqEjkT8t\""
            ),
            &[concat!(
                "AKC",
                "pwidDXuQWvL3XrfZrno3igf3oUPDiLzKhxPeaLGr05Z8pGjiEMLWeVVVg6RHC5TqEjkT8t"
            )],
        ),
        hit(
            concat!(
                "| cmV",
                "mdjKQ3u59pL8D5rYD7asVeJollyrAs7sDL5BnXQBg3CCDwm93vyQllE8qXR9i |"
            ),
            &[concat!(
                "cmV",
                "mdjKQ3u59pL8D5rYD7asVeJollyrAs7sDL5BnXQBg3CCDwm93vyQllE8qXR9i"
            )],
        ),
    ],
    misses: &[
        miss(
            concat!("cmV", "mdon6vynbf3ybkqt4h3dsp77571vs712h0ceghgh91hxskx36hs"),
            "too short",
        ),
        miss(
            concat!(
                "cmV",
                "Mdw1fyxw8pcbkkhokopvv5443xxurr2z4zrcrunueyictvnzaysd7un5u9s03"
            ),
            "another beginning",
        ),
        miss("testAKCwithinsomeirrelevantstring", "within a word"),
    ],
};

/// Finds a service token of Vault before 1.10: `s.` and 24 characters, which are at this place.
fn vault(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let start = place.at.checked_sub(2)?;
    place.begins(start);
    if !text.precedes(place.at, "s.")
        || text.at(start) != b's'
        || matches!(text.before(start), b'.' | b'_' | b'-' | b'$')
        || text.before(start).is_ascii_alphanumeric()
    {
        return None;
    }
    let token = text.slice(place.at..place.end);
    let fits = makeup(token).digits >= 2
        && shannon_entropy_tenths(token) >= 35
        && !is_placeholder(token)
        && !matches!(text.at(place.end), b'(' | b'_');
    fits.then_some(Match {
        start,
        end: place.end,
        confidence: Confidence::High,
    })
}

/// Fourteen characters, `.atlasv1.`, and 60–70 more.
fn terraform(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    if !text.follows(place.end, ".atlasv1.") {
        return None;
    }
    let from = place.end.wrapping_add(9);
    let end = text.run_of(Alphabet::Base64UrlPadded, from, 72);
    let fits = (60..=71).contains(&end.wrapping_sub(from))
        && shannon_entropy_tenths(text.slice(from..end)) >= 35;
    fits.then_some(Match {
        start: place.at,
        end,
        confidence: Confidence::High,
    })
}
