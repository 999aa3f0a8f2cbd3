//! Metered copy of a module. It counts its instructions, by basic blocks, and the cache lines of memory that it
//! touches.
//!
//! The counts are in a memory of their own, exported as `counts`, as little-endian words of 32 bits:
//!
//! | words | content |
//! |---|---|
//! | one | number of lines of memory that have been loaded from or stored to |
//! | one for each function of the module | number of calls |
//! | one for each block, in the order of the code | number of runs |
//!
//! Another memory, exported as `touched`, has a bit for each line of 4 GiB, which is set once the line is counted.

use crate::blocks::{Code, Cutter, Place};
use crate::profile::Counted;
use std::convert::Infallible;
use std::error;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, InstructionSink,
    MemArgTarget, MemorySection, MemoryType, Module, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, ExportSectionReader, FunctionBody, FunctionSectionReader, MemArg,
    MemorySectionReader, Operator, Parser, TypeSectionReader,
};

type Result<T> = std::result::Result<T, Error<Infallible>>;

/// Binary logarithm of the bytes of a cache line.
pub const LINE: u32 = 6;

/// Index of the memory of the counts; the filter has a memory of its own.
const COUNTS: u32 = 1;
/// Index of the memory of the bits.
const BITS: u32 = 2;
const PAGE: u32 = 1 << 16;
const WORD: u32 = 4;
/// Address of the number of touched lines.
const TOUCHED: u32 = 0;
/// Number of bytes with one bit for each line of 4 GiB.
const BYTES_OF_BITS: u32 = 1 << (32 - LINE - 3);

/// Returns the metered module.
pub fn meter(module: &[u8]) -> std::result::Result<Vec<u8>, Box<dyn error::Error>> {
    let code = Code::of(module)?;
    let functions = u32::try_from(code.functions)?;
    let mut metered = Metered {
        types: Counted::of(module)?.types,
        helpers: code.imports + functions,
        size: WORD * (1 + functions + u32::try_from(code.blocks.len())?),
        call: WORD,
        block: WORD * (1 + functions),
    };
    let mut output = Module::new();
    metered.parse_core_module(&mut output, Parser::new(0), module)?;
    Ok(output.finish())
}

struct Metered {
    /// Number of types, after which those of the helpers follow.
    types: u32,
    /// Index of the first helper, after all functions of the module, so that their indices stay the same.
    helpers: u32,
    /// Size of all counts in bytes.
    size: u32,
    /// Address of the next function's word.
    call: u32,
    /// Address of the next block's word.
    block: u32,
}

/// Function that the copy calls before it runs a block or touches memory. It returns the operands that are still
/// needed.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Helper {
    /// `(address)`: increments the count of a function or block.
    Count,
    /// `(address, bytes)`: marks a range of memory as touched.
    Touch,
    /// `(address, offset, bytes) → address`: for instructions without an operand above the address.
    Load,
    /// `(address, value, offset, bytes) → address, value`: for instructions with a value of that type.
    I32,
    I64,
    F32,
    F64,
    V128,
    /// `(to, from, bytes) → to, from, bytes`
    Copy,
    /// `(to, value, bytes) → to, value, bytes`
    Fill,
}

impl Helper {
    const ALL: [Helper; 10] = [
        Helper::Count,
        Helper::Touch,
        Helper::Load,
        Helper::I32,
        Helper::I64,
        Helper::F32,
        Helper::F64,
        Helper::V128,
        Helper::Copy,
        Helper::Fill,
    ];

    /// Returns the type of the operand above the address.
    fn value(self) -> Option<ValType> {
        Some(match self {
            Helper::I32 => ValType::I32,
            Helper::I64 => ValType::I64,
            Helper::F32 => ValType::F32,
            Helper::F64 => ValType::F64,
            Helper::V128 => ValType::V128,
            _ => return None,
        })
    }

    fn signature(self) -> (Vec<ValType>, Vec<ValType>) {
        const WORD: ValType = ValType::I32;
        match (self, self.value()) {
            (_, Some(value)) => (vec![WORD, value, WORD, WORD], vec![WORD, value]),
            (Helper::Count, _) => (vec![WORD], vec![]),
            (Helper::Touch, _) => (vec![WORD; 2], vec![]),
            (Helper::Load, _) => (vec![WORD; 3], vec![WORD]),
            _ => (vec![WORD; 3], vec![WORD; 3]),
        }
    }
}

/// Memory access of an operator.
enum Access {
    /// The position is an address and an offset, which the helper takes.
    At(Helper, MemArg),
    /// The position and size are operands, which the helper takes.
    Range(Helper),
}

fn access(operator: &Operator<'_>) -> Option<Access> {
    use Operator::*;
    let (helper, at) = match operator {
        I32Load { memarg }
        | I64Load { memarg }
        | F32Load { memarg }
        | F64Load { memarg }
        | I32Load8S { memarg }
        | I32Load8U { memarg }
        | I32Load16S { memarg }
        | I32Load16U { memarg }
        | I64Load8S { memarg }
        | I64Load8U { memarg }
        | I64Load16S { memarg }
        | I64Load16U { memarg }
        | I64Load32S { memarg }
        | I64Load32U { memarg }
        | V128Load { memarg }
        | V128Load8x8S { memarg }
        | V128Load8x8U { memarg }
        | V128Load16x4S { memarg }
        | V128Load16x4U { memarg }
        | V128Load32x2S { memarg }
        | V128Load32x2U { memarg }
        | V128Load8Splat { memarg }
        | V128Load16Splat { memarg }
        | V128Load32Splat { memarg }
        | V128Load64Splat { memarg }
        | V128Load32Zero { memarg }
        | V128Load64Zero { memarg } => (Helper::Load, memarg),
        I32Store { memarg } | I32Store8 { memarg } | I32Store16 { memarg } => (Helper::I32, memarg),
        I64Store { memarg }
        | I64Store8 { memarg }
        | I64Store16 { memarg }
        | I64Store32 { memarg } => (Helper::I64, memarg),
        F32Store { memarg } => (Helper::F32, memarg),
        F64Store { memarg } => (Helper::F64, memarg),
        V128Store { memarg }
        | V128Load8Lane { memarg, .. }
        | V128Load16Lane { memarg, .. }
        | V128Load32Lane { memarg, .. }
        | V128Load64Lane { memarg, .. }
        | V128Store8Lane { memarg, .. }
        | V128Store16Lane { memarg, .. }
        | V128Store32Lane { memarg, .. }
        | V128Store64Lane { memarg, .. } => (Helper::V128, memarg),
        MemoryCopy { .. } => return Some(Access::Range(Helper::Copy)),
        MemoryFill { .. } | MemoryInit { .. } => return Some(Access::Range(Helper::Fill)),
        _ => return None,
    };
    Some(Access::At(helper, *at))
}

/// Returns the access to a word in a memory of the copy.
fn word(memory: u32) -> wasm_encoder::MemArg {
    wasm_encoder::MemArg {
        offset: 0,
        align: 2,
        target: MemArgTarget::Memory(memory),
        ordering: None,
    }
}

fn constant(number: u32) -> i32 {
    number.cast_signed()
}

impl Metered {
    fn number(&self, helper: Helper) -> u32 {
        self.helpers + helper as u32
    }

    fn body(&self, helper: Helper) -> Function {
        match helper {
            Helper::Count => {
                let mut function = Function::new([]);
                let mut sink = function.instructions();
                sink.local_get(0).local_get(0).i32_load(word(COUNTS));
                sink.i32_const(1).i32_add().i32_store(word(COUNTS)).end();
                function
            }
            Helper::Touch => self.touch(),
            Helper::Load => {
                let mut function = Function::new([]);
                let mut sink = function.instructions();
                sink.local_get(0).local_get(1).i32_add().local_get(2);
                sink.call(self.number(Helper::Touch));
                sink.local_get(0).end();
                function
            }
            Helper::Copy | Helper::Fill => {
                let mut function = Function::new([]);
                let mut sink = function.instructions();
                self.touch_from(&mut sink, 0);
                if matches!(helper, Helper::Copy) {
                    self.touch_from(&mut sink, 1);
                }
                sink.local_get(0).local_get(1).local_get(2).end();
                function
            }
            Helper::I32 | Helper::I64 | Helper::F32 | Helper::F64 | Helper::V128 => {
                let mut function = Function::new([]);
                let mut sink = function.instructions();
                sink.local_get(0).local_get(2).i32_add().local_get(3);
                sink.call(self.number(Helper::Touch));
                sink.local_get(0).local_get(1).end();
                function
            }
        }
    }

    /// Writes code that increments the word at an address.
    fn count(&self, sink: &mut InstructionSink<'_>, address: u32) {
        sink.i32_const(constant(address));
        sink.call(self.number(Helper::Count));
    }

    /// Writes code that touches a range from the address in a local; local 2 is its size.
    fn touch_from(&self, sink: &mut InstructionSink<'_>, local: u32) {
        sink.local_get(local).local_get(2);
        sink.call(self.number(Helper::Touch));
    }

    /// Returns the function that marks each line from that of the first byte to that of the last, and counts a line
    /// whose bit was not set.
    fn touch(&self) -> Function {
        const ADDRESS: u32 = 0;
        const BYTES: u32 = 1;
        /// Line of the last byte.
        const LAST: u32 = 2;
        const LINE_NOW: u32 = 3;
        /// Address of the word with its bit.
        const PLACE: u32 = 4;
        const BIT: u32 = 5;
        let mut function = Function::new([(4, ValType::I32)]);
        let mut sink = function.instructions();
        let line = constant(LINE);
        sink.local_get(BYTES).i32_eqz().if_(BlockType::Empty);
        sink.return_().end();
        sink.local_get(ADDRESS).local_get(BYTES).i32_add();
        sink.i32_const(1).i32_sub().i32_const(line).i32_shr_u();
        sink.local_set(LAST);
        sink.local_get(ADDRESS).i32_const(line).i32_shr_u();
        sink.local_set(LINE_NOW);
        sink.loop_(BlockType::Empty);
        sink.local_get(LINE_NOW).i32_const(5).i32_shr_u();
        sink.i32_const(2).i32_shl().local_set(PLACE);
        sink.i32_const(1).local_get(LINE_NOW).i32_shl();
        sink.local_set(BIT);
        sink.local_get(PLACE).i32_load(word(BITS));
        sink.local_get(BIT).i32_and().i32_eqz();
        sink.if_(BlockType::Empty);
        sink.local_get(PLACE).local_get(PLACE);
        sink.i32_load(word(BITS)).local_get(BIT).i32_or();
        sink.i32_store(word(BITS));
        self.count(&mut sink, TOUCHED);
        sink.end();
        // A range that wraps around ends before it starts; the access itself then traps.
        sink.local_get(LINE_NOW).i32_const(1).i32_add();
        sink.local_tee(LINE_NOW).local_get(LAST).i32_le_u();
        sink.br_if(0).end().end();
        function
    }
}

impl Reencode for Metered {
    type Error = Infallible;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<()> {
        utils::parse_type_section(self, types, section)?;
        for helper in Helper::ALL {
            let (parameters, results) = helper.signature();
            types.ty().function(parameters, results);
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<()> {
        utils::parse_function_section(self, functions, section)?;
        for helper in Helper::ALL {
            functions.function(self.types + helper as u32);
        }
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: MemorySectionReader<'_>,
    ) -> Result<()> {
        utils::parse_memory_section(self, memories, section)?;
        for size in [self.size, BYTES_OF_BITS] {
            memories.memory(MemoryType {
                minimum: size.div_ceil(PAGE).into(),
                maximum: None,
                memory64: false,
                shared: false,
                page_size_log2: None,
            });
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Result<()> {
        utils::parse_export_section(self, exports, section)?;
        exports.export("counts", ExportKind::Memory, COUNTS);
        exports.export("touched", ExportKind::Memory, BITS);
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<()> {
        utils::parse_code_section(self, code, section)?;
        for helper in Helper::ALL {
            code.function(&self.body(helper));
        }
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<()> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        self.count(&mut function.instructions(), self.call);
        self.call += WORD;
        let mut cutter = Cutter::default();
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            let mut sink = function.instructions();
            if cutter.next(&operator) == Place::Start {
                self.count(&mut sink, self.block);
                self.block += WORD;
            }
            match access(&operator) {
                Some(Access::At(helper, at)) => {
                    // In a memory of 32 bits, no offset is larger.
                    let offset = u32::try_from(at.offset).unwrap_or(u32::MAX);
                    sink.i32_const(constant(offset));
                    sink.i32_const(1 << at.max_align);
                    sink.call(self.number(helper));
                }
                Some(Access::Range(helper)) => {
                    sink.call(self.number(helper));
                }
                None => {}
            }
            function.instruction(&self.instruction(operator)?);
        }
        code.function(&function);
        Ok(())
    }
}
