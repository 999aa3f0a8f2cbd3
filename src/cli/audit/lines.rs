//! Reader of the lines of audit logs: plain, gzip or zstd, with any number of members or frames. Its memory is bounded.

use super::output::BYTE_ORDER_MARK;
use crate::audit::{Fault, Place};
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};

/// Maximum bytes of a line. Records are far shorter; a longer line is no record and is not kept.
pub(super) const MAX_LINE: u64 = 16 << 20;

/// Maximum bytes of a line that is skipped. A file with more bytes between two line ends has no lines (`/dev/zero`).
const MAX_PASSED_OVER: u64 = 256 << 20;

/// Bytes of one read.
const BUFFER: usize = 1 << 20;

/// Lines of one file.
pub(super) struct Lines {
    input: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
    offset: u64,
    file: usize,
}

/// Line without its end.
pub(super) struct Line<'l> {
    pub(super) bytes: &'l [u8],
    pub(super) at: Place,
    /// Offset of its end in the uncompressed content.
    pub(super) behind: u64,
    /// False for a last line without a line feed.
    pub(super) is_complete: bool,
}

/// Compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Determines the compression from a file's first bytes. pzstd writes a skippable frame first.
    fn of(start: &[u8]) -> Result<Compression, &'static str> {
        match *start {
            [0x1F, 0x8B, ..] => Ok(Compression::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD] | [0x50..=0x5F, 0x2A, 0x4D, 0x18] => Ok(Compression::Zstd),
            [0xFD, b'7', b'z', b'X'] => Err("it is compressed with xz; unpack it first"),
            [b'B', b'Z', b'h', _] => Err("it is compressed with bzip2; unpack it first"),
            [0x04, 0x22, 0x4D, 0x18] => Err("it is compressed with lz4; unpack it first"),
            _ => Ok(Compression::None),
        }
    }
}

impl Lines {
    /// Opens a file, or standard input for `-`. `number` identifies the file in places.
    pub(super) fn open(name: &str, number: usize) -> io::Result<Lines> {
        let input: Box<dyn Read> = match name {
            super::output::STDIN => Box::new(super::output::stdin()?),
            name => Box::new(File::open(name)?),
        };
        Lines::new(input, number)
    }

    fn new(input: Box<dyn Read>, file: usize) -> io::Result<Lines> {
        Ok(Lines {
            input: unpacked(input)?,
            line: Vec::new(),
            number: 0,
            offset: 0,
            file,
        })
    }

    /// Opens a file after lines that were read before. The position is their number, and their bytes in the uncompressed
    /// content.
    pub(super) fn open_behind(
        name: &str,
        number: usize,
        lines: u64,
        offset: u64,
    ) -> io::Result<Lines> {
        let mut opened = Lines::open(name, number)?;
        if offset == 0 {
            // Also a pipe, which has no position, and whose content is gone when it is opened again.
            return Ok(opened);
        }
        if is_compressed(name) {
            let mut passed = (&mut opened.input).take(offset);
            if io::copy(&mut passed, &mut io::sink())? < offset {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        } else {
            let mut file = File::open(name)?;
            file.seek(SeekFrom::Start(offset))?;
            opened.input = Box::new(BufReader::with_capacity(BUFFER, file));
        }
        (opened.number, opened.offset) = (lines, offset);
        Ok(opened)
    }

    /// Returns the next line; `None` at the end.
    ///
    /// # Errors
    /// The rest of the file can't be read.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, Fault> {
        self.number = self.number.saturating_add(1);
        let at = Place {
            file: self.file,
            line: self.number,
        };
        self.line.clear();
        let fault = |error: io::Error| fault_of(&error, at);
        let mut limited = (&mut self.input).take(MAX_LINE);
        let size = limited.read_until(b'\n', &mut self.line).map_err(fault)?;
        if size == 0 {
            return Ok(None);
        }
        let mut length = size;
        let mut is_complete = self.line.last() == Some(&b'\n');
        if is_complete {
            self.line.pop();
        } else if u64::try_from(size).unwrap_or(u64::MAX) >= MAX_LINE {
            let mut behind = (&mut self.input).take(MAX_PASSED_OVER);
            let rest = behind.skip_until(b'\n').map_err(fault)?;
            if behind.limit() == 0 {
                let why = "more than 256 MiB follow without a line end; is it the right file?";
                return Err(fault(io::Error::other(why)));
            }
            length = length.saturating_add(rest);
            // The line is too long for a record, however it ends.
            is_complete = true;
            self.line.clear();
            self.line.extend_from_slice(TOO_LONG);
        }
        if self.offset == 0 && self.line.starts_with(BYTE_ORDER_MARK) {
            self.line.drain(..BYTE_ORDER_MARK.len());
        }
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.offset = self.offset.saturating_add(length);
        Ok(Some(Line {
            bytes: &self.line,
            at,
            behind: self.offset,
            is_complete,
        }))
    }
}

/// Returns the content of plain, gzip or zstd data.
///
/// # Errors
/// The data can't be read, or have another compression.
pub(in crate::cli) fn unpacked(mut input: Box<dyn Read>) -> io::Result<Box<dyn BufRead>> {
    // A read from a pipe may return fewer bytes than requested.
    let mut start = Vec::new();
    input.by_ref().take(4).read_to_end(&mut start)?;
    let compression = Compression::of(&start).map_err(io::Error::other)?;
    let input = Cursor::new(start).chain(input);
    let input = BufReader::with_capacity(BUFFER, input);
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => {
            let decoder = MultiGzDecoder::new(input);
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
        Compression::Zstd => Box::new(BufReader::with_capacity(BUFFER, Frames::new(input))),
    })
}

/// Returns whether a file is compressed with gzip or zstd.
pub(super) fn is_compressed(name: &str) -> bool {
    let mut start = Vec::new();
    let read = File::open(name).and_then(|file| file.take(4).read_to_end(&mut start));
    let compression = Compression::of(&start);
    read.is_ok() && matches!(compression, Ok(Compression::Gzip | Compression::Zstd))
}

/// Replacement of a line that is too long. It is no record.
const TOO_LONG: &[u8] = b"too long";

/// Returns the fault of a file that can't be read.
pub(super) fn fault_of(error: &io::Error, at: Place) -> Fault {
    match error.kind() {
        ErrorKind::UnexpectedEof => Fault::TruncatedFile(at),
        _ => Fault::Unreadable {
            at,
            why: error.to_string(),
        },
    }
}

/// Error for other data where a frame should begin.
const NO_FRAME: &str =
    "what follows is no zstd data: something else was appended, or the file is damaged";

/// Content of all frames of a zstd file. Checksums are verified, and skippable frames are skipped.
struct Frames<R> {
    input: R,
    decoder: FrameDecoder,
    is_inside: bool,
}

impl<R: BufRead> Frames<R> {
    fn new(input: R) -> Frames<R> {
        Frames {
            input,
            decoder: FrameDecoder::new(),
            is_inside: false,
        }
    }

    /// Begins the next frame with content. Returns false at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.input) {
                Ok(()) => {
                    self.is_inside = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let mut skipped = (&mut self.input).take(length);
                    if io::copy(&mut skipped, &mut io::sink())? < length {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(FrameDecoderError::ReadFrameHeaderError(
                    ReadFrameHeaderError::BadMagicNumber(_),
                )) => return Err(io::Error::other(NO_FRAME)),
                Err(error) => return Err(as_io_error(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_inside && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() < buffer.len() && !self.decoder.is_finished() {
                let wanted = buffer.len().saturating_sub(self.decoder.can_collect());
                let strategy = BlockDecodingStrategy::UptoBytes(wanted);
                self.decoder
                    .decode_blocks(&mut self.input, strategy)
                    .map_err(as_io_error)?;
            }
            let size = self.decoder.read(buffer)?;
            if size > 0 || buffer.is_empty() {
                return Ok(size);
            }
            if let Some(written) = self.decoder.get_checksum_from_data()
                && Some(written) != self.decoder.get_calculated_checksum()
            {
                return Err(io::Error::other("the checksum of a zstd frame is wrong"));
            }
            self.is_inside = false;
        }
    }
}

/// Converts an error of the decoder. An unexpected end of the input remains recognisable.
fn as_io_error(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        let read = inner.downcast_ref::<io::Error>();
        if read.is_some_and(|error| error.kind() == ErrorKind::UnexpectedEof) {
            return ErrorKind::UnexpectedEof.into();
        }
        cause = inner.source();
    }
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    /// Reader that returns one byte at a time, like a slow pipe.
    struct Trickle(Cursor<Vec<u8>>);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let one = buffer.len().min(1);
            self.0.read(&mut buffer[..one])
        }
    }

    fn read(bytes: Vec<u8>) -> (Vec<String>, Option<&'static str>) {
        let mut lines = match Lines::new(Box::new(Trickle(Cursor::new(bytes))), 0) {
            Ok(lines) => lines,
            Err(error) => return (Vec::new(), Some(fault_of(&error, Place::default()).word())),
        };
        let mut seen = Vec::new();
        loop {
            match lines.next() {
                Ok(Some(line)) => {
                    let end = if line.is_complete { "\n" } else { "" };
                    seen.push(format!("{}{end}", String::from_utf8_lossy(line.bytes)));
                }
                Ok(None) => return (seen, None),
                Err(fault) => return (seen, Some(fault.word())),
            }
        }
    }

    fn zstd(text: &str) -> Vec<u8> {
        compress_to_vec(text.as_bytes(), CompressionLevel::Fastest)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    const SKIPPABLE: &[u8] = &[0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3];

    #[test]
    fn all_frames_and_members_are_read_however_a_line_is_cut_between_them() {
        let frames = [
            zstd("one\ntw"),
            zstd(""),
            SKIPPABLE.to_vec(),
            zstd("o\nthree"),
        ];
        let members = [gzip("one\ntw"), gzip(""), gzip("o\nthree")];
        for bytes in [
            frames.concat(),
            [SKIPPABLE, &frames.concat()].concat(),
            members.concat(),
            b"one\ntwo\nthree".to_vec(),
            b"\xEF\xBB\xBFone\ntwo\nthree".to_vec(),
        ] {
            let all = ["one\n", "two\n", "three"].map(str::to_owned).to_vec();
            assert_eq!(read(bytes), (all, None));
        }
    }

    #[test]
    fn empty_files_and_empty_frames_have_no_lines() {
        for bytes in [Vec::new(), zstd(""), gzip(""), SKIPPABLE.to_vec()] {
            assert_eq!(read(bytes), (Vec::new(), None));
        }
    }

    #[test]
    fn a_cut_is_told_from_damage() {
        let whole = zstd("one\ntwo\n");
        for end in 5..whole.len() {
            assert_eq!(read(whole[..end].to_vec()).1, Some("truncated"), "{end}");
        }
        let cut = [&SKIPPABLE[..9], &[]].concat();
        assert_eq!(read(cut).1, Some("truncated"));
        let whole = gzip("one\ntwo\n");
        for end in 11..whole.len() {
            assert_eq!(read(whole[..end].to_vec()).1, Some("truncated"), "{end}");
        }
        for (bytes, noise) in [
            (zstd("one\n"), "noise, no frame"),
            (gzip("one\n"), "noise, no member"),
        ] {
            let (lines, fault) = read([bytes, noise.as_bytes().to_vec()].concat());
            assert_eq!(
                (lines, fault),
                (vec!["one\n".to_owned()], Some("unreadable"))
            );
        }
        assert_eq!(read(b"BZh9".to_vec()).1, Some("unreadable"));
    }

    #[test]
    fn every_flipped_bit_of_a_compressed_file_is_noticed_or_changes_nothing() {
        for whole in [zstd("one\ntwo\nthree\n"), gzip("one\ntwo\nthree\n")] {
            let sound = read(whole.clone());
            for at in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[at] ^= 0x10;
                let (lines, fault) = read(bytes);
                assert!(
                    fault.is_some() || lines == sound.0 || at < 4,
                    "{at}: {lines:?}"
                );
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let mut text = vec![b'x'; usize::try_from(MAX_LINE).unwrap() + 5];
        text.extend_from_slice(b"\nnext\n");
        let mut lines = Lines::new(Box::new(Cursor::new(text)), 0).unwrap();
        assert_eq!(lines.next().unwrap().unwrap().bytes, TOO_LONG);
        let next = lines.next().unwrap().unwrap();
        assert_eq!((next.bytes, next.at.line), (&b"next"[..], 2));
        assert!(lines.next().unwrap().is_none());
    }

    #[test]
    fn a_line_without_an_end_is_not_read_for_ever() {
        let mut lines = Lines::new(Box::new(io::repeat(0)), 0).unwrap();
        match lines.next() {
            Err(Fault::Unreadable { at, why }) => {
                assert_eq!(at.line, 1);
                assert!(why.contains("without a line end"), "{why}");
            }
            _ => panic!("a fault was expected"),
        }
    }
}
