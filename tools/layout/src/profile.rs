//! What a module counts, and where: little-endian words of 32 bits in a memory.
//!
//! | words | what |
//! |---|---|
//! | one | how many functions have been called so far |
//! | one for each function of the module | the how-manieth it was to be called; 0: never |
//! | two for each branch, in the order of the code | how often its condition was true, and false |

use wasmparser::{FunctionBody, Operator, Parser, Payload, Result, TypeRef};

const WORD: u32 = 4;

/// What a module has that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Types, which the functions that count come behind.
    pub types: u32,
    /// Functions of the host, which come before the module's own in the numbers of functions.
    pub imports: u32,
    /// The module's own functions.
    pub functions: u32,
    /// Branches by a condition in all of them.
    pub branches: u32,
}

impl Counted {
    /// Reads a module.
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

    /// The address of the word that says when a function was first called.
    pub fn first_call(self, function: u32) -> u32 {
        WORD * (1 + function)
    }

    /// The address of the word that counts how often a branch's condition was true; the other follows.
    pub fn branch(self, branch: u32) -> u32 {
        self.first_call(self.functions) + 2 * WORD * branch
    }

    /// The size of all words in bytes.
    pub fn size(self) -> u32 {
        self.branch(self.branches)
    }
}

/// Whether an operator takes a condition that a hint can be about.
pub fn is_branch(operator: &Operator<'_>) -> bool {
    matches!(operator, Operator::If { .. } | Operator::BrIf { .. })
}

/// How many branches a function has.
pub fn branches(body: &FunctionBody<'_>) -> Result<u32> {
    let mut branches = 0;
    for operator in body.get_operators_reader()? {
        branches += u32::from(is_branch(&operator?));
    }
    Ok(branches)
}

/// What was counted.
pub struct Profile<'a> {
    counted: Counted,
    words: &'a [u8],
}

impl<'a> Profile<'a> {
    /// Takes a memory as a module of `counted` left it; `None` if it is too small for that module.
    pub fn new(counted: Counted, memory: &'a [u8]) -> Option<Profile<'a>> {
        let words = memory.get(..counted.size() as usize)?;
        Some(Profile { counted, words })
    }

    fn word(&self, address: u32) -> u32 {
        let at = address as usize;
        let word = self.words.get(at..).and_then(<[u8]>::first_chunk);
        word.map_or(0, |word| u32::from_le_bytes(*word))
    }

    /// The how-manieth a function was to be called.
    pub fn first_call(&self, function: u32) -> Option<u32> {
        let call = self.word(self.counted.first_call(function));
        (call > 0).then_some(call)
    }

    /// How often a branch's condition was true, and false.
    pub fn branch(&self, branch: u32) -> (u32, u32) {
        let at = self.counted.branch(branch);
        (self.word(at), self.word(at + WORD))
    }
}
