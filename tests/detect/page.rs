//! The reference of all detectors, made of what their files say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use agentguard::detect::{Confidence, DETECTORS, Detector, Selection, Validator};

use super::injection;
use super::judge::{Counts, Verdict};
use super::score::{is_secret, verdict};

const INTRO: &str = "\
# Detectors

This page is made of the detectors' own files (`src/detect/detectors/`) and of a run over the labelled texts in
`tests/detect/`; a test fails when it is out of date (`UPDATE_DOCS=1 cargo test --test detect` writes it anew).

```yaml
when: { text: { detects: [credit_card, secrets] } }                     # names or groups, at medium confidence
when: { text: { detects: { types: [pii, payment], confidence: high } } }
```

## How something is found

One pass over the text finds places that a detector is anchored at: runs of digits, a known beginning such as `AKIA`, an
`@`, the name of a secret. What stands there must have the form, pass its check digit if there is one, and not be part
of something longer. Nothing is learned from examples, nothing is sent anywhere, and the same text always has the same
findings.

**Confidence.** `high`: the form is unmistakable, or form, check and a word before the value agree. `medium`: form and
check, or form and word. `low`: the form alone. `detects` asks for `medium` unless it says otherwise.

**Words.** Each detector knows words that stand before its values, in several languages. They count up to six words and
80 bytes before the value, in the same paragraph or object, and also as the key or column that the text stands under.
Words behind a value don't count: in a stream they have not come yet.

**Tables.** The name of a column counts as a word before every value below it, however far: in lines with commas,
semicolons, tabs or pipes under a line of names, with the rules that Markdown, psql and MySQL draw; in the rows of
`INSERT INTO t (a, b) VALUES (…), (…)` and `COPY t (a, b) FROM stdin`; in a list of values under one such name. In a
column that is called `password`, `API key`, `client_secret`, `пароль` a value is evaluated as after `name:`, but not in a
list. Names have at most 40 bytes and six words each, and one of them must say something; the first 256 columns count.
Two words may stand before a value in its cell, none in the first cell of a line that begins without a pipe. A table ends
at an empty line, at a line without separators, at the third line in a row with another number of cells, and at its first
line if that has another number. A line break within quotes is the end of a row in CSV, of which the rest is not under
its names; the rows behind it are. A text with more than 2,000 such lines of names, lists aside, counts as one that could
not be read.

**Data.** In arguments of calls, in results of tools and in what else is structured, a value goes by its key, and by what says
elsewhere what it is: its column (`{\"columns\": [\"id\", \"ssn\"], \"rows\": [[1, \"…\"]]}`, columns as objects with a name, names in
the first row), the name beside it (`{\"name\": \"API_KEY\", \"value\": \"…\"}`, `label` and `answer`, `key`, `field`, `type`, in any
order), the key over an object that is only about it (`{\"ssn\": {\"value\": \"…\"}}`, `{\"account\": {\"number\": \"…\"}}`) or over a list. The
same holds in a text of a request and in a result of a tool where it is JSON, with up to 1,024 bytes of prose around it, and for
tables and lists of HTML there (`<th>` over or before `<td>`, `<dt>` before `<dd>`, `<field name=\"…\">`) where its first tag stands
in the first 1,024 bytes; not in texts of answers, which may come in pieces. Names have at most 80 bytes, tables at most 256
columns; a value that is found by such a name has at most 640 bytes. A number such as `123456789.0` is read as a whole one. Keys
have no names: what is found in one is found without.

**Disguises.** Text is searched as a reader sees it: full-width, circled, squared, parenthesised, mathematical and
superscript characters, small capitals, letters with strokes and hooks or turned, digits of other scripts, letters that look
Latin, accents, zero-width and other hidden characters, bidi controls, tag characters (as words of their own, as letters of
the words around them, and as nothing), regional indicators (as letters, and as a flag between two words), exotic spaces, HTML entities, percent escapes, `\\u`, `\\x` and JSON's other escapes, and the sequences that colour a text in a terminal (`ESC [ 31 m`) are undone first, and a finding is
always given in the bytes as they came; escapes that are written in escapes (`%2534`, `&amp;#52;`) too. What looks like an
escape and is none (`\\forbidden`, `%4111 1111 …`) is read as it is written as well. What is written
one character at a time (`4 1 1 1 …`, `1 2 3 - 4 5 - 6 7 8 9`, with up to three separators between two of them and 240
bytes in all) is read without its separators as well. Runs of Base64 and hexadecimal digits, sixteen or more in a row, are decoded and
looked into, two levels deep, if the policy asks for it; a finding there is the whole run. Between the words of a phrase any
white space may stand, of any length. Not undone: other spellings (leet, ROT13 and reversed words are known in phrases of
`instruction_override` only; words for digits), marks of Markdown and HTML within a value, other ciphers, other encodings.

**Samples.** A token or key that has its form and says that it is a sample (`AKIA…EXAMPLE`, a word such as `dummy` in it)
is found with low confidence, as it is behind its name; so is the header of a private key without a key. For redaction
medium is right; ask for `low` where even samples mustn't pass.

**Streams.** A text in pieces has the findings of the whole. What may still become a finding is held back: at most the
reach that stands beside each detector, in characters, or 240 of what is written one character at a time. A match of a detector of your own that has begun and is longer than
its `reach` (4,096 where neither that nor the pattern sets an end) is a finding however it goes on: nothing of it leaves, and
all that follows in this text belongs to it.

**Split texts.** What a reader joins is seen as one: the parts of a message, messages of one author in a row, texts of an answer between
two calls, and its thoughts. Their ends (512 bytes of each) are looked at together, as they follow one another and with a space between
them. So are the texts of `contains` rules; those shorter than 8 bytes only with a space, and patterns not. In a stream, the first
has left before the next begins: what goes on there is removed, or the stream is denied.

**Bounds.** Work is linear in the text, and counted: a text that costs many times as much as others of its length is refused
(AG2015, see [what inspecting may cost](policy.md#what-inspecting-may-cost)). In one exchange detectors look at `inspect.max_text` (4 MiB) of text at most; an
exchange with more is refused as too large (AG2004), or passes with that in its coverage where a rule allows AG2004. A text
has at most 50,000 findings: with more, rules that restrict hold, and what can't be redacted completely is refused.
";

fn percent(thousandths: usize) -> String {
    format!("{}.{}", thousandths / 10, thousandths % 10)
}

/// A sample as it can be shown: characters that are not shown are written as escapes, secrets are cut.
fn shown(text: &str, is_secret: bool) -> String {
    let mut shown = String::new();
    let mut run = 0;
    for c in text.chars() {
        let part_of_token = c.is_ascii_alphanumeric() || "+/_-=".contains(c);
        run = if part_of_token { run + 1 } else { 0 };
        if is_secret && run > 10 {
            if run == 11 {
                shown.push('…');
            }
            continue;
        }
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '|' => shown.push_str("\\|"),
            c if c.is_control() || is_hidden(c) => {
                let _ = write!(shown, "\\u{{{:X}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    if shown.contains('`') {
        format!("`` {shown} ``")
    } else {
        format!("`{shown}`")
    }
}

fn is_hidden(c: char) -> bool {
    matches!(u32::from(c), 0xAD | 0x34F | 0x61C | 0x180E | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F
        | 0xFE00..=0xFE0F | 0xFEFF | 0xE0000..=0xE0FFF)
}

fn groups(page: &mut String) {
    let mut members: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for detector in DETECTORS {
        for group in detector.groups {
            members.entry(group).or_default().insert(detector.name);
        }
    }
    page.push_str("\n## Groups\n\nA group stands for its detectors and those of its parts: `pii` includes `pii.us`.\n\n");
    page.push_str("| group | detectors |\n|---|---|\n");
    for (group, names) in members {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(page, "| `{group}` | {} |", names.join(" "));
    }
}

fn scores(page: &mut String) {
    let everything = verdict(&Selection::all(Confidence::Medium));
    let mut usual = Selection::none();
    for group in ["pii", "payment", "secrets"] {
        usual.add(group, Confidence::High).unwrap();
    }
    let usual = verdict(&usual);
    page.push_str(
        "\n## Measured\n\nOn 2,945 labelled texts and 848 kB of text without findings (`tests/detect/README.md`), \
         everything on, medium confidence. P: findings that overlap a labelled span; R: labelled spans that are \
         overlapped; exact: with the same ends; masked: every character covered. In percent.\n\n",
    );
    page.push_str(
        "| type | labelled | P | R | F1 | exact | masked |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut line = |name: &str, counts: &Counts| {
        let exact = (1_000 * counts.exact)
            .checked_div(counts.labelled)
            .unwrap_or(0);
        let _ = writeln!(
            page,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            counts.labelled,
            percent(counts.precision()),
            percent(counts.recall()),
            percent(counts.f1()),
            percent(exact),
            percent(counts.masked()),
        );
    };
    line(
        "**personal data**",
        &everything.together(|name| !is_secret(name)),
    );
    line("**secrets**", &everything.together(is_secret));
    for (name, counts) in everything
        .types
        .iter()
        .filter(|(_, counts)| counts.labelled > 0)
    {
        line(&format!("`{name}`"), counts);
    }
    let _ = writeln!(
        page,
        "\nFalse findings in 100 kB of text without any: {} with everything on at medium confidence, {} with `pii`, \
         `payment` and `secrets` at high confidence.",
        per_100_kb(everything.noise()),
        per_100_kb(usual.noise()),
    );
    signs(page, &everything);
}

/// How often the signs of injection are found where they are, and where they aren't.
fn signs(page: &mut String, everything: &Verdict) {
    let (tallies, decoys) = injection::tallies();
    let _ = write!(
        page,
        "\nThe signs of `injection`, on texts written for them (`tests/detect/injection.jsonl`), of which {decoys} only \
         look like one, and on the same {} kB of text without any:\n\n\
         | sign | texts | found, % | false in decoys | false in 100 kB |\n|---|--:|--:|--:|--:|\n",
        (everything.benign_bytes + 500) / 1000,
    );
    for (sign, tally) in &tallies {
        let found = everything.benign.get(sign).copied().unwrap_or(0);
        let _ = writeln!(
            page,
            "| `{sign}` | {} | {} | {} | {} |",
            tally.texts,
            percent(1_000 * tally.found / tally.texts.max(1)),
            tally.fooled,
            per_100_kb(found * 10_000_000 / everything.benign_bytes.max(1)),
        );
    }
    page.push_str(
        "\nThey are weak: whoever knows them writes around them, and most of what is missed above is a paraphrase. Use \
         them for tags and approvals first, and deny only what tools and strangers say (`from: tool`).\n",
    );
}

fn per_100_kb(noise: usize) -> String {
    format!("{}.{:02}", noise / 100, noise % 100)
}

const OWN: &str = "\
## A policy's own

```yaml
inspect: { decode: true }                 # look into runs of Base64 and hexadecimal digits; off unless asked for
lists:
  customer_domains: [example.com, '*.example.org']
  codenames: [swan, blue heron]           # 50,000 terms and more
detectors:
  employee_id:                            # small letters, digits, `_`
    pattern: 'EMP-\\d{6}'                  # one or several; each leftmost match
    context: [employee, staff id]         # words before a match, in any case; without one its confidence is low
    validator: luhn                       # a check that each match must pass
    confidence: high                      # of a match (high unless said)
    groups: [pii.staff]
    allow: [EMP-000000]                   # no finding
    reach: 64                             # characters that a stream waits for a longer match
  codename: { keywords: { list: codenames } }                                 # whole words, in any case
  email: { allow: { list: customer_domains } }                                # of a built-in detector or group
  payment: { allow: { list: test_cards } }                                    # cards that providers publish for tests
  '*': { allow: [192.0.2.0/24, ops@contoso.com] }                             # of all
rules:
  - id: mask-staff
    match: { event: [message, response] }
    when: { text: { detects: [pii.staff, codename] } }
    action: redact
```
";

fn custom(page: &mut String) {
    let names: Vec<String> = Validator::names().map(|name| format!("`{name}`")).collect();
    let _ = write!(
        page,
        "\n{OWN}\nThe checks: {}. They look at the digits of a match (`mod_97` and `iban` at its letters too, `random` at all \
         of it): `luhn` of `EMP-123455` at `123455`.\n\nAn allow-list takes values (numbers with any separators), hosts (`example.com`, \
         `*.example.com`: every address and URL there) and networks (`10.0.0.0/8`).\n",
        names.join(", ")
    );
}

fn section(page: &mut String, detector: &Detector) {
    let secret = is_secret(detector.name);
    let groups: Vec<String> = detector
        .groups
        .iter()
        .map(|group| format!("`{group}`"))
        .collect();
    let _ = write!(
        page,
        "\n### `{}`\n\n{}; reach {}.\n\n**Finds** {}\n\n**Leaves alone** {}\n\n**Source** {}.\n",
        detector.name,
        groups.join(", "),
        detector.reach,
        detector.doc.finds,
        detector.doc.misses,
        detector.doc.source.trim_end_matches('.'),
    );
    if !detector.context.is_empty() {
        let _ = write!(page, "\n**Words** {}\n", detector.context.join(", "));
    }
    page.push_str("\n| text | finding |\n|---|---|\n");
    for hit in detector.hits {
        let found: Vec<String> = hit.found.iter().map(|part| shown(part, secret)).collect();
        let _ = writeln!(
            page,
            "| {} | {} |",
            shown(hit.text, secret),
            found.join(" ")
        );
    }
    for miss in detector.misses {
        let _ = writeln!(
            page,
            "| {} | none: {} |",
            shown(miss.text, secret),
            miss.why
        );
    }
}

fn page() -> String {
    let mut page = INTRO.to_owned();
    groups(&mut page);
    custom(&mut page);
    scores(&mut page);
    page.push_str("\n## All\n");
    for detector in DETECTORS {
        section(&mut page, detector);
    }
    page
}

#[test]
fn the_reference_says_what_the_detectors_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/detectors.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/detectors.md is out of date: run `UPDATE_DOCS=1 cargo test --test detect`"
    );
}
