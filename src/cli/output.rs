//! Printing, and reading what was named on the command line.
#![expect(clippy::print_stderr, reason = "this is where the command line speaks")]

use super::Failed;
use std::io::{ErrorKind, Read, Write};

/// The name that stands for standard input.
pub(super) const STDIN: &str = "-";

/// Prints a line. A reader that has gone away (`| head`) ends the program quietly.
pub(super) fn line(text: &str) {
    print(&format!("{text}\n"));
}

/// Prints text as it is.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        && error.kind() == ErrorKind::BrokenPipe
    {
        std::process::exit(0);
    }
}

/// Says what went wrong.
pub(super) fn complain(message: &str) -> Failed {
    eprintln!("agentguard: {message}");
    Failed
}

/// Reads a file, or standard input for `-`.
pub(super) fn read(name: &str) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    let read = if name == STDIN {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(name).map(|read| bytes = read)
    };
    match read {
        Ok(()) => Ok(bytes),
        Err(error) => Err(complain(&format!("{name} can't be read: {error}"))),
    }
}

/// The mark that editors on Windows begin files with; it says nothing about what they hold.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a file of lines.
pub(super) fn read_lines(name: &str) -> Result<Vec<u8>, Failed> {
    let mut bytes = read(name)?;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}
