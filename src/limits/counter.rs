//! Counter of a limit in a time window.
//!
//! Fixed windows begin at whole multiples of their length, counted from a Monday, 00:00 UTC. A sliding window consists of
//! [`SLICES`] slices and the current one. It enforces the limit in every window of its length, and frees a use at most one
//! slice later than a list of all uses would.
//!
//! If the clock jumps back, no count is lost: a window in the future continues, and one further away than its length is
//! moved to the present with its count.
//!
//! A limit on distinct tools stores a hash of each tool in the slice of its last call, so that a tool counts once.

use crate::policy::{Limit, Window};

/// Number of complete slices of a sliding window.
const SLICES: u64 = 16;

/// Milliseconds from 1970-01-01, a Thursday, to the next Monday.
const FIRST_MONDAY_MS: u64 = 4 * 86_400_000;

/// Counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    shape: Shape,
    /// Start of the fixed window in ms, or number of the newest slice.
    start: u64,
    /// Counts of the window, or of each slice, newest first.
    slices: Vec<Slice>,
    /// Whether distinct tools are counted.
    is_distinct: bool,
    /// Whether the counter was moved because the clock jumped back. It must then be written even if nothing is counted.
    pub(super) is_moved: bool,
}

/// Count of a time span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Slice {
    count: u64,
    /// Hashes of the tools, if distinct tools are counted.
    tools: Vec<[u8; TOOL_BYTES]>,
}

/// Bytes of a tool's hash.
pub(super) const TOOL_BYTES: usize = 8;

/// Window, lengths in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Fixed(u64),
    Sliding { slice: u64 },
    Session,
}

/// State of a limit with respect to one charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether the charge exceeds the limit.
    pub is_exceeded: bool,
    /// Used amount, in the limit's units.
    pub used: u64,
    /// The limit's maximum, in the limit's units.
    pub max: u64,
    /// Milliseconds until the charge fits; `None` if waiting doesn't help.
    pub wait_ms: Option<u64>,
    /// Milliseconds until the window ends; `None` without a window.
    pub reset_ms: Option<u64>,
}

/// Maximum wait in milliseconds that a client is told. Official SDKs wait at most this long on their own. For a longer wait,
/// a denial without retry is clearer to the caller.
const MAX_WAIT_MS: u64 = 60_000;

impl Standing {
    /// Returns whether the client is told to wait and retry.
    pub fn asks_to_wait(&self) -> bool {
        self.wait_ms.is_some_and(|wait| wait <= MAX_WAIT_MS)
    }

    /// Returns the HTTP status of the denial: 429 if waiting helps, on which clients retry on their own; else 403.
    pub fn status(&self) -> u16 {
        if self.asks_to_wait() { 429 } else { 403 }
    }

    /// Returns the state of a limit whose charge can't be determined: it counts as exceeded.
    pub(super) fn uncountable(limit: &Limit) -> Standing {
        Standing {
            is_exceeded: true,
            used: limit.max_units(),
            max: limit.max_units(),
            wait_ms: None,
            reset_ms: None,
        }
    }

    pub(super) fn or_stricter(self, other: Standing) -> Standing {
        let rank = |standing: &Standing| {
            (
                standing.is_exceeded,
                standing.wait_ms.is_none(),
                standing.wait_ms,
                standing.used,
            )
        };
        if rank(&other) > rank(&self) {
            other
        } else {
            self
        }
    }
}

impl Shape {
    fn of(window: Window) -> Shape {
        match window {
            Window::Fixed(seconds) => Shape::Fixed(seconds.saturating_mul(1_000).max(1)),
            Window::Sliding(seconds) => Shape::Sliding {
                // All slices together are not shorter than the window.
                slice: seconds.saturating_mul(1_000).div_ceil(SLICES).max(1),
            },
            Window::Session => Shape::Session,
        }
    }

    /// Returns the start of the window, or the number of the slice, that contains a moment.
    fn position(self, now: u64) -> u64 {
        match self {
            Shape::Fixed(length) => {
                let since = now.saturating_sub(FIRST_MONDAY_MS);
                let into = since.checked_rem(length).unwrap_or(0);
                now.saturating_sub(into)
            }
            Shape::Sliding { slice } => now.checked_div(slice).unwrap_or(0),
            Shape::Session => 0,
        }
    }
}

impl Slice {
    /// Reads a slice from the front: its count and, if distinct tools are counted, the number of their hashes and the
    /// hashes.
    fn take(bytes: &mut &[u8], is_distinct: bool) -> Option<Slice> {
        let count = take_number(bytes)?;
        let mut tools = Vec::new();
        if is_distinct {
            for _ in 0..take_number(bytes)? {
                let (tool, rest) = bytes.split_first_chunk()?;
                tools.push(*tool);
                *bytes = rest;
            }
        }
        Some(Slice { count, tools })
    }

    fn put(&self, is_distinct: bool, out: &mut Vec<u8>) {
        put_number(self.count, out);
        if is_distinct {
            put_number(u64::try_from(self.tools.len()).unwrap_or(0), out);
            self.tools
                .iter()
                .for_each(|tool| out.extend_from_slice(tool));
        }
    }

    fn forget(&mut self, tool: &[u8; TOOL_BYTES]) {
        let before = self.tools.len();
        self.tools.retain(|known| known != tool);
        let gone = before.saturating_sub(self.tools.len());
        let gone = u64::try_from(gone).unwrap_or(0);
        self.count = self.count.saturating_sub(gone);
    }
}

impl Counter {
    /// Reads a counter and moves it to `now`; an absent one is empty. `None` if the bytes are not a counter.
    pub(super) fn read(payload: Option<&[u8]>, limit: &Limit, now: u64) -> Option<Counter> {
        let shape = Shape::of(limit.window);
        let mut counter = Counter {
            shape,
            start: shape.position(now),
            slices: vec![Slice::default()],
            is_distinct: limit.is_distinct(),
            is_moved: false,
        };
        if let Some(mut bytes) = payload {
            counter.start = take_number(&mut bytes)?;
            counter.slices.clear();
            while !bytes.is_empty() {
                let slice = Slice::take(&mut bytes, counter.is_distinct)?;
                counter.slices.push(slice);
            }
            let most = match shape {
                Shape::Sliding { .. } => usize::try_from(SLICES).unwrap_or(0).saturating_add(1),
                Shape::Fixed(_) | Shape::Session => 1,
            };
            if counter.slices.is_empty() || counter.slices.len() > most {
                return None;
            }
        }
        counter.advance(now);
        Some(counter)
    }

    /// Encodes the counter.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16);
        put_number(self.start, &mut bytes);
        for slice in &self.slices {
            slice.put(self.is_distinct, &mut bytes);
        }
        bytes
    }

    /// Moves the counter to the present.
    fn advance(&mut self, now: u64) {
        let position = self.shape.position(now);
        match self.shape {
            Shape::Session => {}
            Shape::Fixed(length) if position > self.start => {
                // Before the clock jumped back, the window may have begun at a later time. It ends once its length has
                // passed.
                if now >= self.start.saturating_add(length) {
                    self.start = position;
                    self.clear();
                }
            }
            Shape::Fixed(length) => {
                if self.start.saturating_sub(now) > length {
                    self.start = position;
                    self.is_moved = true;
                }
            }
            Shape::Sliding { .. } if position > self.start => {
                let passed = position.saturating_sub(self.start);
                let kept = SLICES.saturating_add(1).saturating_sub(passed);
                self.slices.truncate(usize::try_from(kept).unwrap_or(0));
                if self.slices.is_empty() {
                    self.clear();
                } else {
                    for _ in 0..passed {
                        self.slices.insert(0, Slice::default());
                    }
                }
                self.start = position;
            }
            Shape::Sliding { .. } => {
                if self.start.saturating_sub(position) > SLICES {
                    self.start = position;
                    self.is_moved = true;
                }
            }
        }
    }

    /// Returns the used amount, in the limit's units.
    pub(super) fn used(&self) -> u64 {
        let counts = self.slices.iter().map(|slice| slice.count);
        counts.fold(0, u64::saturating_add)
    }

    /// Adds an amount to the window or the newest slice.
    pub(super) fn add(&mut self, amount: u64) {
        if let Some(newest) = self.slices.first_mut() {
            newest.count = newest.count.saturating_add(amount);
        }
    }

    /// Returns whether a tool was counted.
    pub(super) fn has_tool(&self, tool: &[u8; TOOL_BYTES]) -> bool {
        self.slices.iter().any(|slice| slice.tools.contains(tool))
    }

    /// Moves a counted tool to the newest slice, because it is called again. Returns whether the counter must be written.
    pub(super) fn touch_tool(&mut self, tool: &[u8; TOOL_BYTES]) -> bool {
        let mut older = self.slices.iter_mut().skip(1);
        let Some(older) = older.find(|slice| slice.tools.contains(tool)) else {
            return false;
        };
        older.forget(tool);
        self.add_tool(*tool);
        true
    }

    /// Adds a tool to the newest slice. Beyond the maximum of any limit, tools are not stored: the limit is exceeded anyway.
    pub(super) fn add_tool(&mut self, tool: [u8; TOOL_BYTES]) {
        if self.used() > Limit::MAX_TOOLS {
            return;
        }
        self.add(1);
        if let Some(newest) = self.slices.first_mut() {
            newest.tools.push(tool);
        }
    }

    /// Removes a tool that was counted too early.
    pub(super) fn remove_tool(&mut self, tool: &[u8; TOOL_BYTES]) {
        for slice in &mut self.slices {
            slice.forget(tool);
        }
    }

    /// Returns the start of the current window, or the number of the newest slice.
    pub(super) fn position(&self) -> u64 {
        self.start
    }

    /// Subtracts an amount from the window or slice that was charged, if it still counts.
    pub(super) fn subtract(&mut self, amount: u64, position: u64) {
        let age = self.start.checked_sub(position);
        let at = match self.shape {
            Shape::Sliding { .. } => age.and_then(|age| usize::try_from(age).ok()),
            Shape::Fixed(_) | Shape::Session => age.filter(|age| *age == 0).map(|_| 0),
        };
        if let Some(slice) = at.and_then(|at| self.slices.get_mut(at)) {
            slice.count = slice.count.saturating_sub(amount);
        }
    }

    /// Sets the counter to zero.
    pub(super) fn clear(&mut self) {
        self.slices = vec![Slice::default()];
    }

    /// Returns the state of a limit for a charge of an amount.
    pub(super) fn standing(&self, limit: &Limit, amount: u64, now: u64) -> Standing {
        let used = self.used();
        let max = limit.max_units();
        let is_exceeded = used.checked_add(amount).is_none_or(|sum| sum > max);
        Standing {
            is_exceeded,
            used,
            max,
            wait_ms: is_exceeded.then(|| self.wait(max, amount, now)).flatten(),
            reset_ms: self.reset(now),
        }
    }

    /// Returns the milliseconds until a use counted now is free again; `None` without a window.
    fn reset(&self, now: u64) -> Option<u64> {
        match self.shape {
            Shape::Session => None,
            Shape::Fixed(length) => Some(self.start.saturating_add(length).saturating_sub(now)),
            Shape::Sliding { slice } => Some(self.slice_leaves(self.start, slice, now)),
        }
    }

    /// Returns the milliseconds until a slice no longer counts.
    fn slice_leaves(&self, number: u64, slice: u64, now: u64) -> u64 {
        number
            .saturating_add(SLICES)
            .saturating_add(1)
            .saturating_mul(slice)
            .saturating_sub(now)
    }

    fn wait(&self, max: u64, amount: u64, now: u64) -> Option<u64> {
        if amount > max {
            return None;
        }
        match self.shape {
            Shape::Session => None,
            Shape::Fixed(_) => self.reset(now),
            Shape::Sliding { slice } => {
                let mut used = self.used();
                let mut age = u64::try_from(self.slices.len()).unwrap_or(0);
                for counted in self.slices.iter().rev() {
                    age = age.saturating_sub(1);
                    used = used.saturating_sub(counted.count);
                    if used.saturating_add(amount) <= max {
                        let number = self.start.saturating_sub(age);
                        return Some(self.slice_leaves(number, slice, now));
                    }
                }
                None
            }
        }
    }

    /// Returns the second after which the counter can be dropped.
    pub(super) fn expires(&self, now: u64) -> u32 {
        let Some(reset) = self.reset(now) else {
            return u32::MAX;
        };
        let end = now.saturating_add(reset).div_euclid(1_000);
        u32::try_from(end.saturating_add(1)).unwrap_or(u32::MAX)
    }
}

/// Writes a number, seven bits in a byte, the lowest first: 300 is `AC 02`.
pub(super) fn put_number(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7F);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Reads a number from the front, in the form that [`put_number`] writes.
pub(super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0u32..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let low = u64::from(byte & 0x7F);
        let shifted = low.checked_shl(shift)?;
        if shifted >> shift != low {
            return None;
        }
        number |= shifted;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
