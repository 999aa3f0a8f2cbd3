//! Boundary to Envoy. Only its files have `unsafe`.

mod callbacks;
mod hooks;
mod slots;

pub(crate) use callbacks::{
    Answer, AtHand, Attribute, Callout, Half, Host, Level, Map, Scheduler, Stat, StatKind, Stream,
    is_1_40, log, workers,
};
pub(crate) use slots::{Slots, Worker};
