//! Numbers of the events. A client may sort by them, or ask for those after one.

use crate::protocol::stream::SyntheticFrame;

/// They stay without gaps, in the order in which events are sent.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Of the last event that came.
    read: Option<u64>,
    /// Of the last one that was sent.
    sent: Option<u64>,
    /// The server itself leaves some out.
    has_gaps: bool,
    /// They are no longer the server's.
    have_moved: bool,
}

impl Numbers {
    /// An event has come.
    pub(super) fn read(&mut self, number: u64) {
        self.has_gaps |= self
            .read
            .is_some_and(|before| before.checked_add(1) != Some(number));
        self.read = Some(number);
    }

    /// The number with which an event is sent.
    pub(super) fn send(&mut self, number: u64) -> u64 {
        let number = match self.sent.map(|sent| sent.saturating_add(1)) {
            Some(next) if next != number && (self.have_moved || !self.has_gaps) => {
                self.have_moved = true;
                next
            }
            _ => number,
        };
        self.sent = Some(number);
        number
    }

    /// An event is not sent.
    pub(super) fn skip(&mut self) {
        self.have_moved = true;
    }

    /// Gives an event of our own its number.
    pub(super) fn add(&mut self, made: &mut SyntheticFrame) {
        if self.read.is_none() {
            return;
        }
        self.have_moved = true;
        let number = self.sent.map_or(0, |sent| sent.saturating_add(1));
        self.sent = Some(number);
        let member = format!(r#""sequence_number":{number},"#);
        let rest = made.payload.get(1..).unwrap_or_default();
        made.payload = [b"{", member.as_bytes(), rest].concat();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_stay_as_they_are_until_something_is_left_out_or_put_in() {
        let mut numbers = Numbers::default();
        for number in 0..9 {
            numbers.read(number);
        }
        assert_eq!([0, 1].map(|number| numbers.send(number)), [0, 1]);
        numbers.skip();
        assert_eq!(numbers.send(3), 2);
        let mut made = SyntheticFrame::new(None, b"{\"type\":\"x\"}".to_vec());
        numbers.add(&mut made);
        assert_eq!(made.payload, b"{\"sequence_number\":3,\"type\":\"x\"}");
        assert_eq!([4, 6, 5].map(|number| numbers.send(number)), [4, 5, 6]);
    }

    #[test]
    fn gaps_of_the_server_stay() {
        let mut numbers = Numbers::default();
        for number in [0, 5, 7] {
            numbers.read(number);
            assert_eq!(numbers.send(number), number);
        }
        numbers.skip();
        assert_eq!(numbers.send(9), 8);
    }

    #[test]
    fn events_without_numbers_get_none() {
        let mut made = SyntheticFrame::new(None, b"{}".to_vec());
        Numbers::default().add(&mut made);
        assert_eq!(made.payload, b"{}");
    }
}
