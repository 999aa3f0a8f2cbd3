//! Tables made by `generate.py` from the data files of the Unicode Consortium and of the WHATWG.

pub(super) mod entities;
pub(super) mod fold;
