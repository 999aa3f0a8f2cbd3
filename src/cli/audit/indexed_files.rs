//! Files that an index contains, and their positions. They are recognised if they were renamed or compressed since.
//!
//! A file is identified by its inode, or by its content: a digest of all lines that were read. A file that only grew is identified by
//! its first and its last line; `audit verify` finds changes in between.

use super::lines::{Lines, is_compressed};
use sha2::{Digest, Sha256};
use std::fs::Metadata;
use std::io::{Read, Seek, SeekFrom};

/// SHA-256.
type LineDigest = [u8; 32];

/// Position up to which a file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Number of bytes of its uncompressed content.
    pub(super) offset: u64,
    pub(super) lines: u64,
    /// Digest of the first line.
    pub(super) head: LineDigest,
    /// Offset of the last line.
    pub(super) tail: u64,
    /// Digest of the last line.
    pub(super) last: LineDigest,
    /// Digest of all lines: each line is added to the previous digest.
    pub(super) digest: LineDigest,
}

impl Mark {
    /// Moves the mark after a line that ends at an offset. An empty line does not count: a record may get its line end later.
    pub(super) fn pass(&mut self, line: &[u8], behind: u64) {
        if line.is_empty() {
            return;
        }
        self.last = digest(line);
        if self.lines == 0 {
            self.head = self.last;
        }
        let mut all = Sha256::new();
        all.update(self.digest);
        all.update(self.last);
        self.digest = all.finalize().into();
        self.tail = self.offset;
        self.offset = behind;
        self.lines = self.lines.saturating_add(1);
    }
}

fn digest(line: &[u8]) -> LineDigest {
    Sha256::digest(line).into()
}

/// Metadata of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) device: u64,
    /// Inode; 0 if the system has none.
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    pub(super) modified: i64,
}

impl State {
    pub(super) fn of(name: &str) -> Option<State> {
        let file = std::fs::metadata(name).ok()?;
        let modified = file.modified().ok()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
        let (device, inode) = identity(&file);
        Some(State {
            device,
            inode,
            size: file.len(),
            modified: i64::try_from(since.as_nanos()).ok()?,
        })
    }

    fn is_same_file(&self, other: &State) -> bool {
        self.inode != 0 && (self.device, self.inode) == (other.device, other.inode)
    }
}

#[cfg(unix)]
fn identity(file: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// File of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IndexedFile {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) state: State,
    pub(super) mark: Mark,
}

/// Work of a run.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Files to read after their marks: those of the index, or new ones.
    pub(super) read: Vec<IndexedFile>,
    /// Files without new lines.
    pub(super) unchanged: Vec<IndexedFile>,
    /// Files that were cut or changed before their marks, with the number of their records. They are read from the beginning.
    pub(super) changed: Vec<(IndexedFile, u64)>,
    /// Files that were not named, or that no longer exist.
    pub(super) missing: Vec<(IndexedFile, u64)>,
}

/// Compares the named files with those of an index.
pub(super) fn plan(names: &[String], mut known: Vec<(IndexedFile, u64)>) -> Plan {
    let mut plan = Plan::default();
    let mut next = known.iter().map(|(file, _)| file.id).max().unwrap_or(0);
    let mut others = Vec::new();
    for name in names {
        let state = State::of(name).unwrap_or_default();
        let position = known.iter().position(|(file, _)| {
            file.state.is_same_file(&state) && begins_with(name, &state, file)
        });
        match position {
            Some(position) => {
                let (file, _) = known.remove(position);
                let is_unchanged = file.state == state;
                let file = IndexedFile {
                    name: name.clone(),
                    state,
                    ..file
                };
                match is_unchanged {
                    true => plan.unchanged.push(file),
                    false => plan.read.push(file),
                }
            }
            None => others.push((name, state)),
        }
    }
    // Files that were copied under another name, or compressed.
    let mut new = Vec::new();
    for (name, state) in others {
        match with_content_of(name, &known) {
            Some(position) => {
                let (file, _) = known.remove(position);
                plan.read.push(IndexedFile {
                    name: name.clone(),
                    state,
                    ..file
                });
            }
            None => new.push((name, state)),
        }
    }
    for (name, state) in &new {
        next = next.saturating_add(1);
        plan.read.push(IndexedFile {
            id: next,
            name: (*name).clone(),
            state: *state,
            mark: Mark::default(),
        });
    }
    let is_named = |file: &IndexedFile| {
        let mut new = new.iter();
        new.any(|(name, state)| {
            state.is_same_file(&file.state) || (state.inode == 0 && **name == file.name)
        })
    };
    (plan.changed, plan.missing) = known.into_iter().partition(|(file, _)| is_named(file));
    // In the order in which they were named.
    let place = |file: &IndexedFile| names.iter().position(|name| *name == file.name);
    plan.read.sort_by_key(place);
    plan
}

/// Returns whether a file still begins with the lines that the index has of it.
fn begins_with(name: &str, state: &State, file: &IndexedFile) -> bool {
    if *state == file.state {
        return true;
    }
    let grew = state.size > file.state.size && !is_compressed(name);
    match grew {
        true => has_ends(name, &file.mark).unwrap_or(false),
        false => with_content_of(name, &[(file.clone(), 0)]).is_some() || file.mark.lines == 0,
    }
}

/// Returns whether the first and the last line that were read are still there.
fn has_ends(name: &str, mark: &Mark) -> Option<bool> {
    if mark.lines == 0 {
        return Some(true);
    }
    let mut lines = Lines::open(name, 0).ok()?;
    if digest(lines.next().ok()??.bytes) != mark.head {
        return Some(false);
    }
    let mut file = std::fs::File::open(name).ok()?;
    file.seek(SeekFrom::Start(mark.tail)).ok()?;
    let mut last = Vec::new();
    let length = mark.offset.checked_sub(mark.tail)?;
    file.take(length).read_to_end(&mut last).ok()?;
    if u64::try_from(last.len()).ok()? < length {
        return Some(false);
    }
    let last = last.strip_suffix(b"\n").unwrap_or(&last);
    Some(digest(last) == mark.last || length > super::lines::MAX_LINE)
}

/// Returns the position of the known file all of whose lines this one begins with; of several, the one with most lines.
fn with_content_of(name: &str, known: &[(IndexedFile, u64)]) -> Option<usize> {
    let longest = known.iter().map(|(file, _)| file.mark.lines).max()?;
    let mut lines = Lines::open(name, 0).ok()?;
    let mut mark = Mark::default();
    let mut found = None;
    while mark.lines < longest {
        // An error ends the content; a match before it counts.
        let Ok(Some(line)) = lines.next() else {
            break;
        };
        let (bytes, behind) = (line.bytes, line.behind);
        mark.pass(bytes, behind);
        let is_first = mark.lines == 1;
        if is_first && !known.iter().any(|(file, _)| file.mark.head == mark.head) {
            break;
        }
        let position = known
            .iter()
            .position(|(file, _)| file.mark.lines == mark.lines && file.mark.digest == mark.digest);
        found = position.or(found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_lines_apart() {
        let read = |lines: &[&str]| {
            let mut mark = Mark::default();
            for line in lines {
                let behind = mark.offset + u64::try_from(line.len()).unwrap() + 1;
                mark.pass(line.as_bytes(), behind);
            }
            mark
        };
        let mark = read(&["one", "two", "three"]);
        assert_eq!((mark.offset, mark.tail, mark.lines), (14, 8, 3));
        assert_eq!((mark.head, mark.last), (digest(b"one"), digest(b"three")));
        assert_ne!(mark.digest, read(&["one", "twothree"]).digest);
        assert_ne!(mark.digest, read(&["one", "2", "three"]).digest);
    }
}
