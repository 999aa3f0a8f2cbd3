//! Page of the documentation, followed as a reader would: its files are saved, its commands run, and their output must be
//! what the page shows.
//!
//! ````text
//! Save this as `hello.yaml`:              a file: the next block is its content
//!
//! ```yaml
//! …
//! ```
//!
//! ```console                              commands, and what they print
//! $ agentguard validate hello.yaml
//! hello.yaml: valid
//! ```
//! ````
//!
//! A line `…` matches any lines, and `…` in a line any characters. `UPDATE_DOCS=1` writes the commands' output into the page
//! where the page's text does not match.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Placeholder for any text.
const ANYTHING: &str = "…";

/// Maximum times that the end of a log is read until it has its last line.
const LOG_TRIES: u32 = 250;

/// Page.
pub struct Page {
    path: PathBuf,
    lines: Vec<String>,
}

/// Fenced block: its lines without the fences.
struct Block {
    language: String,
    first: usize,
    end: usize,
    indent: usize,
    file: Option<String>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    /// The page does not exist.
    pub fn read(path: &Path) -> Page {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Page {
            path: path.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
        }
    }

    /// Returns whether the page has commands.
    pub fn has_commands(&self) -> bool {
        self.blocks()
            .iter()
            .any(|block| block.language == "console")
    }

    /// Saves the files of the page into `folder` and runs its commands there, with the programs of the folders `programs`
    /// before all others. `places` are names on the page with their values in this run: an address, a path.
    ///
    /// # Panics
    /// The output of a command is not what the page shows.
    pub fn run(&self, folder: &Path, programs: &[&Path], places: &[(&str, &str)]) {
        let mut written: Vec<String> = Vec::new();
        let mut at = 0;
        let mut wrong = Vec::new();
        for block in self.blocks() {
            written.extend_from_slice(&self.lines[at..block.first]);
            at = block.end;
            let lines: Vec<&str> = self.lines[block.first..block.end]
                .iter()
                .map(|line| line.get(block.indent..).unwrap_or_default())
                .collect();
            if let Some(file) = &block.file {
                let path = folder.join(file);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).expect("a folder");
                }
                std::fs::write(path, lines.join("\n") + "\n").expect("a file");
            }
            if block.language != "console" {
                written.extend_from_slice(&self.lines[block.first..block.end]);
                continue;
            }
            for (command, shown) in commands(&lines) {
                let here = places.iter().fold(command.clone(), |text, (page, here)| {
                    text.replace(page, here)
                });
                let typed = || {
                    let printed = run(&here, folder, programs);
                    let of_page =
                        |text: String, (page, here): &(&str, &str)| text.replace(here, page);
                    places.iter().fold(printed, of_page)
                };
                let fits_now = |printed: &str| fits(&shown, &printed.lines().collect::<Vec<_>>());
                let mut printed = typed();
                // Envoy writes its log a moment after the response.
                let mut tries = if here.starts_with("tail ") {
                    LOG_TRIES
                } else {
                    0
                };
                while tries > 0 && !fits_now(&printed) {
                    std::thread::sleep(Duration::from_millis(20));
                    printed = typed();
                    tries -= 1;
                }
                let printed: Vec<&str> = printed.lines().collect();
                let is_right = fits(&shown, &printed);
                if !is_right {
                    wrong.push(format!(
                        "$ {command}\n--- the page\n{}\n--- what it prints\n{}\n",
                        shown.join("\n"),
                        printed.join("\n")
                    ));
                }
                let indent = " ".repeat(block.indent);
                let keep = if is_right { &shown } else { &printed };
                let prompts = command
                    .lines()
                    .enumerate()
                    .map(|(number, line)| match number {
                        0 => format!("$ {line}"),
                        _ => format!("> {line}"),
                    });
                let kept = keep.iter().map(|line| (*line).to_owned());
                written.extend(
                    prompts
                        .chain(kept)
                        .map(|line| format!("{indent}{line}").trim_end().to_owned()),
                );
            }
        }
        written.extend_from_slice(&self.lines[at..]);
        if wrong.is_empty() {
            return;
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&self.path, written.join("\n") + "\n").expect("the page");
            return;
        }
        panic!(
            "{} is out of date (UPDATE_DOCS=1 writes what is printed):\n{}",
            self.path.display(),
            wrong.join("\n")
        );
    }

    fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (number, line) in self.lines.iter().enumerate() {
            let text = line.trim_start();
            match &mut open {
                Some(_) if text == "```" => {
                    let mut block = open.take().expect("it is open");
                    block.end = number;
                    blocks.push(block);
                }
                None if text.starts_with("```") => {
                    open = Some(Block {
                        language: text.trim_start_matches('`').to_owned(),
                        first: number + 1,
                        end: number + 1,
                        indent: line.len() - text.len(),
                        file: self.saved_as(number),
                    });
                }
                _ => {}
            }
        }
        blocks
    }

    /// Returns the name in a paragraph that begins with "Save" before a block: `` Save this as `a.yaml`: ``.
    fn saved_as(&self, fence: usize) -> Option<String> {
        let before = self.lines[..fence].iter().rev();
        let paragraph: Vec<&str> = before
            .skip_while(|line| line.trim().is_empty())
            .take_while(|line| !line.trim().is_empty())
            .map(|line| line.trim())
            .collect();
        let first = paragraph.last()?;
        let text: String = paragraph
            .iter()
            .rev()
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        let is_named = first.starts_with("Save ") && text.ends_with(':');
        is_named.then(|| text.split('`').nth(1).map(str::to_owned))?
    }
}

/// Returns the commands, each with its output on the page. A line that begins with `> ` continues the command.
fn commands<'l>(lines: &[&'l str]) -> Vec<(String, Vec<&'l str>)> {
    let mut commands: Vec<(String, Vec<&str>)> = Vec::new();
    for line in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), Vec::new()));
            continue;
        }
        let Some((command, shown)) = commands.last_mut() else {
            panic!("a console block begins with `$ `, not with {line:?}");
        };
        match line.strip_prefix("> ") {
            Some(more) if shown.is_empty() => {
                command.push('\n');
                command.push_str(more);
            }
            _ => shown.push(line),
        }
    }
    commands
}

fn run(command: &str, folder: &Path, programs: &[&Path]) -> String {
    let mut path = OsString::new();
    for program in programs {
        path.push(program);
        path.push(":");
    }
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let output = Command::new("/bin/sh")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .current_dir(folder)
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .output()
        .expect("a shell");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns whether printed lines match those on the page.
fn fits(shown: &[&str], printed: &[&str]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((&ANYTHING, rest)), _) => {
            (0..=printed.len()).any(|from| fits(rest, &printed[from..]))
        }
        (Some((shown, rest)), Some((printed, others))) => {
            line_fits(shown, printed.trim_end()) && fits(rest, others)
        }
        _ => false,
    }
}

fn line_fits(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split(ANYTHING);
    let Some(mut rest) = parts.next().and_then(|first| printed.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some((_, behind)) = rest.split_once(part) else {
            return false;
        };
        rest = behind;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_stand_for_anything_else_must_be_the_same() {
        assert!(fits(&["a", "…", "c"], &["a", "b", "b", "c"]));
        assert!(fits(&["…"], &[]));
        assert!(fits(&["key: agk_… (new)"], &["key: agk_x (new)"]));
        assert!(!fits(&["key: agk_… (new)"], &["key: agk_x (old)"]));
        assert!(!fits(&["a"], &["a", "b"]));
        assert!(!fits(&["a", "b"], &["a"]));
        assert!(!line_fits("ab…bc", "abc"));
    }
}
