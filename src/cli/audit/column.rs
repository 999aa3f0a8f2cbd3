//! Values of a member that differ in nearly every record, in the order of the records, so that a query reads the values of one
//! member and no lines.
//!
//! Each entry has the distance to the record before, a header (length and shape) and the value: `02 1D "10.0.0."`. Ids of
//! hexadecimal digits take half of their length.

/// Dashes of the shapes in which hexadecimal digits come: none, UUID, `traceparent`.
const SHAPES: [&[usize]; 3] = [&[], &[8, 13, 18, 23], &[2, 35, 52]];

/// Shortest text that is worth packing.
const MIN_PACKED: usize = 8;

/// Entries of consecutive records that are written at once.
#[derive(Debug, Default)]
pub(super) struct Column {
    first: u32,
    last: u32,
    bytes: Vec<u8>,
}

impl Column {
    /// Adds a value of a record, which is the last one or behind it.
    pub(super) fn push(&mut self, record: u32, value: &str) {
        if self.bytes.is_empty() {
            (self.first, self.last) = (record, record);
        }
        number(&mut self.bytes, u64::from(record.saturating_sub(self.last)));
        self.last = record;
        pack(value, &mut self.bytes);
    }

    /// The first record and the entries, which are taken out. `None` if there are none.
    pub(super) fn take(&mut self) -> Option<(u32, Vec<u8>)> {
        let bytes = std::mem::take(&mut self.bytes);
        (!bytes.is_empty()).then_some((self.first, bytes))
    }
}

/// Writes a number, seven bits a byte.
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

/// The bytes that hexadecimal digits with the dashes of a shape stand for.
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

/// Writes the header and the value. Equal values have equal bytes, and no others.
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

/// The text of an entry, written to `out` if it was packed. `None` if it is damaged.
fn unpack<'t>(shape: u64, bytes: &'t [u8], out: &'t mut Vec<u8>) -> Option<&'t str> {
    let Some(index) = usize::try_from(shape).ok()?.checked_sub(1) else {
        return std::str::from_utf8(bytes).ok();
    };
    let mut dashes = SHAPES.get(index)?.iter();
    let mut dash = dashes.next();
    out.clear();
    for byte in bytes {
        for digit in [byte >> 4, byte & 0xF] {
            if dash == Some(&out.len()) {
                out.push(b'-');
                dash = dashes.next();
            }
            out.push(*DIGITS.get(usize::from(digit))?);
        }
    }
    std::str::from_utf8(out).ok()
}

/// How entries are chosen.
pub(super) enum Wanted<'w> {
    /// Those whose packed form is one of these.
    Exactly(Vec<Vec<u8>>),
    /// Those whose text is meant.
    Meant(&'w dyn Fn(&str) -> bool),
}

/// Hands over the records of the entries that are wanted. `None` if the entries are damaged.
pub(super) fn find(
    first: u32,
    mut bytes: &[u8],
    wanted: &Wanted<'_>,
    take: &mut dyn FnMut(u32),
) -> Option<()> {
    let mut record = first;
    let mut text = Vec::new();
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
            Wanted::Meant(is_meant) => is_meant(unpack(header & 3, value, &mut text)?),
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
            for wanted in [Wanted::Exactly(vec![pattern]), Wanted::Meant(&is_meant)] {
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
            let found = find(first, &bytes[..end], &Wanted::Meant(&all), &mut |_| {});
            assert!(found.is_none() || end == 6, "{end}");
        }
        let endless = [0x80; 20];
        assert!(find(0, &endless, &Wanted::Meant(&all), &mut |_| {}).is_none());
    }
}
