//! Profile of a module: counters as little-endian 32-bit words in a memory.
//!
//! | words | what |
//! |---|---|
//! | one | number of functions called so far |
//! | one per function of the module | position of its first call; 0: never called |
//! | two per branch, in the order of the code | how often its condition was true, and false |

use wasmparser::{FunctionBody, Operator, Parser, Payload, Result, TypeRef};

const WORD: u32 = 4;

/// Counts of the parts of a module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Number of types; those of the counting functions are added after them.
    pub types: u32,
    /// Number of host functions, which come first in the function indices.
    pub imports: u32,
    /// Number of the module's own functions.
    pub functions: u32,
    /// Number of conditional branches in all of them.
    pub branches: u32,
}

impl Counted {
    /// Parses a module.
    pub fn of(module: &[u8]) -> Result<Counted> {
        let mut counted = Counted::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(types) => counted.types = types.count(),
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        counted.imports += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    counted.functions += 1;
                    counted.branches += branches(&body)?;
                }
                _ => {}
            }
        }
        Ok(counted)
    }

    /// Returns the address of a function's first-call word.
    pub fn first_call(self, function: u32) -> u32 {
        WORD * (1 + function)
    }

    /// Returns the address of a branch's word for a true condition; the word for a false one follows.
    pub fn branch(self, branch: u32) -> u32 {
        self.first_call(self.functions) + 2 * WORD * branch
    }

    /// Size of all words in bytes.
    pub fn size(self) -> u32 {
        self.branch(self.branches)
    }
}

/// Returns whether an operator is a branch that can have a hint.
pub fn is_branch(operator: &Operator<'_>) -> bool {
    matches!(operator, Operator::If { .. } | Operator::BrIf { .. })
}

/// Returns the number of branches in a function.
pub fn branches(body: &FunctionBody<'_>) -> Result<u32> {
    let mut branches = 0;
    for operator in body.get_operators_reader()? {
        branches += u32::from(is_branch(&operator?));
    }
    Ok(branches)
}

/// Counters of a run.
pub struct Profile<'a> {
    counted: Counted,
    words: &'a [u8],
}

impl<'a> Profile<'a> {
    /// Creates a profile from the memory of a module after a run; `None` if it is too small for that module.
    pub fn new(counted: Counted, memory: &'a [u8]) -> Option<Profile<'a>> {
        let words = memory.get(..counted.size() as usize)?;
        Some(Profile { counted, words })
    }

    fn word(&self, address: u32) -> u32 {
        let at = address as usize;
        let word = self.words.get(at..).and_then(<[u8]>::first_chunk);
        word.map_or(0, |word| u32::from_le_bytes(*word))
    }

    /// Returns the position of a function's first call.
    pub fn first_call(&self, function: u32) -> Option<u32> {
        let call = self.word(self.counted.first_call(function));
        (call > 0).then_some(call)
    }

    /// Returns how often a branch's condition was true, and false.
    pub fn branch(&self, branch: u32) -> (u32, u32) {
        let at = self.counted.branch(branch);
        (self.word(at), self.word(at + WORD))
    }
}
