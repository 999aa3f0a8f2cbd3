//! Figures as tables.

use crate::counts::{Counts, FunctionCounts};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Formats a number with thousands separators: "307,000".
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a table with a row for each exchange; then the calls of each host function by exchange.
pub fn exchanges(all: &[Counts]) -> String {
    let mut text = String::new();
    let mut row = |name: &str, figures: [&str; 5]| {
        let [a, b, c, d, e] = figures;
        let _ = writeln!(text, "{name:<24}{a:>13}{b:>12}{c:>12}{d:>13}{e:>12}");
    };
    row(
        "",
        [
            "instructions",
            "code lines",
            "data lines",
            "allocations",
            "host calls",
        ],
    );
    for counts in all {
        let figures = [
            counts.instructions,
            counts.code_lines,
            counts.data_lines,
            counts.allocations,
            counts.all_host_calls(),
        ]
        .map(number);
        row(&counts.name, figures.each_ref().map(String::as_str));
    }
    text + "\n" + &host_calls(all)
}

/// Returns the calls of each host function, with a column for each exchange. The heading of "4 KB, 1 rule" is "4 KB," over
/// "1 rule".
fn host_calls(all: &[Counts]) -> String {
    let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (column, counts) in all.iter().enumerate() {
        for (name, calls) in &counts.host_calls {
            let none = || vec!["-".to_owned(); all.len()];
            let row = rows.entry(name).or_insert_with(none);
            row[column] = number(*calls);
        }
    }
    let mut text = String::new();
    let mut line = |name: &str, cells: &[String]| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>11}")).collect();
        let _ = writeln!(text, "{name:<36}{cells}");
    };
    let names = all.iter().map(|counts| {
        let (upper, lower) = counts.name.split_once(", ").unwrap_or((&counts.name, ""));
        (upper.to_owned(), lower.to_owned())
    });
    let (upper, lower): (Vec<String>, Vec<String>) = names.unzip();
    line("host calls", &upper);
    line("", &lower);
    for (name, cells) in rows {
        line(name, &cells);
    }
    text
}

/// Returns at most `most` functions of an exchange: those with the most instructions, then those with the most lines of
/// code.
pub fn functions(name: &str, functions: &[FunctionCounts], most: usize) -> String {
    let mut text = String::new();
    type Figure = fn(&FunctionCounts) -> u64;
    let orders: [(&str, Figure); 2] = [
        ("instructions", |function| function.instructions),
        ("lines of code", |function| function.code_lines),
    ];
    for (what, figure) in orders {
        let mut sorted: Vec<&FunctionCounts> = functions.iter().collect();
        sorted.sort_by_key(|function| Reverse(figure(function)));
        let all: u64 = functions.iter().map(figure).sum();
        let _ = writeln!(
            text,
            "\n{name}: most {what}, of {} functions that ran\n{:>12}{:>8}{:>12}{:>8}",
            sorted.len(),
            "instructions",
            "lines",
            "calls",
            "share"
        );
        for function in sorted.into_iter().take(most) {
            let tenths = (figure(function) * 1_000).checked_div(all).unwrap_or(0);
            let _ = writeln!(
                text,
                "{:>12}{:>8}{:>12}{:>6} %  {}",
                number(function.instructions),
                number(function.code_lines),
                number(function.calls),
                format!("{}.{}", tenths / 10, tenths % 10),
                function.name
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        let texts = [0, 7, 999, 1_000, 307_000, 1_234_567].map(number);
        assert_eq!(texts, ["0", "7", "999", "1,000", "307,000", "1,234,567"]);
    }

    #[test]
    fn an_exchange_is_a_row_and_a_column_of_host_calls() {
        let counts = |name: &str, call: &str| Counts {
            name: name.to_owned(),
            instructions: 307_000,
            code_lines: 2_600,
            data_lines: 1_200,
            allocations: 200,
            host_calls: vec![("proxy_log".to_owned(), 12), (call.to_owned(), 1)],
        };
        let all = [
            counts("4 KB, 1 rule", "proxy_set_property"),
            counts("stream, one frame", "random_get"),
        ];
        assert_eq!(
            exchanges(&all),
            [
                "                         instructions  code lines  data lines  allocations  host calls",
                "4 KB, 1 rule                  307,000       2,600       1,200          200          13",
                "stream, one frame             307,000       2,600       1,200          200          13",
                "",
                "host calls                                 4 KB     stream",
                "                                         1 rule  one frame",
                "proxy_log                                    12         12",
                "proxy_set_property                            1          -",
                "random_get                                    -          1",
                "",
            ]
            .join("\n")
        );
    }

    #[test]
    fn functions_stand_by_what_they_have_most_of() {
        let function = |name: &str, instructions, code_lines| FunctionCounts {
            name: name.to_owned(),
            calls: 3,
            instructions,
            code_lines,
        };
        let all = [function("loop", 900, 1), function("long", 100, 3)];
        assert_eq!(
            functions("4 KB", &all, 1),
            [
                "",
                "4 KB: most instructions, of 2 functions that ran",
                "instructions   lines       calls   share",
                "         900       1           3  90.0 %  loop",
                "",
                "4 KB: most lines of code, of 2 functions that ran",
                "instructions   lines       calls   share",
                "         100       3           3  75.0 %  long",
                "",
            ]
            .join("\n")
        );
    }
}
