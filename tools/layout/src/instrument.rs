//! Instrumentation: makes a module count its calls and branches.

use crate::profile::{Counted, is_branch};
use std::convert::Infallible;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, InstructionSink,
    MemArg, MemArgTarget, MemorySection, MemoryType, Module, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, ExportSectionReader, FunctionBody, FunctionSectionReader,
    MemorySectionReader, Parser, TypeSectionReader,
};

type Result<T> = std::result::Result<T, Error<Infallible>>;

/// Index of the memory for the counts; the filter has a memory of its own.
const MEMORY: u32 = 1;
const PAGE: u32 = 1 << 16;

/// Returns the module with counters for calls and branches in a second memory, exported as `profile`.
pub fn instrument(module: &[u8]) -> Result<Vec<u8>> {
    let mut counting = Counting {
        counted: Counted::of(module)?,
        functions: 0,
        branches: 0,
    };
    let mut output = Module::new();
    counting.parse_core_module(&mut output, Parser::new(0), module)?;
    Ok(output.finish())
}

struct Counting {
    counted: Counted,
    /// Number of functions written so far.
    functions: u32,
    branches: u32,
}

impl Counting {
    /// Index of `enter(at)`, after all functions of the module, so that their indices stay the same.
    fn enter(&self) -> u32 {
        self.counted.imports + self.counted.functions
    }

    /// Returns the index of `decide(condition, at) → condition`.
    fn decide(&self) -> u32 {
        self.enter() + 1
    }
}

fn word() -> MemArg {
    MemArg {
        offset: 0,
        align: 2,
        target: MemArgTarget::Memory(MEMORY),
        ordering: None,
    }
}

fn address(at: u32) -> i32 {
    at.cast_signed()
}

/// Adds one to the word at the address in a local.
fn add_one(code: &mut InstructionSink<'_>, local: u32) {
    code.local_get(local).local_get(local).i32_load(word());
    code.i32_const(1).i32_add().i32_store(word());
}

impl Reencode for Counting {
    type Error = Infallible;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<()> {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([ValType::I32], []);
        types
            .ty()
            .function([ValType::I32, ValType::I32], [ValType::I32]);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<()> {
        utils::parse_function_section(self, functions, section)?;
        functions
            .function(self.counted.types)
            .function(self.counted.types + 1);
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: MemorySectionReader<'_>,
    ) -> Result<()> {
        utils::parse_memory_section(self, memories, section)?;
        memories.memory(MemoryType {
            minimum: self.counted.size().div_ceil(PAGE).into(),
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Result<()> {
        utils::parse_export_section(self, exports, section)?;
        exports.export("profile", ExportKind::Memory, MEMORY);
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<()> {
        utils::parse_code_section(self, code, section)?;
        // enter: a word that is zero becomes the next value of word 0.
        let mut enter = Function::new([(1, ValType::I32)]);
        let mut sink = enter.instructions();
        sink.local_get(0).i32_load(word()).i32_eqz();
        sink.if_(BlockType::Empty);
        add_one(&mut sink, 1);
        sink.local_get(0).local_get(1).i32_load(word());
        sink.i32_store(word()).end().end();
        code.function(&enter);
        // decide: the word of a false condition is after that of a true one.
        let mut decide = Function::new([]);
        let mut sink = decide.instructions();
        sink.local_get(1).local_get(0).i32_eqz();
        sink.i32_const(2).i32_shl().i32_add().local_set(1);
        add_one(&mut sink, 1);
        sink.local_get(0).end();
        code.function(&decide);
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<()> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let at = self.counted.first_call(self.functions);
        self.functions += 1;
        function
            .instructions()
            .i32_const(address(at))
            .call(self.enter());
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            if is_branch(&operator) {
                let at = self.counted.branch(self.branches);
                self.branches += 1;
                function
                    .instructions()
                    .i32_const(address(at))
                    .call(self.decide());
            }
            function.instruction(&self.instruction(operator)?);
        }
        code.function(&function);
        Ok(())
    }
}
