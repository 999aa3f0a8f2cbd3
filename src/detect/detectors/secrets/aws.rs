//! Keys of Amazon Web Services.

use crate::detect::entropy::{is_placeholder, makeup, shannon_entropy_tenths};
use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::anchor::Anchor;
use crate::detect::scan::names::KeyFilter;
use crate::detect::scan::probe::{Match, NamedValue};
use crate::detect::scan::token_form::token;
use crate::detect::{Confidence, Detector, Doc, hit, miss};

const ID: &str = "[A-Z2-7]{16}";

pub(in crate::detect) static ACCESS_KEY: Detector = Detector {
    name: "aws_access_key",
    groups: &["secrets.cloud"],
    doc: Doc {
        finds: "`AKIA`, `ASIA`, `ABIA`, `ACCA` or `A3T` and a character, and sixteen capitals and digits 2–7.",
        misses: "Ids of users, roles and policies (`AIDA`, `AROA` …), which open nothing; keys of Amazon's documentation.",
        source: "AWS IAM User Guide, IAM identifiers, unique IDs",
    },
    reach: 20,
    context: &[],
    anchors: &[Anchor::Beginning(&[
        token("AKIA", ID),
        token("ASIA", ID),
        token("ABIA", ID),
        token("ACCA", ID),
        token("A3T", "[0-9A-Z]{17}"),
    ])],
    hits: &[
        hit(
            concat!("the key AK", "IASKGHGQ4PU6B3OUNQ was leaked"),
            &[concat!("AK", "IASKGHGQ4PU6B3OUNQ")],
        ),
        hit(
            concat!("AWS_ACCESS_KEY_ID=AS", "IARX6V3MXGITP33CBN"),
            &[concat!("AS", "IARX6V3MXGITP33CBN")],
        ),
        hit(
            concat!("AWSToken = \"AB", "IA3N3I4KR4XNJQI7LI\""),
            &[concat!("AB", "IA3N3I4KR4XNJQI7LI")],
        ),
    ],
    misses: &[
        miss(
            concat!("AK", "IAIOSFODNN7EXAMPLE"),
            "the documentation's key",
        ),
        miss(concat!("SAK", "IAJ234567ABCDEFGHI"), "begins within a word"),
        miss(concat!("ak", "iaskghgq4pu6b3ounq"), "small letters"),
        miss(concat!("AK", "IASKGHGQ4PU6B3OUN"), "fifteen characters"),
    ],
};

pub(in crate::detect) static SECRET_KEY: Detector = Detector {
    name: "aws_secret_key",
    groups: &["secrets.cloud"],
    doc: Doc {
        finds: "Forty characters of Base64 after a name with `secret` or `aws` in it.",
        misses: "Keys without such a name: forty characters have no form of their own. Forty hexadecimal digits, which are a hash.",
        source: "AWS IAM User Guide, Manage access keys",
    },
    reach: 40,
    context: &[],
    anchors: &[Anchor::Keyed(40..=40, KeyFilter::Any, secret)],
    hits: &[
        hit(
            "my aws secret access key: Ut9Efi2lPjYKmy8iFgny1NCeQ06rEdciIeO/RgBq",
            &["Ut9Efi2lPjYKmy8iFgny1NCeQ06rEdciIeO/RgBq"],
        ),
        hit(
            concat!(
                "AWS_SECRET_ACCESS_KEY=Ut9Efi2lPjYKmy8iFgny",
                "1NCeQ06rEdciIeO/RgBq"
            ),
            &[concat!("Ut9Efi2lPjYKmy8iFgny", "1NCeQ06rEdciIeO/RgBq")],
        ),
        hit(
            concat!(
                "\"SecretAccessKey\": \"f755LnGIft6SRxRn4vaJ",
                "SRxVs/HhfGtVFQStdvA2\","
            ),
            &[concat!("f755LnGIft6SRxRn4vaJ", "SRxVs/HhfGtVFQStdvA2")],
        ),
        hit(
            concat!(
                "export aws_secret='fOePb6uh4+RURz/5airh",
                "zTn/akLtnlTcIhouRk5v'"
            ),
            &[concat!("fOePb6uh4+RURz/5airh", "zTn/akLtnlTcIhouRk5v")],
        ),
    ],
    misses: &[
        miss(
            concat!(
                "aws_secret = \"wJalrXUtnFEMI/K7MDENG/bPxR",
                "fiCYEXAMPLEKEY\""
            ),
            "the documentation's key",
        ),
        miss(
            "aws_secret = \"da39a3ee5e6b4b0d3255bfef95601890afd80709\"",
            "a SHA-1 hash",
        ),
        miss(
            "name = \"Ut9Efi2lPjYKmy8iFgny1NCeQ06rEdciIeO/RgBq\"",
            "the name is not one of a secret",
        ),
    ],
};

fn secret(keyed: &NamedValue<'_>) -> Option<Match> {
    let value = keyed.bytes();
    let named = || {
        let before = |words| keyed.place.text.precedes(keyed.name_at, words);
        keyed.names("aws") || keyed.names("secret") || before("aws ") || before("secret access ")
    };
    if !named() || !value.iter().all(|byte| Alphabet::Base64.has(*byte)) {
        return None;
    }
    let kinds = makeup(value);
    let mixed = kinds.capitals > 3 && kinds.smalls > 3;
    if !mixed || shannon_entropy_tenths(value) < 40 || is_placeholder(value) {
        return None;
    }
    Some(keyed.found(Confidence::High))
}
