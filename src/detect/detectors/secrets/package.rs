//! Tokens of package registries.

use crate::detect::entropy::is_placeholder;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::names::KeyFilter;
use crate::detect::scan::probe::{Match, NamedValue};
use crate::detect::scan::token_form::token;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(in crate::detect) static NPM: Detector = Detector {
    name: "npm_token",
    groups: &["secrets.package"],
    doc: Doc {
        finds: "`npm_` and 36 letters and digits; the UUID after `//registry/:_authToken=` in `.npmrc`.",
        misses: "A UUID without the registry in front of it.",
        source: "npm Docs, About access tokens; GitHub blog, npm has a new access token format",
    },
    reach: 40,
    context: &[],
    anchors: &[
        Anchor::Beginning(&[token("npm_", "[0-9a-zA-Z]{36}").entropy(30)]),
        Anchor::Keyed(36..=36, KeyFilter::Any, npmrc),
    ],
    hits: &[
        hit(
            concat!("TOKEN=npm", "_hwt79fr6p36uaydft2z7x1u8ufjftytfd5m5\n"),
            &[concat!("npm", "_hwt79fr6p36uaydft2z7x1u8ufjftytfd5m5")],
        ),
        hit(
            "//registry.npmjs.org/:_authToken=346a14f2-a672-4668-a892-956a462ab56e",
            &["346a14f2-a672-4668-a892-956a462ab56e"],
        ),
        hit(
            "//registry.npmjs.org/:_authToken= 743b294a-cd03-11ec-9d64-0242ac120002",
            &["743b294a-cd03-11ec-9d64-0242ac120002"],
        ),
    ],
    misses: &[
        miss(
            "//registry.npmjs.org/:_authToken=${NPM_TOKEN}",
            "a reference",
        ),
        miss(
            "_authToken=743b294a-cd03-11ec-9d64-0242ac120002",
            "no registry",
        ),
        miss(
            concat!("npm", "_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            "a placeholder",
        ),
    ],
};

pub(in crate::detect) static PYPI: Detector = Detector {
    name: "pypi_token",
    groups: &["secrets.package"],
    doc: Doc {
        finds: "`pypi-`, the Base64 of a macaroon for pypi.org or test.pypi.org, and 50 or more characters.",
        misses: "Tokens of other indexes.",
        source: "PyPI help, API tokens; RFC-style macaroon format of pypitoken",
    },
    reach: 1_100,
    context: &[],
    anchors: &[Anchor::Beginning(&[
        token("pypi-AgEIcHlwaS5vcmc", "[0-9a-zA-Z_-]{50,1000}").entropy(30),
        token("pypi-AgENdGVzdC5weXBpLm9yZw", "[0-9a-zA-Z_-]{50,1000}").entropy(30),
    ])],
    hits: &[
        hit(
            concat!(
                "pypi",
                "-AgEIcHlwaS5vcmcg_sWosfXiMlpwfUcDVbBnBMlFB-zbLKoluojqzzHMpZly1mNLokSE3j6HJ7D-A1zZHlc4WjJ\nnpm"
            ),
            &[concat!(
                "pypi",
                "-AgEIcHlwaS5vcmcg_sWosfXiMlpwfUcDVbBnBMlFB-zbLKoluojqzzHMpZly1mNLokSE3j6HJ7D-A1zZHlc4WjJ"
            )],
        ),
        hit(
            concat!(
                "\"pypi",
                "-AgENdGVzdC5weXBpLm9yZwIkN2YxOWZhOWEtY2FjYS00MGZhLTj2MGEtODFjMnE2MjdmMzY0AAIqWzMsImJl\""
            ),
            &[concat!(
                "pypi",
                "-AgENdGVzdC5weXBpLm9yZwIkN2YxOWZhOWEtY2FjYS00MGZhLTj2MGEtODFjMnE2MjdmMzY0AAIqWzMsImJl"
            )],
        ),
        hit(
            concat!(
                "X-Token: pypi",
                "-AgEIcHlwaS5vcmc_hLfBpjBP8S_ygXEJwV81nJY_jfdWiM9X0q0ujfhQaf34Mub6iYV_Yt9L4l"
            ),
            &[concat!(
                "pypi",
                "-AgEIcHlwaS5vcmc_hLfBpjBP8S_ygXEJwV81nJY_jfdWiM9X0q0ujfhQaf34Mub6iYV_Yt9L4l"
            )],
        ),
    ],
    misses: &[
        miss("pypi-AgEIcHlwaS5vcmc", "nothing follows"),
        miss(
            "pip install pypi-timemachine-of-a-very-long-name-that-is-longer-than-fifty-characters",
            "a package",
        ),
        miss("pypi-token", "a name"),
    ],
};

/// `//registry/:_authToken=UUID`
fn npmrc(keyed: &NamedValue<'_>) -> Option<Match> {
    let text = keyed.place.text;
    let value = keyed.bytes();
    let digit = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    if keyed.name != b"_authToken"
        || !value.iter().all(digit)
        || is_placeholder(value)
        || !text.precedes(keyed.name_at, "/:")
    {
        return None;
    }
    let host_end = keyed.name_at.saturating_sub(2);
    let host = text.run_back(host_end, 128, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'_')
    });
    (host < host_end && text.precedes(host, "//")).then(|| keyed.found(Confidence::High))
}
