//! Report as one HTML file: tables, and charts as SVG. It loads nothing and has no script, so no text in it can be executed.

use super::super::output::visible;
use super::summary::{Cell, Section};
use super::violations::{SECTION, Violations};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Content security policy that forbids everything except the page's own styles.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #d8dee4}\
p{color:#57606a;max-width:50rem}table{border-collapse:collapse;width:100%;font-size:.9rem}\
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #eaeef2;overflow-wrap:anywhere}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;border-left:3px solid #d8dee4;margin:.3rem 0;padding-left:.8rem}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
svg{display:block;margin:.6rem 0 1rem}svg text{font:12px system-ui,sans-serif;fill:#1b1f24}\
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}p{color:#9198a1}svg text{fill:#e6edf3}\
th,td,h2{border-color:#30363d}}";

/// Width of a chart.
const WIDTH: u64 = 720;

/// Maximum bars of a chart.
const MAX_BARS: usize = 10;

/// Height of a bar with its gap.
const BAR: u64 = 22;

/// Horizontal position at which bars begin.
const BARS_AT: u64 = 220;

/// Width for the number after a bar.
const NUMBER: u64 = 80;

/// Height of the chart over time.
const HEIGHT: u64 = 160;

/// Maximum characters of a name beside a bar.
const MAX_LABEL: usize = 30;

/// Returns the page.
pub(super) fn html(range: &str, sections: &[Section], violations: &Violations) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(CONTENT_POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "AgentGuard audit report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "AgentGuard audit report" }
                p { (visible(range)) }
                @for section in sections {
                    h2 id=(section.id) { (section.title) }
                    p { (section.note) }
                    @if section.id == "time" {
                        (line_chart(section))
                    } @else if let Some(column) = section.chart {
                        (bar_chart(section, column))
                    }
                    (table(section))
                    @if section.id == SECTION {
                        (contents(violations))
                    }
                }
            }
        }
    };
    format!("{}\n", page.into_string())
}

/// Returns the contents of the violations, collapsed.
fn contents(violations: &Violations) -> Markup {
    let mut newest = violations.newest();
    newest.retain(|(_, violation)| !violation.texts.is_empty());
    html! {
        @for (number, violation) in newest {
            details {
                summary { "#" (number) " " (visible(&violation.time)) " " (visible(&violation.request_id)) }
                @for recorded in &violation.texts {
                    p { (recorded.title) }
                    @if !recorded.text.is_empty() {
                        pre { @for line in recorded.text.lines() { (visible(line)) "\n" } }
                    }
                }
            }
        }
    }
}

fn table(section: &Section) -> Markup {
    let is_number = |column: usize| {
        let cell = section.rows.first().and_then(|row| row.get(column));
        cell.is_some_and(|cell| !matches!(cell, Cell::Text(_)))
    };
    let class = |column: usize| is_number(column).then_some("n");
    html! {
        table {
            thead { tr {
                @for (column, name) in section.columns.iter().enumerate() {
                    th class=[class(column)] scope="col" { (name) }
                }
            } }
            tbody {
                @for row in &section.rows {
                    tr { @for (column, cell) in row.iter().enumerate() {
                        td class=[class(column)] { (visible(&cell.text())) }
                    } }
                }
            }
        }
    }
}

fn value(row: &[Cell], column: usize) -> u64 {
    match row.get(column) {
        Some(Cell::Count(count) | Cell::Percent(count)) => *count,
        _ => 0,
    }
}

/// Returns the length of `part` if `whole` has this length.
fn scaled(part: u64, whole: u64, length: u64) -> u64 {
    part.saturating_mul(length).checked_div(whole).unwrap_or(0)
}

fn bar_chart(section: &Section, column: usize) -> Markup {
    let rows = section.rows.iter().take(MAX_BARS);
    let bars: Vec<(String, u64)> = rows
        .map(|row| {
            let name = row.first().map(Cell::text).unwrap_or_default();
            (name, value(row, column))
        })
        .collect();
    let most = bars.iter().map(|(_, value)| *value).max().unwrap_or(0);
    if most == 0 {
        return html! {};
    }
    let count = u64::try_from(bars.len()).unwrap_or(0);
    let height = count.saturating_mul(BAR);
    let room = WIDTH.saturating_sub(BARS_AT).saturating_sub(NUMBER);
    let label = section.columns.get(column).copied().unwrap_or_default();
    html! {
        svg width=(WIDTH) height=(height) viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(format!("{}: {label}", section.title)) {
            @for (at, (name, value)) in (0_u64..).zip(&bars) {
                @let top = at.saturating_mul(BAR);
                @let length = scaled(*value, most, room).max(u64::from(*value > 0));
                text x=(BARS_AT.saturating_sub(8)) y=(top.saturating_add(15)) text-anchor="end" { (shortened(name)) }
                rect x=(BARS_AT) y=(top.saturating_add(3)) width=(length) height="15" rx="2" fill="#2f81f7" {}
                text x=(BARS_AT.saturating_add(length).saturating_add(6)) y=(top.saturating_add(15)) { (value) }
            }
        }
    }
}

/// Returns a chart of exchanges over time, with the denied ones in front.
fn line_chart(section: &Section) -> Markup {
    let most = section
        .rows
        .iter()
        .map(|row| value(row, 1))
        .max()
        .unwrap_or(0);
    let count = u64::try_from(section.rows.len()).unwrap_or(0);
    let labels = section.rows.first().zip(section.rows.last());
    let Some((first, last)) = labels.filter(|_| most > 0) else {
        return html! {};
    };
    let name = |row: &[Cell]| {
        row.first()
            .map(|cell| visible(&cell.text()))
            .unwrap_or_default()
    };
    let wide = WIDTH.checked_div(count).unwrap_or(1).max(1);
    let total = HEIGHT.saturating_add(20);
    html! {
        svg width=(WIDTH) height=(total) viewBox=(format!("0 0 {WIDTH} {total}")) role="img" aria-label="Exchanges over time, denied ones in red" {
            @for (at, row) in (0_u64..).zip(&section.rows) {
                @let left = scaled(at, count, WIDTH);
                @for (column, color) in [(1, "#2f81f7"), (2, "#da3633")] {
                    @let high = scaled(value(row, column), most, HEIGHT);
                    rect x=(left) y=(HEIGHT.saturating_sub(high)) width=(wide.saturating_sub(u64::from(wide > 3))) height=(high) fill=(color) {}
                }
            }
            text x="0" y=(total.saturating_sub(4)) { (name(first)) }
            @if count > 1 {
                text x=(WIDTH) y=(total.saturating_sub(4)) text-anchor="end" { (name(last)) }
            }
        }
    }
}

fn shortened(name: &str) -> String {
    let name = visible(name);
    match name.char_indices().nth(MAX_LABEL) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or(&name)),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_markup() {
        let name = "</text><script>alert(1)</script>\"'&\u{202e}";
        let section = Section {
            id: "agents",
            title: "Agents",
            note: "",
            columns: vec!["who", "count"],
            rows: vec![vec![Cell::Text(name.to_owned()), Cell::Count(1)]],
            chart: Some(1),
        };
        let page = html(name, &[section], &Violations::default());
        assert!(
            !page.contains("<script") && !page.contains('\u{202e}'),
            "{page}"
        );
        assert!(page.contains("&lt;script&gt;alert(1)"));
    }

    #[test]
    fn nothing_is_loaded() {
        let page = html("", &[], &Violations::default());
        for word in ["http:", "https:", "src=", "href=", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
