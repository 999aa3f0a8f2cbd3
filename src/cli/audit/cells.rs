//! Escaping of record texts in tables, pages and spreadsheets. Clients and models choose many of them: no text may control a
//! terminal, be markup, or be a formula.

use super::super::output::visible;
use comfy_table::{ContentArrangement, Table, presets};

/// Returns a text for Markdown: no character in it is markup.
pub(super) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|'
            | '~' | ':' | '@' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// Returns a text for a spreadsheet, which does not evaluate it as a formula.
pub(super) fn spreadsheet(text: &str) -> String {
    let text = visible(text);
    let starts_formula = text
        .trim_start()
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '|', '%']);
    match starts_formula {
        true => format!("'{text}"),
        false => text,
    }
}

/// Returns a table for a terminal, with columns as wide as their longest cell.
pub(super) fn text_table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| visible(cell)));
    }
    let mut out = String::new();
    for line in table.to_string().lines() {
        // Each cell has a space on both sides.
        out.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
        out.push('\n');
    }
    out
}

/// Returns rows of a CSV file.
pub(super) fn csv_rows(rows: &[Vec<String>]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        // Writing to memory does not fail, and all rows have the length of the first.
        if writer
            .write_record(row.iter().map(|cell| spreadsheet(cell)))
            .is_err()
        {
            break;
        }
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_a_text_in_a_spreadsheet() {
        for formula in [
            "=cmd|' /C calc'!A0",
            "+1",
            "-1",
            "@SUM(A1)",
            " =1",
            "＝1",
            "|x",
        ] {
            assert!(spreadsheet(formula).starts_with('\''), "{formula}");
        }
        assert_eq!(spreadsheet("gpt-4o"), "gpt-4o");
        assert_eq!(
            csv_rows(&[vec!["a,b".to_owned(), "x\"\r\n=1".to_owned()]]),
            "\"a,b\",\"x\"\"\\u{d}\\u{a}=1\"\n"
        );
        assert_eq!(spreadsheet("\t=1"), "\\u{9}=1");
    }

    #[test]
    fn markup_is_text_in_markdown() {
        assert_eq!(
            markdown("<b>[x](http://y)|`"),
            "&lt;b&gt;\\[x\\]\\(http\\://y\\)\\|\\`"
        );
    }

    #[test]
    fn a_terminal_is_not_steered() {
        let rows = [vec!["a\u{1b}[2J".to_owned(), "b\nc".to_owned()]];
        assert_eq!(
            text_table(&["one", "two"], &rows),
            "one         two\na\\u{1b}[2J  b\\u{a}c\n"
        );
    }
}
