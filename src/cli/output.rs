//! Output, and input of files named on the command line.

use super::{Failed, audit};
use crate::diag::codes;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// File name of standard input.
pub(super) const STDIN: &str = "-";

/// Prints a line for a person. If the reader has closed the pipe (`| head`), the program ends silently, or continues to its
/// result.
pub(super) fn line(text: &str) {
    print(&format!("{text}\n"));
}

/// Prints text for a person, without a line end. The text may quote a policy, a recorded exchange or a file name, which can contain
/// anything: no character controls the terminal or is invisible.
pub(super) fn print(text: &str) {
    verbatim(&visible_lines(text));
}

/// Prints a line for a program, or one whose characters are visible already: JSON, a part of a file, a rendered diagnostic.
pub(super) fn verbatim_line(text: &str) {
    verbatim(&format!("{text}\n"));
}

/// Prints JSON, with a line end. Characters from a policy, a recorded exchange or a file name that could control a terminal are
/// escaped. A program reads the same values.
pub(super) fn json_line(json: &str) {
    verbatim_line(&visible_json(json));
}

/// Prints a line of an audit trail. Its MAC covers the original bytes, so only a terminal gets an escaped line.
pub(super) fn recorded_line(line: &str) {
    match std::io::stdout().is_terminal() {
        true => json_line(line),
        false => verbatim_line(line),
    }
}

/// Prints output for a program, byte for byte. If it can't be written, the program ends with an error: a file that contains only a
/// part of the output must not pass for all of it.
pub(super) fn verbatim(text: &str) {
    match write_out(text) {
        Err(error)
            if error.kind() == ErrorKind::BrokenPipe && HAS_VERDICT.load(Ordering::Relaxed) => {}
        Err(error) => end_unwritten(&error),
        Ok(()) => {}
    }
}

/// Whether the exit status is the result of the command.
static HAS_VERDICT: AtomicBool = AtomicBool::new(false);

/// Makes the program continue after its reader has closed the pipe. Otherwise the exit status would be success before the command
/// is done (`agentguard audit verify … | head -1` under `pipefail`).
pub(super) fn keep_verdict() {
    HAS_VERDICT.store(true, Ordering::Relaxed);
}

/// Prints a line that exists nowhere else. If it can't be printed, calls `undo` and ends the program.
pub(super) fn line_or_else(text: &str, undo: impl FnOnce()) {
    let Err(error) = write_out(&format!("{text}\n")) else {
        return;
    };
    undo();
    print_output_unwritten(&error);
    std::process::exit(2);
}

fn write_out(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// Ends the program because standard output can't be written: silently if the reader has closed the pipe.
pub(super) fn end_unwritten(error: &std::io::Error) -> ! {
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    print_output_unwritten(error);
    std::process::exit(2);
}

/// Prints that standard output can't be written.
pub(super) fn print_output_unwritten(error: &std::io::Error) -> Failed {
    let why = match error.kind() {
        ErrorKind::StorageFull => "the disk is full; what is in the file is not all".to_owned(),
        _ => unwritable(error),
    };
    print_unwritten("standard output", &why)
}

/// Prints a line for a person on standard error.
pub(super) fn note(text: &str) {
    verbatim_note(&visible_lines(text));
}

/// Prints a line on standard error whose characters are visible already. If nothing reads it any more (`2>&1 | head`), the work
/// continues.
#[cfg_attr(
    test,
    expect(
        clippy::print_stderr,
        reason = "a test's output is captured only if this macro writes it"
    )
)]
pub(super) fn verbatim_note(text: &str) {
    #[cfg(test)]
    eprintln!("{text}");
    #[cfg(not(test))]
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("{text}\n").as_bytes());
}

/// Prints an error message.
pub(super) fn print_error(message: &str) -> Failed {
    note(&format!("agentguard: {message}"));
    Failed
}

/// Prints an error message with its code: `agentguard: AG9011: audit.db can't be written: …`.
pub(super) fn print_coded(code: &str, message: &str) -> Failed {
    print_error(&format!("{code}: {message}"))
}

/// Prints a usage error: an option, or its value, is not valid here.
pub(super) fn print_misused(message: &str) -> Failed {
    print_coded(codes::AG9012, message)
}

/// Prints that a file is not of the expected kind.
pub(super) fn print_foreign(message: &str) -> Failed {
    print_coded(codes::AG9013, message)
}

/// Prints that nothing was done, and the reason.
pub(super) fn print_undone(message: &str) -> Failed {
    print_coded(codes::AG9014, message)
}

/// Returns the error in a JSON document, and its position. For a document in one line of a file, the caller adds the line's number.
pub(super) fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(what, _)| what);
    match (error.line(), error.column()) {
        (_, 0) => what.to_owned(),
        (..=1, column) => format!("{what} (column {column})"),
        (line, column) => format!("{what} (line {line}, column {column})"),
    }
}

/// Parses the timestamp of an option.
pub(super) fn moment(option: &str, text: &str) -> Result<jiff::Timestamp, Failed> {
    text.parse().map_err(|_| {
        print_misused(&format!(
            "{option} {text}: this is no moment with its offset; write for example `2026-01-31T09:00:00+01:00` or \
             `2026-01-31T08:00:00Z`"
        ))
    })
}

/// Checks that the timestamp of an option is in the future.
pub(super) fn future_moment(option: &str, text: &str) -> Result<(), Failed> {
    match moment(option, text)? <= jiff::Timestamp::now() {
        true => Err(print_misused(&format!(
            "{option} {text}: this moment has passed; name a later one"
        ))),
        false => Ok(()),
    }
}

/// Prints that a file can't be read.
pub(super) fn print_unread(name: &str, why: &str) -> Failed {
    let (name, why) = nameless(name, why);
    print_coded(codes::AG9010, &format!("{name} can't be read: {why}"))
}

/// Prints that a file can't be written.
pub(super) fn print_unwritten(name: &str, why: &str) -> Failed {
    let (name, why) = nameless(name, why);
    print_coded(codes::AG9011, &format!("{name} can't be written: {why}"))
}

/// Returns the name and the error for messages. An empty name comes from an unset variable, as in `"$FILE"` of a shell.
fn nameless<'n>(name: &'n str, why: &'n str) -> (&'n str, &'n str) {
    match name {
        "" => (
            "a file without a name",
            "the argument is empty; is a variable of the shell not set?",
        ),
        name => (name, why),
    }
}

/// Maximum bytes of a file that is read as a whole. Endless files (`/dev/zero`) are rejected.
const MAX_FILE_BYTES: usize = 1 << 30;

/// Reads a file, or standard input for `-`.
pub(super) fn read(name: &str) -> Result<Vec<u8>, Failed> {
    read_at_most(name, MAX_FILE_BYTES).map_err(|what| print_unread(name, &what))
}

/// Returns the reason why a file can't be read, with a suggested fix.
pub(super) fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file; is the path right?".to_owned(),
        ErrorKind::PermissionDenied => {
            "permission denied; run this as a user who may read it".to_owned()
        }
        ErrorKind::IsADirectory => "it is a folder; name a file".to_owned(),
        ErrorKind::NotADirectory => {
            "a part of its path is a file, not a folder; is the path right?".to_owned()
        }
        ErrorKind::InvalidFilename => "its name is too long; name another file".to_owned(),
        ErrorKind::UnexpectedEof => {
            "the compressed data ends early: the file was cut off, or is being written just now"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

/// Returns the reason why a file can't be written or deleted, with a suggested fix.
pub(super) fn unwritable(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "its folder does not exist; make it first".to_owned(),
        ErrorKind::PermissionDenied => {
            "permission denied; run this as a user who may write to its folder".to_owned()
        }
        ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only; name a file elsewhere".to_owned()
        }
        ErrorKind::StorageFull => "the disk is full; nothing was changed".to_owned(),
        ErrorKind::BrokenPipe => "nobody reads it any more".to_owned(),
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            "a file stands where a folder is needed; name another place".to_owned()
        }
        ErrorKind::IsADirectory => "it is a folder; name a file".to_owned(),
        _ => error.to_string(),
    }
}

/// Reads a file of at most `most` bytes, or standard input for `-`.
///
/// # Errors
/// The file cannot be read, or is larger.
pub(super) fn read_at_most(name: &str, most: usize) -> Result<Vec<u8>, String> {
    take_at_most(
        opened(name).as_mut().map_err(|error| unreadable(error))?,
        most,
    )
}

/// Reads at most the first bytes of a file; `None` if it can't be read.
pub(super) fn read_start(name: &str, most: u64) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    let file = std::fs::File::open(name).ok()?;
    file.take(most).read_to_end(&mut start).ok()?;
    Some(start)
}

/// Whether standard input has been taken. A second reader would find it empty and report a wrong error.
static IS_STDIN_TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes standard input, which can be read only once.
///
/// # Errors
/// Standard input was taken for another argument.
pub(super) fn stdin() -> std::io::Result<std::io::StdinLock<'static>> {
    match IS_STDIN_TAKEN.swap(true, Ordering::Relaxed) {
        false => Ok(std::io::stdin().lock()),
        true => Err(std::io::Error::other(
            "standard input is asked for twice; name a file for one of them",
        )),
    }
}

/// Opens a file, or standard input for `-`.
fn opened(name: &str) -> std::io::Result<Box<dyn Read>> {
    Ok(match name {
        STDIN => Box::new(stdin()?),
        name => Box::new(std::fs::File::open(name)?),
    })
}

fn take_at_most(input: &mut dyn Read, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    match input.take(limit).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() > most => Err(format!(
            "too large: more than {most} bytes; is it the right file?"
        )),
        Ok(_) => Ok(bytes),
        Err(error) => Err(unreadable(&error)),
    }
}

/// Replaces a file atomically: the contents are written to a temporary file in the same folder, which is then renamed. A reader
/// gets the old contents or the new ones, never a part of them. An existing file keeps its permissions and, if that is permitted,
/// its owner. A symbolic link is kept, and its target replaced. A device or a pipe is written to directly.
pub(super) fn replace_file(name: &str, contents: &[u8]) -> Result<(), Failed> {
    replace(name, contents, false)
}

/// Replaces a file that an Envoy may watch. Envoy reads a file again when something is renamed in the watched folder. If that
/// folder contains only a symbolic link, the link is renewed by renaming too.
pub(super) fn replace_watched_file(name: &str, contents: &[u8]) -> Result<(), Failed> {
    replace(name, contents, true)
}

fn replace(name: &str, contents: &[u8], is_watched: bool) -> Result<(), Failed> {
    if name == STDIN {
        return Err(print_unwritten(
            name,
            "it is no file that could be replaced; for a file of this name write `./-`",
        ));
    }
    let LinkedFile { links, target } =
        LinkedFile::of(name).map_err(|why| print_unwritten(name, &why))?;
    let failed = |error: std::io::Error| {
        let shown = match links.is_empty() {
            true => name.to_owned(),
            false => format!("{name}, a link to {},", target.display()),
        };
        print_unwritten(&shown, &unwritable(&error))
    };
    let existing = std::fs::metadata(&target).ok();
    if existing
        .as_ref()
        .is_some_and(|existing| !existing.is_file())
    {
        return std::fs::write(&target, contents).map_err(failed);
    }
    let mut beside = begin_beside(&target, existing.is_some()).map_err(failed)?;
    beside.write_all(contents).map_err(failed)?;
    if let Some(existing) = existing {
        keep_owner(beside.as_file(), &existing);
        beside
            .as_file()
            .set_permissions(existing.permissions())
            .map_err(failed)?;
    }
    // The contents are on the disk before the new name is visible, so after a crash the file is the old or the new one.
    beside.as_file().sync_all().map_err(failed)?;
    // Everything that can fail is done before anything is changed.
    let renewed = links.iter().filter(|_| is_watched);
    let renewals: Vec<Renewal> = renewed
        .map(|link| Renewal::prepare(link))
        .collect::<std::io::Result<_>>()
        .map_err(failed)?;
    beside
        .persist(&target)
        .map_err(|error| failed(error.error))?;
    renewals
        .into_iter()
        .try_for_each(Renewal::finish)
        .map_err(failed)
}

/// Creates the file that replaces another one. No other user can read it until it has the permissions of the one that it replaces,
/// which may be secret.
fn begin_beside(target: &Path, is_replaced: bool) -> std::io::Result<tempfile::NamedTempFile> {
    let mode = if is_replaced { 0o600 } else { 0o644 };
    temporary(mode).tempfile_in(folder_of(target))
}

/// Returns a builder of temporary files with these permissions, as far as the umask allows.
#[cfg_attr(not(unix), expect(unused_variables, reason = "permissions of Unix"))]
fn temporary(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".agentguard-").suffix(".new");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    builder
}

/// Gives a new file the owner and the group of the one that it replaces, so that an Envoy that runs as another user than the
/// operator can still read it. Only root may change the owner, and a member of the group may set the group.
#[cfg(unix)]
fn keep_owner(new: &std::fs::File, existing: &std::fs::Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};
    if fchown(new, Some(existing.uid()), Some(existing.gid())).is_err() {
        let _ = fchown(new, None, Some(existing.gid()));
    }
}

#[cfg(not(unix))]
fn keep_owner(_: &std::fs::File, _: &std::fs::Metadata) {}

/// Returns the folder of a file.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Maximum symbolic links from a name to its file, as in Linux.
const MAX_LINKS: usize = 40;

/// File with the symbolic links that lead to it.
pub(super) struct LinkedFile {
    links: Vec<PathBuf>,
    /// Path behind the links: of a file, or where one would be created.
    pub(super) target: PathBuf,
}

impl LinkedFile {
    /// Follows links. Fails with the reason if the links form a circle.
    pub(super) fn of(name: &str) -> Result<LinkedFile, String> {
        let mut links = Vec::new();
        let mut target = PathBuf::from(name);
        while let Ok(next) = std::fs::read_link(&target) {
            if links.len() >= MAX_LINKS {
                return Err("its symbolic links lead in a circle; name the file itself".to_owned());
            }
            let next = folder_of(&target).join(next);
            links.push(std::mem::replace(&mut target, next));
        }
        Ok(LinkedFile { links, target })
    }
}

/// Symbolic link that is renewed.
struct Renewal {
    beside: tempfile::NamedTempFile<()>,
    link: PathBuf,
}

impl Renewal {
    #[cfg(unix)]
    fn prepare(link: &Path) -> std::io::Result<Renewal> {
        let leads_to = std::fs::read_link(link)?;
        let link_to = |beside: &Path| std::os::unix::fs::symlink(&leads_to, beside);
        Ok(Renewal {
            beside: temporary(0o644).make_in(folder_of(link), link_to)?,
            link: link.to_owned(),
        })
    }

    #[cfg(not(unix))]
    fn prepare(_: &Path) -> std::io::Result<Renewal> {
        Err(std::io::Error::other(
            "name the file that the link leads to",
        ))
    }

    fn finish(self) -> std::io::Result<()> {
        self.beside
            .persist(self.link)
            .map(drop)
            .map_err(|error| error.error)
    }
}

/// Byte order mark that editors on Windows write.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a file of lines: plain, gzip or zstd, without a byte order mark. Notes if there is no line: an empty file is valid input,
/// but no output could pass for success if the wrong file was named.
pub(super) fn read_lines(name: &str) -> Result<Vec<u8>, Failed> {
    let content = opened(name).and_then(audit::unpacked);
    let mut bytes = content
        .map_err(|error| unreadable(&error))
        .and_then(|mut content| take_at_most(content.as_mut(), MAX_FILE_BYTES))
        .map_err(|what| print_unread(name, &what))?;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    if bytes.trim_ascii().is_empty() {
        note(&match name {
            STDIN => "standard input is empty".to_owned(),
            name => format!("{name} is empty"),
        });
    }
    Ok(bytes)
}

/// Returns a hint for a file whose JSON is not one object per line; empty for any other file.
pub(super) fn advice_on_lines(content: &[u8]) -> &'static str {
    let Ok(whole) = serde_json::from_slice::<serde_json::Value>(content) else {
        return "";
    };
    match whole {
        serde_json::Value::Array(_) => {
            "; the file is one array: `jq -c '.[]' FILE` writes its items, one on each line"
        }
        serde_json::Value::Object(_) if content.trim_ascii().contains(&b'\n') => {
            "; the file is one object on several lines: `jq -c . FILE` writes it on one"
        }
        _ => "",
    }
}

/// Returns a text of a client or a model in one line, without characters that could hide something or control a terminal.
pub(super) fn visible(text: &str) -> String {
    visible_but(text, "")
}

/// Returns a text for a person, which may have several lines.
fn visible_lines(text: &str) -> String {
    visible_but(text, "\n\t")
}

/// Returns text that a library rendered for a terminal, with its colours. Its input is visible already, except for quoted lines.
pub(super) fn visible_rendered(text: &str) -> String {
    visible_but(text, "\n\t\u{1b}")
}

fn visible_but(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        match is_hidden(c) && !kept.contains(c) && !is_part_of_emoji(c, before) {
            true => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            false => out.push(c),
        }
        before = c;
    }
    out
}

/// Returns JSON in which characters that are invisible or control a terminal are escaped. They occur only in strings, except for
/// white space.
pub(super) fn visible_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        match is_hidden(c) && !matches!(c, '\n' | '\r' | '\t') {
            true => {
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            false => out.push(c),
        }
    }
    out
}

/// Returns whether a character is invisible or controls a terminal.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            u32::from(c),
            0xAD | 0x34F
                | 0x61C
                | 0x115F
                | 0x1160
                | 0x17B4
                | 0x17B5
                | 0x180B..=0x180F
                | 0x200B..=0x200F
                | 0x2028..=0x202E
                | 0x2060..=0x206F
                | 0x3164
                | 0xFE00..=0xFE0F
                | 0xFEFF
                | 0xFFA0
                | 0xFFF9..=0xFFFB
                | 0xFFFE..=0xFFFF
                | 0xE0000..=0xE0FFF
        )
}

/// Returns whether a character only selects the coloured form of the symbol before it, as in a warning sign.
fn is_part_of_emoji(c: char, before: char) -> bool {
    c == '\u{FE0F}' && matches!(u32::from(before), 0x2190..=0x2BFF | 0x1F000..=0x1FAFF)
}

/// Returns a URL for a message, without user and password.
pub(super) fn without_password(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    // The last one: a password that is not escaped contains anything.
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}…@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        for (url, shown) in [
            ("https://user:pw@x", "https://…@x"),
            ("https://user:p@/w@x/v1", "https://…@x/v1"),
            ("user:pw@x", "…@x"),
            ("https://x", "https://x"),
            ("", ""),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn what_an_agent_wrote_can_not_hide_a_character() {
        assert_eq!(visible("refund 100 €"), "refund 100 €");
        assert_eq!(visible("a\u{1b}[2K\r\nb"), "a\\u{1b}[2K\\u{d}\\u{a}b");
        assert_eq!(visible("x\u{202e}001\u{200b}"), "x\\u{202e}001\\u{200b}");
        assert_eq!(
            visible("\u{9b}2J \u{feff}\u{e0041}"),
            "\\u{9b}2J \\u{feff}\\u{e0041}"
        );
    }

    #[test]
    fn json_steers_no_terminal_and_has_the_same_values() {
        let value = serde_json::json!({
            "a\u{9b}2J": "\u{202e}x\u{feff}\u{e0041}é€\u{26a0}\u{fe0f}\u{1b}\\u202e\n",
        });
        for json in [value.to_string(), format!("{value:#}\n")] {
            let shown = visible_json(&json);
            assert!(
                !shown.contains(|c: char| is_hidden(c) && c != '\n'),
                "{shown}"
            );
            assert!(shown.contains("é€\u{26a0}"), "{shown}");
            let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(read, value);
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_what_is_to_replace_a_file_before_it_has_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("filter.json");
        let mode = |is_replaced| {
            let beside = begin_beside(&target, is_replaced).unwrap();
            beside.as_file().metadata().unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode(true), 0o600);
        // As far as the umask allows.
        assert_eq!(mode(false) & !0o644, 0);
    }

    #[test]
    fn only_a_symbol_has_a_colour() {
        assert_eq!(visible("\u{26a0}\u{fe0f} Ask"), "\u{26a0}\u{fe0f} Ask");
        assert_eq!(visible("a\u{fe0f}"), "a\\u{fe0f}");
        assert_eq!(
            visible("\u{26a0}\u{fe0f}\u{fe0f}"),
            "\u{26a0}\u{fe0f}\\u{fe0f}"
        );
    }

    #[test]
    fn text_for_people_keeps_its_lines_and_what_is_rendered_its_colours() {
        assert_eq!(visible_lines("a\n\tb\r\u{1b}[0m"), "a\n\tb\\u{d}\\u{1b}[0m");
        assert_eq!(
            visible_rendered("\u{1b}[1ma\u{200b}\n"),
            "\u{1b}[1ma\\u{200b}\n"
        );
    }
}
