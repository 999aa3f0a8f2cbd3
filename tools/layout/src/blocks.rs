//! Basic blocks of a module: sequences of instructions that always run together. One count per block thus determines the count
//! of each instruction.

use std::ops::Range;
use wasmparser::{
    FunctionBody, KnownCustom, Name, Operator, Parser, Payload, Result, TypeRef, Validator,
    WasmFeatures,
};

/// Features that a module may use: with these, `meter` knows all loads and stores.
const FEATURES: WasmFeatures = WasmFeatures::MVP
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SIMD);

/// Basic block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Index of its function among the module's own.
    pub function: usize,
    /// Number of its instructions.
    pub instructions: u64,
    /// Range of its code, from the start of the module's code.
    pub code: Range<u64>,
}

/// Code of a module.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// Number of functions that the host provides.
    pub imports: u32,
    /// Number of the module's own functions.
    pub functions: usize,
    /// Blocks in the order of the code.
    pub blocks: Vec<Block>,
}

impl Code {
    /// Parses a module.
    pub fn of(module: &[u8]) -> Result<Code> {
        Validator::new_with_features(FEATURES).validate_all(module)?;
        let mut code = Code::default();
        let mut start = 0;
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        code.imports += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::CodeSectionStart {
                    unchecked_range, ..
                } => start = unchecked_range.start,
                Payload::CodeSectionEntry(body) => {
                    let mut blocks = blocks(&body, code.functions, start)?;
                    code.blocks.append(&mut blocks);
                    code.functions += 1;
                }
                _ => {}
            }
        }
        Ok(code)
    }
}

fn blocks(body: &FunctionBody<'_>, function: usize, start: u64) -> Result<Vec<Block>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut cutter = Cutter::default();
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let (operator, at) = operators.read_with_offset()?;
        let at = at - start;
        let end = operators.original_position() - start;
        match cutter.next(&operator) {
            Place::Bracket => {}
            Place::Start => blocks.push(Block {
                function,
                instructions: 1,
                code: at..end,
            }),
            Place::Inside => {
                if let Some(block) = blocks.last_mut() {
                    block.instructions += 1;
                    block.code.end = end;
                }
            }
        }
    }
    Ok(blocks)
}

/// Position of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The operator is no instruction: `block`, `loop`, `else` and `end` only delimit others.
    Bracket,
    /// The operator is the first instruction of a block.
    Start,
    /// The operator runs whenever the previous one does.
    Inside,
}

/// Splitter of a function into blocks. Takes one operator after the other.
#[derive(Debug, Default)]
pub struct Cutter {
    /// Whether the next instruction runs whenever the previous one does.
    inside: bool,
}

impl Cutter {
    /// Returns the position of the next operator.
    pub fn next(&mut self, operator: &Operator<'_>) -> Place {
        match operator {
            Operator::Block { .. } => Place::Bracket,
            Operator::Loop { .. } | Operator::Else | Operator::End => {
                self.inside = false;
                Place::Bracket
            }
            _ => {
                let place = if self.inside {
                    Place::Inside
                } else {
                    Place::Start
                };
                self.inside = !goes_elsewhere(operator);
                place
            }
        }
    }
}

/// Returns whether the next instruction may not run after an operator. After a call it runs, unless the module traps.
fn goes_elsewhere(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::If { .. }
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::Return
            | Operator::Unreachable
    )
}

/// Returns the names of a module's own functions from its name section; unnamed functions are named by their numbers.
pub fn names(module: &[u8]) -> Result<Vec<String>> {
    let code = Code::of(module)?;
    let mut names: Vec<String> = (0..code.functions)
        .map(|function| format!("function {function}"))
        .collect();
    for payload in Parser::new(0).parse_all(module) {
        let Payload::CustomSection(custom) = payload? else {
            continue;
        };
        let KnownCustom::Name(sections) = custom.as_known() else {
            continue;
        };
        for section in sections {
            let Name::Function(functions) = section? else {
                continue;
            };
            for naming in functions {
                let naming = naming?;
                let own = naming.index.checked_sub(code.imports);
                if let Some(name) = own.and_then(|own| names.get_mut(own as usize)) {
                    *name = naming.name.to_owned();
                }
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        Code::of(&wat::parse_str(text).unwrap()).unwrap()
    }

    fn instructions(text: &str) -> Vec<u64> {
        let code = code(text);
        code.blocks.iter().map(|block| block.instructions).collect()
    }

    #[test]
    fn a_function_without_branches_is_one_block() {
        let straight = "(module (func (result i32) block i32.const 1 drop end i32.const 2))";
        // `block` is no instruction and ends no block; a branch may target `end`.
        assert_eq!(instructions(straight), [2, 1]);
        assert_eq!(
            instructions("(module (func $f call $f call $f))"),
            [2],
            "calls come back"
        );
        assert_eq!(instructions("(module (func))"), [0; 0]);
    }

    #[test]
    fn blocks_end_where_what_comes_next_may_not_run() {
        let arms = "(module (func (param i32)
            local.get 0
            if nop nop nop else nop nop end
            nop nop nop nop))";
        assert_eq!(instructions(arms), [2, 3, 2, 4]);
        let repeated = "(module (func (param i32)
            nop
            loop local.get 0 br_if 0 nop nop nop end
            return nop))";
        assert_eq!(instructions(repeated), [1, 2, 3, 1, 1]);
        let table = "(module (func (param i32)
            block local.get 0 br_table 0 0 end
            block br 0 end
            unreachable))";
        assert_eq!(instructions(table), [2, 1, 1]);
    }

    #[test]
    fn code_is_told_from_the_start_of_all_code() {
        // The section has the number of functions; then each one's size, number of locals, and operators.
        let code = code("(module (func nop nop) (func (param i32) local.get 0 if nop end))");
        let places: Vec<_> = code
            .blocks
            .iter()
            .map(|block| (block.function, block.code.clone()))
            .collect();
        assert_eq!(places, [(0, 3..5), (1, 8..12), (1, 12..13)]);
        assert_eq!(code.functions, 2);
    }

    #[test]
    fn functions_of_the_host_are_none_of_the_modules_own() {
        let module = wat::parse_str(
            r#"(module
                (import "env" "log" (func $log))
                (import "env" "memory" (memory 1))
                (func $first call $log)
                (func call $first))"#,
        )
        .unwrap();
        assert_eq!(Code::of(&module).unwrap().imports, 1);
        assert_eq!(names(&module).unwrap(), ["first", "function 1"]);
    }

    #[test]
    fn a_module_that_could_not_be_counted_exactly_is_rejected() {
        let atomic = "(module (memory 1 1 shared) (func i32.const 0 i32.atomic.load drop))";
        let error = Code::of(&wat::parse_str(atomic).unwrap()).unwrap_err();
        assert!(error.to_string().contains("threads"), "{error}");
    }
}
