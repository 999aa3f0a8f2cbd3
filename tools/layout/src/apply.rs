//! Rearrangement of a module by its profile.

use crate::blocks;
use crate::profile::{Counted, Profile, branches, is_branch};
use std::error::Error;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    BranchHint, BranchHints, CodeSection, Function, FunctionSection, Module, SectionId,
};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, FunctionBody, FunctionSectionReader, Parser, Payload,
};

/// Minimum ratio between the two ways of a branch for a hint.
const OFTEN: u32 = 20;

/// Returns the rearranged module: its functions in the order of their first calls, then those that were not called, with
/// branch hints (<https://github.com/WebAssembly/branch-hinting>), which engines without support ignore. The second value has
/// the names of its functions in their new order, because the module no longer contains them.
pub fn apply(module: &[u8], memory: &[u8]) -> Result<(Vec<u8>, Vec<String>), Box<dyn Error>> {
    let counted = Counted::of(module)?;
    let profile = Profile::new(counted, memory).ok_or("the profile is not of this module")?;
    let mut arranged = Arranged::new(counted, &profile);
    arranged.write_functions(module, &profile)?;
    let mut output = Module::new();
    arranged.parse_core_module(&mut output, Parser::new(0), module)?;
    let names = blocks::names(module)?;
    let order = arranged.order.iter();
    let names = order.map(|function| names[*function as usize].clone());
    Ok((output.finish(), names.collect()))
}

struct Arranged {
    imports: u32,
    /// Old function indices, in the new order.
    order: Vec<u32>,
    /// New function indices, by the old ones.
    places: Vec<u32>,
    functions: Vec<Function>,
    hints: BranchHints,
}

impl Arranged {
    fn new(counted: Counted, profile: &Profile<'_>) -> Arranged {
        let mut order: Vec<u32> = (0..counted.functions).collect();
        order.sort_by_key(|function| profile.first_call(*function).unwrap_or(u32::MAX));
        let mut places = vec![0; order.len()];
        for (place, function) in (0..).zip(&order) {
            places[*function as usize] = place;
        }
        Arranged {
            imports: counted.imports,
            order,
            places,
            functions: Vec::new(),
            hints: BranchHints::new(),
        }
    }

    /// Writes the code section. Hints refer to byte offsets of branches, so the code is written before them.
    fn write_functions(
        &mut self,
        module: &[u8],
        profile: &Profile<'_>,
    ) -> Result<(), Box<dyn Error>> {
        let mut bodies = Vec::new();
        let mut first = 0;
        for payload in Parser::new(0).parse_all(module) {
            if let Payload::CodeSectionEntry(body) = payload? {
                let count = branches(&body)?;
                bodies.push((body, first));
                first += count;
            }
        }
        for (number, function) in (self.imports..).zip(self.order.clone()) {
            let (body, first) = &bodies[function as usize];
            let hints = self.write_function(body, *first, profile)?;
            if !hints.is_empty() {
                self.hints.function_hints(number, hints);
            }
        }
        Ok(())
    }

    fn write_function(
        &mut self,
        body: &FunctionBody<'_>,
        mut branch: u32,
        profile: &Profile<'_>,
    ) -> Result<Vec<BranchHint>, Box<dyn Error>> {
        let mut function = self.new_function_with_parsed_locals(body)?;
        let mut hints = Vec::new();
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            if is_branch(&operator) {
                let (taken, not) = profile.branch(branch);
                branch += 1;
                if let Some(likely) = likely(taken, not) {
                    hints.push(BranchHint {
                        branch_func_offset: u32::try_from(function.byte_len())?,
                        branch_hint_value: likely.into(),
                    });
                }
            }
            function.instruction(&self.instruction(operator)?);
        }
        self.functions.push(function);
        Ok(hints)
    }
}

/// Returns the usual direction of a branch, if it was executed and one direction dominates.
fn likely(taken: u32, not: u32) -> Option<bool> {
    if taken == not {
        None
    } else if taken >= not.saturating_mul(OFTEN) {
        Some(true)
    } else if not >= taken.saturating_mul(OFTEN) {
        Some(false)
    } else {
        None
    }
}

impl Reencode for Arranged {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, reencode::Error> {
        Ok(match function.checked_sub(self.imports) {
            Some(own) => self.imports + self.places[own as usize],
            None => function,
        })
    }

    /// Omits custom sections: nothing that loads the filter needs the names of its functions, which take 400 KB.
    fn parse_custom_section(
        &mut self,
        _: &mut Module,
        _: CustomSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        let types: Vec<u32> = section.into_iter().collect::<Result<_, _>>()?;
        for function in &self.order {
            functions.function(types[*function as usize]);
        }
        Ok(())
    }

    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        _: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), reencode::Error> {
        if before == Some(SectionId::Code) {
            module.section(&self.hints);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        _: CodeSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        for function in &self.functions {
            code.function(function);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::instrument;

    /// $last calls $branches; $never, which would call $last, is not called.
    const MODULE: &str = r#"
        (module
          (import "env" "log" (func $log (param i32)))
          (memory (export "memory") 1)
          (table 1 funcref)
          (elem (i32.const 0) func $never)
          (func $never (export "never") call $last)
          (func $branches (param i32) (result i32)
            block
              local.get 0
              br_if 0
              i32.const 1
              call $log
            end
            local.get 0
            if
              i32.const 2
              call $log
            end
            i32.const 3)
          (func $last (export "last")
            i32.const 0
            call $branches
            drop))
    "#;

    /// Returns a profile in which $last was called first, then $branches, whose branches went `counts` ways.
    fn profile(module: &[u8], counts: [(u32, u32); 2]) -> Vec<u8> {
        let counted = Counted::of(module).unwrap();
        let [first, second] = counts;
        let words = [2, 0, 2, 1, first.0, first.1, second.0, second.1];
        let memory: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(memory.len(), counted.size() as usize);
        memory
    }

    fn arranged(counts: [(u32, u32); 2]) -> String {
        let module = wat::parse_str(MODULE).unwrap();
        let (arranged, _) = apply(&module, &profile(&module, counts)).unwrap();
        wasmparser::validate(&arranged).unwrap();
        wasmprinter::print_bytes(arranged).unwrap()
    }

    fn hints(printed: &str) -> Vec<&str> {
        printed
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("(@metadata.code.branch_hint") || line.contains("if"))
            .collect()
    }

    #[test]
    fn functions_are_in_the_order_of_their_first_calls_and_all_references_follow() {
        let printed = arranged([(0, 0), (0, 0)]);
        // The imported function is 0, $last 1, $branches 2 and $never 3.
        for line in [
            "(export \"last\" (func 1))",
            "(export \"never\" (func 3))",
            "(elem (;0;) (i32.const 0) func 3)",
        ] {
            assert!(printed.contains(line), "{line} is not in {printed}");
        }
        let calls: Vec<&str> = printed
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("call"))
            .collect();
        assert_eq!(calls, ["call 2", "call 0", "call 0", "call 1"]);
    }

    #[test]
    fn names_are_told_in_that_order_and_left_out() {
        let module = wat::parse_str(MODULE).unwrap();
        let (arranged, names) = apply(&module, &profile(&module, [(0, 0), (0, 0)])).unwrap();
        assert_eq!(names, ["last", "branches", "never"]);
        let printed = wasmprinter::print_bytes(arranged).unwrap();
        assert!(!printed.contains("$last"), "{printed}");
    }

    #[test]
    fn branches_that_nearly_always_go_one_way_are_hinted_at() {
        assert_eq!(
            hints(&arranged([(0, 5), (100, 5)])),
            [
                "(@metadata.code.branch_hint \"\\00\")",
                "br_if 0 (;@1;)",
                "(@metadata.code.branch_hint \"\\01\")",
                "if ;; label = @1",
            ]
        );
    }

    #[test]
    fn others_are_not() {
        let none = ["br_if 0 (;@1;)", "if ;; label = @1"];
        assert_eq!(hints(&arranged([(0, 0), (99, 5)])), none);
        assert_eq!(hints(&arranged([(1, 1), (u32::MAX, u32::MAX)])), none);
    }

    #[test]
    fn a_profile_of_another_module_is_rejected() {
        let module = wat::parse_str(MODULE).unwrap();
        let short = profile(&module, [(0, 0), (0, 0)]);
        let error = apply(&module, &short[1..]).unwrap_err();
        assert_eq!(error.to_string(), "the profile is not of this module");
    }

    #[test]
    fn an_instrumented_module_is_valid_and_counts_each_function_and_branch() {
        let module = wat::parse_str(MODULE).unwrap();
        let counting = instrument(&module).unwrap();
        wasmparser::validate(&counting).unwrap();
        let printed = wasmprinter::print_bytes(counting).unwrap();
        assert!(printed.contains("(export \"profile\" (memory 1))"));
        assert_eq!(printed.matches("call 4").count(), 3, "{printed}");
        assert_eq!(printed.matches("call 5").count(), 2, "{printed}");
    }
}
