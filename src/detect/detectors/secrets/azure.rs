//! Secrets of Microsoft Azure.

use crate::detect::entropy::{is_placeholder, shannon_entropy_tenths};
use crate::detect::scan::alphabet::Alphabet;
use crate::detect::scan::anchor::{Anchor, PreFilter};
use crate::detect::scan::names::KeyFilter;
use crate::detect::scan::probe::{Match, MatchSite, NamedValue};
use crate::detect::{Confidence, Detector, Doc, hit, miss};

pub(in crate::detect) static SECRET: Detector = Detector {
    name: "azure_secret",
    groups: &["secrets.cloud"],
    doc: Doc {
        finds: "Client secrets of Entra ID (`…8Q~…`, 37–40 characters), account keys of storage and Cosmos DB (88 characters of Base64 after `AccountKey`), shared access keys (44) and signatures (`sig=`), those of Logic Apps and of the workflows that Teams calls too; tokens of Azure DevOps (84 characters with `AZDO` in them).",
        misses: "Client secrets issued before 2021, which have no form.",
        source: "Microsoft Learn: Configure Azure Storage connection strings; Create a service SAS; credential scanning definitions",
    },
    reach: 120,
    context: &[],
    anchors: &[
        Anchor::Mixed(2..=40, PreFilter::ALWAYS.before(b"~"), client),
        Anchor::Mixed(84..=84, PreFilter::ALWAYS, devops),
        Anchor::Keyed(88..=88, KeyFilter::Any, account),
        Anchor::Keyed(44..=44, KeyFilter::Any, shared),
        Anchor::Word(&["sig="], signature),
    ],
    hits: &[
        hit(
            "https://prod-12.westeurope.logic.azure.com/workflows/1/triggers/manual/paths/invoke?sv=1.0&sig=6sQ2mXv9RkT1bZ0pWcYh4LdNf8JgUa3EoViKxHq_wPM",
            &["6sQ2mXv9RkT1bZ0pWcYh4LdNf8JgUa3EoViKxHq_wPM"],
        ),
        hit(
            concat!(
                "pat: 7xQmD2vKpL9sRtYw4ZbNc8HjFg3UaEo6VkXi1PqTzWnBs5CdMuJy",
                "JQQJ99BKACAAAAAAArohTAASAZDO4XyZ"
            ),
            &[concat!(
                "7xQmD2vKpL9sRtYw4ZbNc8HjFg3UaEo6VkXi1PqTzWnBs5CdMuJy",
                "JQQJ99BKACAAAAAAArohTAASAZDO4XyZ"
            )],
        ),
        hit(
            concat!("client_secret: .IQ8", "Q~79R7TOWOspFnWcEG-dYt4KXqFqxK16cxr"),
            &[concat!(".IQ8", "Q~79R7TOWOspFnWcEG-dYt4KXqFqxK16cxr")],
        ),
        hit(
            concat!(
                "AccountName=acme;AccountKey=gsceBorhOUI6rRH5HTZgMNk/sW/EuJYWFIbX",
                "gI+MmTltbIocPqM2I88jYUk0RC3M0yMBpbNuA7Z1j9y4bu6h9g==;"
            ),
            &[concat!(
                "gsceBorhOUI6rRH5HTZgMNk/sW/EuJYWFIbX",
                "gI+MmTltbIocPqM2I88jYUk0RC3M0yMBpbNuA7Z1j9y4bu6h9g=="
            )],
        ),
        hit(
            concat!(
                "the secret is q0J8",
                "Q~b0mBw_TDNV~cUZm73Oish64y2ZCEp5xfU today"
            ),
            &[concat!("q0J8", "Q~b0mBw_TDNV~cUZm73Oish64y2ZCEp5xfU")],
        ),
        hit(
            concat!(
                "?sv=2022-11-02&sig=T7j2QbUW",
                "mX0fSxGsoTLPp0vTMBBYIBxFEBYVDBnxLOo%3D"
            ),
            &[concat!(
                "T7j2QbUW",
                "mX0fSxGsoTLPp0vTMBBYIBxFEBYVDBnxLOo%3D"
            )],
        ),
    ],
    misses: &[
        miss(
            concat!("client_secret=bP88", "Q~xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            "a placeholder",
        ),
        miss(
            "http://www.2doc.nl/speel~VARA_101375237~mh17-het-verdriet-van-nederland~.html",
            "an address",
        ),
        miss("AccountKey=c2hvcnQ=", "too short"),
    ],
};

/// Finds three characters, a digit, `Q~`, and 31–34 more. The token that ends with the Q is at this place.
fn client(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    let q = place.end.checked_sub(1)?;
    if text.at(q) != b'Q' || !text.before(q).is_ascii_digit() {
        return None;
    }
    let part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'~' | b'-');
    let start = q.checked_sub(4)?;
    place.begins(start);
    let head = text.slice(start..q);
    let from = place.end.wrapping_add(1);
    let end = text.run(from, 40, part);
    let end = text.run_back(end, 1, |byte| byte == b'.');
    let body = text.slice(from..end);
    let fits = head.iter().all(|byte| part(*byte))
        && !text.before(start).is_ascii_alphanumeric()
        && (30..=36).contains(&body.len());
    (fits && shannon_entropy_tenths(body) >= 35 && !is_placeholder(body)).then_some(Match {
        start,
        end,
        confidence: Confidence::High,
    })
}

fn account(keyed: &NamedValue<'_>) -> Option<Match> {
    let names = [
        "accountkey",
        "account_key",
        "account-key",
        "access_key",
        "storage",
        "cosmos",
        "azure",
    ];
    encoded(keyed, &names)
}

fn shared(keyed: &NamedValue<'_>) -> Option<Match> {
    encoded(keyed, &["sharedaccesskey", "azure"])
}

/// Finds a value in Base64 whose name contains one of these parts.
fn encoded(keyed: &NamedValue<'_>, names: &[&str]) -> Option<Match> {
    let value = keyed.bytes();
    let encoded = value.ends_with(b"=") && value.iter().all(|byte| Alphabet::Base64.has(*byte));
    (encoded && names.iter().any(|name| keyed.names(name)) && shannon_entropy_tenths(value) >= 40)
        .then(|| keyed.found(Confidence::High))
}

/// Finds the signature of a shared access URL: 32 bytes in Base64.
fn devops(place: &MatchSite<'_>) -> Option<Match> {
    let token = place.text.slice(place.at..place.end);
    let signed = token.get(52..56) == Some(b"JQQJ") && token.get(76..80) == Some(b"AZDO");
    (signed && shannon_entropy_tenths(token) >= 35).then_some(Match {
        start: place.at,
        end: place.end,
        confidence: Confidence::High,
    })
}

fn signature(place: &MatchSite<'_>) -> Option<Match> {
    let text = place.text;
    if !matches!(text.before(place.at), b'&' | b'?') {
        return None;
    }
    place.begins(place.end);
    let end = text.run_of(Alphabet::Base64, place.end, 45);
    let value = text.slice(place.end..end);
    let padded = value.len() == 44 && value.ends_with(b"=");
    // The addresses of Logic Apps, which Teams calls, use the other alphabet.
    let (end, value) = if padded {
        (end, value)
    } else {
        let end = text.run_of(Alphabet::Base64Url, place.end, 45);
        (end, text.slice(place.end..end))
    };
    (padded || value.len() == 43).then_some(())?;
    (shannon_entropy_tenths(value) >= 40).then_some(Match {
        start: place.end,
        end,
        confidence: Confidence::High,
    })
}
