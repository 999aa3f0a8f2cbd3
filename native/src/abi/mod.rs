//! The boundary to Envoy. The only files with `unsafe`.

mod callbacks;
mod hooks;
mod slots;

pub(crate) use callbacks::{
    Answer, Attribute, Callout, Half, Host, Level, Map, Scheduler, Stat, StatKind, Stream, log,
    workers,
};
pub(crate) use slots::{Slots, Worker};
