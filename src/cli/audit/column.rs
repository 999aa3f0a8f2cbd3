//! Column of a member's values that differ in nearly every record, in the order of the records. A query reads the values of one
//! member and no lines.
//!
//! Each entry has the distance to the previous record, a header (length and shape) and the value: `02 1D "10.0.0."`. Ids of
//! hexadecimal digits take half of their length.

use memchr::memmem;

/// Positions of the dashes in the shapes of hexadecimal digits: none, UUID, `traceparent`.
const SHAPES: [&[usize]; 3] = [&[], &[8, 13, 18, 23], &[2, 35, 52]];

/// Minimum bytes of a text that is packed.
const MIN_PACKED: usize = 8;

/// Entries of consecutive records that are written together.
#[derive(Debug, Default)]
pub(super) struct Column {
    first: u32,
    last: u32,
    bytes: Vec<u8>,
}

impl Column {
    /// Adds a value of a record, which is the last one or a later one.
    pub(super) fn push(&mut self, record: u32, value: &str) {
        if self.bytes.is_empty() {
            (self.first, self.last) = (record, record);
        }
        number(&mut self.bytes, u64::from(record.saturating_sub(self.last)));
        self.last = record;
        pack(value, &mut self.bytes);
    }

    /// Removes and returns the entries, with the number of the first record. `None` if there are none.
    pub(super) fn take(&mut self) -> Option<(u32, Vec<u8>)> {
        let bytes = std::mem::take(&mut self.bytes);
        (!bytes.is_empty()).then_some((self.first, bytes))
    }
}

/// Writes a number, seven bits per byte.
fn number(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7F).unwrap_or(0);
        value >>= 7;
        match value {
            0 => return out.push(low),
            _ => out.push(low | 0x80),
        }
    }
}

/// Reads a number.
fn read_number<'b>(bytes: &mut &'b [u8]) -> Option<u64> {
    let (mut value, mut shift) = (0_u64, 0_u32);
    loop {
        let (byte, rest): (&'b u8, &'b [u8]) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F).checked_shl(shift)?;
        shift = shift.saturating_add(7);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

/// Returns the bytes of hexadecimal digits, which have the dashes of a shape; `None` for any other text.
fn packed(value: &[u8], dashes: &[usize]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len().div_euclid(2));
    let mut high = None;
    for (at, byte) in value.iter().enumerate() {
        if dashes.contains(&at) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = digit(*byte)?;
        match high.take() {
            None => high = Some(digit << 4),
            Some(high) => out.push(high | digit),
        }
    }
    let ends_with_digit = value.last() != Some(&b'-');
    let is_long = dashes.last().is_none_or(|last| value.len() > *last);
    (high.is_none() && is_long && ends_with_digit).then_some(out)
}

/// Writes the header and the value. Equal values have equal bytes, and different values different ones.
pub(super) fn pack(value: &str, out: &mut Vec<u8>) {
    let bytes = value.as_bytes();
    let shaped = (1_u64..).zip(SHAPES).find_map(|(shape, dashes)| {
        let is_worth = bytes.len() >= MIN_PACKED;
        let packed = is_worth.then(|| packed(bytes, dashes)).flatten()?;
        Some((shape, packed))
    });
    let (shape, bytes) = match &shaped {
        Some((shape, packed)) => (*shape, packed.as_slice()),
        None => (0, bytes),
    };
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    number(out, length << 2 | shape);
    out.extend_from_slice(bytes);
}

/// Digits by their values.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Returns the digit of a value below 16.
fn digit_of(value: u8) -> Option<u8> {
    DIGITS.get(usize::from(value)).copied()
}

/// Returns the text of an entry, which is written to `out` if it was packed. `None` if the entry is damaged.
fn unpack<'t>(shape: u64, bytes: &'t [u8], out: &'t mut Vec<u8>) -> Option<&'t str> {
    let Some(index) = usize::try_from(shape).ok()?.checked_sub(1) else {
        return std::str::from_utf8(bytes).ok();
    };
    let mut dashes = SHAPES.get(index)?.iter();
    let mut dash = dashes.next();
    out.clear();
    for byte in bytes {
        // A dash is never between the two digits of a byte.
        if dash == Some(&out.len()) {
            out.push(b'-');
            dash = dashes.next();
        }
        out.extend_from_slice(&[digit_of(byte >> 4)?, digit_of(byte & 0xF)?]);
    }
    std::str::from_utf8(out).ok()
}

/// Properties of every entry that matches a glob, by which most other entries are skipped without unpacking.
#[derive(Default)]
pub(super) struct Hints {
    /// Start of a matching value, if it is not packed and for each shape. `None`: no value of this shape matches.
    starts: Option<[Option<Vec<u8>>; SHAPES.len() + 1]>,
    /// Byte strings of which each matching value contains one. Empty if there are none.
    needles: Vec<memmem::Finder<'static>>,
}

impl Hints {
    /// Returns the hints of a glob; without a glob, no hints.
    pub(super) fn of(glob: Option<&str>) -> Hints {
        let Some(glob) = glob else {
            return Hints::default();
        };
        let mut parts = glob.split('*');
        let [plain, uuid, trace] = SHAPES;
        let starts = parts.next().filter(|start| !start.is_empty()).map(|start| {
            let of_shape = |dashes| packed_start(start.as_bytes(), dashes);
            let text = Some(start.as_bytes().to_vec());
            [text, of_shape(plain), of_shape(uuid), of_shape(trace)]
        });
        let longest = parts.max_by_key(|part| part.len());
        Hints {
            starts,
            needles: longest.map(needles_of).unwrap_or_default(),
        }
    }

    /// Returns the positions of needles in the entries, in order.
    fn places(&self, bytes: &[u8]) -> Vec<usize> {
        let mut places = Vec::new();
        for needle in &self.needles {
            let mut from = 0_usize;
            // Overlapping matches count: a match across two entries must not hide one in the second.
            while let Some(at) = bytes.get(from..).and_then(|rest| needle.find(rest)) {
                from = from.saturating_add(at);
                places.push(from);
                from = from.saturating_add(1);
            }
        }
        places.sort_unstable();
        places
    }

    fn begins(&self, shape: u64, value: &[u8]) -> bool {
        let Some(starts) = &self.starts else {
            return true;
        };
        let shape = usize::try_from(shape).unwrap_or(usize::MAX);
        let start = starts.get(shape).and_then(Option::as_ref);
        start.is_some_and(|start| value.starts_with(start))
    }
}

/// Returns the bytes with which the packed form of a text begins. An odd last digit is left out.
fn packed_start(start: &[u8], dashes: &[usize]) -> Option<Vec<u8>> {
    let (mut bytes, mut high) = (Vec::new(), None);
    for (at, byte) in start.iter().enumerate() {
        if dashes.contains(&at) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = digit(*byte)?;
        match high.take() {
            None => high = Some(digit << 4),
            Some(high) => bytes.push(high | digit),
        }
    }
    Some(bytes)
}

/// Minimum digits that contain at least one whole byte of a packed value, wherever they begin.
const MIN_DIGITS: usize = 3;

/// Returns byte strings of which every value that contains a text has one: the text, and its digits packed from the first or the
/// second on.
fn needles_of(text: &str) -> Vec<memmem::Finder<'static>> {
    let run = text.split('-').max_by_key(|run| run.len()).unwrap_or(text);
    let is_packable = text
        .bytes()
        .all(|byte| byte == b'-' || digit(byte).is_some());
    if text.is_empty() || (is_packable && run.len() < MIN_DIGITS) {
        return Vec::new();
    }
    let mut needles = vec![text.as_bytes().to_vec()];
    if is_packable {
        let run = run.as_bytes();
        let behind_first = run.get(1..).unwrap_or_default();
        needles.extend([run, behind_first].map(|run| packed_start(run, &[]).unwrap_or_default()));
    }
    let finders = needles
        .iter()
        .map(|needle| memmem::Finder::new(needle).into_owned());
    finders.collect()
}

/// Selection of entries.
pub(super) enum Wanted<'w> {
    /// Entries whose packed form is one of these.
    Exactly(Vec<Vec<u8>>),
    /// Entries whose text matches, with the hints of the condition.
    Meant(Hints, &'w dyn Fn(&str) -> bool),
}

/// Passes the records of selected entries to `take`. `None` if the entries are damaged.
pub(super) fn find(
    first: u32,
    mut bytes: &[u8],
    wanted: &Wanted<'_>,
    take: &mut dyn FnMut(u32),
) -> Option<()> {
    let mut record = first;
    let mut text = Vec::new();
    let size = bytes.len();
    let mut places = Vec::new();
    if let Wanted::Meant(hints, _) = wanted
        && !hints.needles.is_empty()
    {
        places = hints.places(bytes);
        if places.is_empty() {
            return Some(());
        }
    }
    let mut places = places.into_iter().peekable();
    while !bytes.is_empty() {
        let distance = u32::try_from(read_number(&mut bytes)?).ok()?;
        record = record.checked_add(distance)?;
        let entry = bytes;
        let header = read_number(&mut bytes)?;
        let length = usize::try_from(header >> 2).ok()?;
        let (value, rest) = bytes.split_at_checked(length)?;
        let entry = entry.get(..entry.len().checked_sub(rest.len())?)?;
        bytes = rest;
        let is_wanted = match wanted {
            Wanted::Exactly(packed) => packed.iter().any(|packed| packed == entry),
            Wanted::Meant(hints, is_meant) => {
                let end = size.saturating_sub(bytes.len());
                let mut has_needle = hints.needles.is_empty();
                while let Some(place) = places.next_if(|place| *place < end) {
                    has_needle |= place >= end.saturating_sub(value.len());
                }
                has_needle
                    && hints.begins(header & 3, value)
                    && is_meant(unpack(header & 3, value, &mut text)?)
            }
        };
        if is_wanted {
            take(record);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: &[&str] = &[
        "",
        "0",
        "deadbeef",
        "deadbee",
        "DEADBEEF",
        "87b0b125-ec1d-7da0-a6eb-8c9ebd69fe29",
        "87b0b125-ec1d-7da0-a6eb-8c9ebd69fe2g",
        "87b0b125-ec1d-7da0-a6eb-8c9ebd69fe2",
        "00-2827688de6a16a3b0d464138a6233255-5f2dd97f1cfb10f6-01",
        "00-2827688de6a16a3b0d464138a6233255-5f2dd97f1cfb10f6-",
        "--------",
        "é\n\u{0}",
        "87b0b125",
    ];

    #[test]
    fn every_value_comes_back_with_its_record() {
        let mut column = Column::default();
        for (record, value) in (7..).zip(VALUES) {
            column.push(record * 300, value);
        }
        let (first, bytes) = column.take().unwrap();
        assert!(column.take().is_none());
        for (record, value) in (7..).zip(VALUES) {
            let mut pattern = Vec::new();
            pack(value, &mut pattern);
            let is_meant = |text: &str| text == *value;
            let ends = value.char_indices().map(|(at, _)| at).chain([value.len()]);
            let globs = ends.flat_map(|end| {
                let (start, rest) = value.split_at(end);
                [
                    format!("{start}*"),
                    format!("*{rest}"),
                    format!("*{start}*"),
                ]
            });
            let meant = globs.map(|glob| Wanted::Meant(Hints::of(Some(&glob)), &is_meant));
            let exactly = Wanted::Exactly(vec![pattern]);
            let all = Wanted::Meant(Hints::default(), &is_meant);
            for wanted in [exactly, all].into_iter().chain(meant) {
                let mut found = Vec::new();
                find(first, &bytes, &wanted, &mut |record| found.push(record)).unwrap();
                assert_eq!(found, [record * 300], "{value}");
            }
        }
    }

    #[test]
    fn an_id_takes_half_of_its_length() {
        for (value, size) in [(VALUES[5], 17), (VALUES[8], 27), (VALUES[2], 5)] {
            let mut bytes = Vec::new();
            pack(value, &mut bytes);
            assert_eq!(bytes.len(), size, "{value}");
        }
    }

    #[test]
    fn damaged_entries_are_noticed_and_read_no_further() {
        let mut column = Column::default();
        column.push(1, "deadbeef");
        column.push(2, "text");
        let (first, bytes) = column.take().unwrap();
        let all = |_: &str| true;
        for end in 1..bytes.len() {
            let found = find(
                first,
                &bytes[..end],
                &Wanted::Meant(Hints::default(), &all),
                &mut |_| {},
            );
            assert!(found.is_none() || end == 6, "{end}");
        }
        let endless = [0x80; 20];
        assert!(
            find(
                0,
                &endless,
                &Wanted::Meant(Hints::default(), &all),
                &mut |_| {}
            )
            .is_none()
        );
    }
}
