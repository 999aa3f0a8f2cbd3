//! Attribution of a text: whose it is, of which part and turn, and which events contain it.

use crate::event::{Author, Known, Part, Turn};
use crate::wire::span::offset;

/// Attribution of a text: its author, part and turn.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Author; missing in responses.
    pub from: Known<Author>,
    /// Part of the message.
    pub part: Part,
    /// Turn of the conversation.
    pub turn: Turn,
    /// Choice or candidate.
    pub choice: u32,
    /// Number of the text among those of this part, if the text continues in other frames of a stream.
    pub piece_of: Option<u32>,
    /// Events that the text belongs to.
    pub emit: Emit,
}

/// Events that a text belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// An event of its own.
    Own,
    /// An event of its own, and the event of the result that contains it.
    Also,
    /// Only the event that contains it.
    Never,
}

impl Origin {
    /// Returns the origin of a whole text outside of any choice, with an event of its own.
    #[inline(never)]
    pub fn new(from: Known<Author>, part: Part, turn: Turn) -> Origin {
        Origin {
            from,
            part,
            turn,
            choice: 0,
            piece_of: None,
            emit: Emit::Own,
        }
    }

    /// Returns the origin of a request's text by a known author.
    #[inline(never)]
    pub fn of(from: Author, part: Part) -> Origin {
        Origin::new(Known::Is(from), part, Turn::Latest)
    }

    /// Returns the origin of a response's text.
    #[inline(never)]
    pub fn answer(choice: u32) -> Origin {
        Origin {
            choice,
            ..Origin::new(Known::Missing, Part::Text, Turn::Latest)
        }
    }

    /// Returns the origin, in a stream, of a text in a member of a known object, by the member's index in its tables.
    /// The same member of the next frame continues the text.
    pub fn member(&self, number: usize) -> Origin {
        const MAX_MEMBERS: u32 = 64;
        let number = offset(number).min(MAX_MEMBERS).saturating_add(1);
        Origin {
            piece_of: self
                .piece_of
                .map(|outer| outer.saturating_mul(MAX_MEMBERS).saturating_add(number)),
            ..self.clone()
        }
    }

    /// Returns the same origin for a whole text.
    pub fn whole(&self) -> Origin {
        Origin {
            piece_of: None,
            ..self.clone()
        }
    }

    /// Returns the same origin with another part.
    #[inline(never)]
    pub fn with_part(&self, part: Part) -> Origin {
        Origin {
            part,
            ..self.clone()
        }
    }
}
