use super::*;
use std::fmt::Write as _;

/// The version of Unicode in the tables.
const UNICODE: (u8, u8, u8) = (17, 0, 0);

/// Returns whether the standard library has a newer Unicode, with letters that the tables lack. These letters stay
/// unchanged until the tables are generated again with the next compiler that the project requires.
fn is_newer() -> bool {
    char::UNICODE_VERSION > UNICODE
}

fn every() -> impl Iterator<Item = char> {
    '\0'..=char::MAX
}

/// The expected content of `tables.rs`.
fn tables() -> String {
    let mut file = "//! Letter case tables, equal to those of `char`. When the standard library gains letters, the test beside this file\n//! \
         prints the new tables.\n#![cfg_attr(rustfmt, rustfmt_skip)]\n\nuse super::{CaseRun, run};\n"
        .to_owned();
    let runs_of = |counterparts: &dyn Fn(char) -> String| {
        let mut runs: Vec<CaseRun> = Vec::new();
        for c in every() {
            let to = counterparts(c);
            let (Some(to), 1) = (to.chars().next(), to.chars().count()) else {
                continue;
            };
            let code = u32::from(c);
            let distance = u32::from(to).cast_signed() - code.cast_signed();
            if distance == 0 {
                continue;
            }
            if let Some(run) = runs.last_mut().filter(|run| run.distance == distance) {
                let gap = code - run.first - u32::from(run.span);
                if gap == 1 + u32::from(run.skips) || (gap == 2 && run.span == 0) {
                    run.skips = u8::from(gap == 2);
                    run.span = u8::try_from(code - run.first).expect("a short run");
                    continue;
                }
            }
            runs.push(run(code, 0, 0, distance));
        }
        runs
    };
    for (name, runs) in [
        ("LOWER", runs_of(&|c| c.to_lowercase().collect())),
        ("UPPER", runs_of(&|c| c.to_uppercase().collect())),
    ] {
        let entries = runs.iter().map(|run| {
            let CaseRun {
                first,
                span,
                skips,
                distance,
            } = run;
            format!("run({first:#X}, {span}, {skips}, {distance}),")
        });
        write_table(
            &mut file,
            &format!("{name}: [CaseRun; {}]", runs.len()),
            entries,
        );
    }
    let several: Vec<String> = every()
        .filter(|c| c.to_uppercase().count() > 1)
        .map(|c| format!("{c}{}", c.to_uppercase()))
        .collect();
    write!(
        file,
        "\n/// Letters whose capital is several characters, each letter before its capital.\npub(super) static \
         SEVERAL_CAPITALS: &str = \"\\\n    {}\";\n",
        several.join(" ")
    )
    .expect("a text");
    let mut ignored: Vec<(u32, u32)> = Vec::new();
    for c in every() {
        let sigma = |text: String| text.to_lowercase().chars().nth(1);
        let within = sigma(format!("aΣ{c}b")) == Some('σ');
        let behind = sigma(format!("aΣ{c}")) == Some('ς');
        if within && behind {
            match ignored.last_mut() {
                Some((first, more)) if *first + *more + 1 == u32::from(c) => *more += 1,
                _ => ignored.push((u32::from(c), 0)),
            }
        }
    }
    file.push_str(
        "\n/// Runs of case-ignorable characters: the first one, and in the last two decimal digits the number of \
         characters that\n/// follow it.",
    );
    let entries = ignored
        .iter()
        .map(|(first, more)| format!("{first:#X}{more:02X},"));
    write_table(
        &mut file,
        &format!("IGNORED: [u32; {}]", ignored.len()),
        entries,
    );
    file
}

fn write_table(file: &mut String, what: &str, entries: impl Iterator<Item = String>) {
    write!(file, "\npub(super) static {what} = [").expect("a text");
    let mut width = usize::MAX;
    for entry in entries {
        if width.saturating_add(entry.len()) > 116 {
            file.push_str("\n    ");
            width = 0;
        } else {
            file.push(' ');
        }
        file.push_str(&entry);
        width += entry.len() + 1;
    }
    file.push_str("\n];\n");
}

#[test]
fn the_tables_equal_the_standard_library() {
    assert!(char::UNICODE_VERSION >= UNICODE, "this compiler is too old");
    let tables = tables();
    assert!(
        is_newer() || tables == include_str!("tables.rs"),
        "{tables}"
    );
}

#[test]
fn each_letter_changes_as_the_standard_library_changes_it() {
    for c in every() {
        let is_unknown = |ours: &str| is_newer() && ours.chars().eq([c]);
        let (lower, upper): (String, String) = (lower_of(c).collect(), upper_of(c).collect());
        assert!(
            lower.chars().eq(c.to_lowercase()) || is_unknown(&lower),
            "{c:?}"
        );
        assert!(
            upper.chars().eq(c.to_uppercase()) || is_unknown(&upper),
            "{c:?}"
        );
    }
}

#[test]
fn texts_change_as_the_standard_library_changes_them() {
    let mut differ = Vec::new();
    for c in '\0'..'\u{20000}' {
        for text in [format!("ΑΣ{c}"), format!(" ΑΣ{c}.Ο{c}Σ ß")] {
            if lower(&text) != text.to_lowercase() {
                differ.push(c);
            }
        }
    }
    // Letters and accents added by a newer Unicode. None of them is a Latin, Greek or Cyrillic letter in daily use.
    let is_new = |c: &char| is_newer() && *c > '\u{52F}';
    assert!(
        differ.iter().all(is_new) && differ.len() < 500,
        "{differ:?}"
    );
    for text in ["", "straße", "ǆ ŉ ΐ", "Ärger", "ab1"] {
        assert_eq!(upper(text), text.to_uppercase());
        assert_eq!(ascii_lower(text), text.to_ascii_lowercase());
    }
}
