//! Cost of an exchange in the filter, from the counts of the filter's metered copy.

use crate::blocks::{Block, Code};
use crate::meter::LINE;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::error::Error;

/// Functions with which Rust allocates memory, of its own allocator and of one that a program names. All allocations of the
/// filter call them, and none is ever inlined.
const ALLOCATORS: [&str; 6] = [
    "__rdl_alloc",
    "__rdl_alloc_zeroed",
    "__rdl_realloc",
    "__rg_alloc",
    "__rg_alloc_zeroed",
    "__rg_realloc",
];

/// Metered module.
pub struct Metered {
    code: Code,
    /// Names of its own functions, in the order of the code.
    names: Vec<String>,
}

/// Counts of an exchange, averaged over all runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Name of the exchange.
    pub name: String,
    /// Instructions that ran.
    pub instructions: u64,
    /// Cache lines of the module's code with an instruction that ran.
    pub code_lines: u64,
    /// Cache lines of memory that were loaded from or stored to.
    pub data_lines: u64,
    /// Number of allocations and reallocations.
    pub allocations: u64,
    /// Number of calls of each host function, by name.
    pub host_calls: Vec<(String, u64)>,
}

/// Counts of one function in an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionCounts {
    /// Name of the function, without the hash.
    pub name: String,
    /// Number of calls.
    pub calls: u64,
    /// Instructions of the function itself that ran.
    pub instructions: u64,
    /// Cache lines of its code with an instruction that ran; a line that two functions share counts for both.
    pub code_lines: u64,
}

/// Output of `count.mjs` for an exchange.
pub struct Exchange {
    name: String,
    /// Each counted run.
    runs: Vec<Run>,
}

struct Run {
    host_calls: Vec<(String, u64)>,
    touched: u64,
    /// Calls by function.
    calls: Vec<u64>,
    /// Runs by block.
    blocks: Vec<u64>,
}

impl Metered {
    /// Creates the model of a module. `names` has the names of its functions, one per line.
    pub fn new(module: &[u8], names: &str) -> Result<Metered, Box<dyn Error>> {
        let code = Code::of(module)?;
        let names: Vec<String> = names
            .lines()
            .map(|name| format!("{:#}", rustc_demangle::demangle(name)))
            .collect();
        if names.len() != code.functions {
            return Err("the names are not of this module".into());
        }
        if !names.iter().any(|name| is_allocator(name)) {
            return Err(
                "no function of this module allocates, or none is called what Rust calls it".into(),
            );
        }
        Ok(Metered { code, names })
    }

    /// Parses the output of `count.mjs`.
    pub fn exchanges(&self, written: &Value) -> Result<Vec<Exchange>, Box<dyn Error>> {
        let exchanges = written.as_array().into_iter().flatten();
        exchanges
            .map(|exchange| {
                let read = self.exchange(exchange);
                read.ok_or("the counts are not of this module".into())
            })
            .collect()
    }

    fn exchange(&self, exchange: &Value) -> Option<Exchange> {
        let runs = exchange["counted"].as_array()?.iter();
        let runs: Option<Vec<Run>> = runs.map(|run| self.run(run)).collect();
        Some(Exchange {
            name: exchange["name"].as_str()?.to_owned(),
            runs: runs.filter(|runs| !runs.is_empty())?,
        })
    }

    fn run(&self, run: &Value) -> Option<Run> {
        let functions = self.code.functions;
        let mut words = vec![0; 1 + functions + self.code.blocks.len()];
        for word in run["counts"].as_array()? {
            let place = usize::try_from(word[0].as_u64()?).ok()?;
            *words.get_mut(place)? = word[1].as_u64()?;
        }
        let blocks = words.split_off(1 + functions);
        let calls = words.split_off(1);
        let host_calls = run["host_calls"].as_object()?.iter();
        let host_calls: Option<_> = host_calls
            .map(|(name, calls)| Some((name.clone(), calls.as_u64()?)))
            .collect();
        Some(Run {
            host_calls: host_calls?,
            touched: *words.first()?,
            calls,
            blocks,
        })
    }

    /// Returns the counts of an exchange.
    pub fn counts(&self, exchange: &Exchange) -> Counts {
        let average = |figure: &dyn Fn(&Run) -> u64| {
            let sum: u64 = exchange.runs.iter().map(figure).sum();
            let runs = exchange.runs.len() as u64;
            (sum + runs / 2) / runs
        };
        let called: BTreeSet<&str> = exchange
            .runs
            .iter()
            .flat_map(|run| run.host_calls.iter().map(|(name, _)| name.as_str()))
            .collect();
        let host_calls = called.into_iter().map(|called| {
            let calls = average(&|run| {
                let calls = run.host_calls.iter().filter(|(name, _)| name == called);
                calls.map(|(_, calls)| calls).sum()
            });
            (called.to_owned(), calls)
        });
        Counts {
            name: exchange.name.clone(),
            instructions: average(&|run| instructions(&self.ran(run))),
            code_lines: average(&|run| code_lines(&self.ran(run))),
            data_lines: average(&|run| run.touched),
            allocations: average(&|run| {
                let functions = self.names.iter().zip(&run.calls);
                functions
                    .filter(|(name, _)| is_allocator(name))
                    .map(|(_, calls)| calls)
                    .sum()
            }),
            host_calls: host_calls.filter(|(_, calls)| *calls > 0).collect(),
        }
    }

    /// Returns the counts of each function in the last run of the exchange.
    pub fn functions(&self, exchange: &Exchange) -> Vec<FunctionCounts> {
        let Some(run) = exchange.runs.last() else {
            return Vec::new();
        };
        self.ran(run)
            .chunk_by(|(one, _), (other, _)| one.function == other.function)
            .filter_map(|blocks| {
                let function = blocks.first()?.0.function;
                Some(FunctionCounts {
                    name: self.names.get(function)?.clone(),
                    calls: *run.calls.get(function)?,
                    instructions: instructions(blocks),
                    code_lines: code_lines(blocks),
                })
            })
            .collect()
    }

    /// Returns the blocks that ran, with their counts.
    fn ran<'a>(&'a self, run: &Run) -> Vec<(&'a Block, u64)> {
        let blocks = self.code.blocks.iter().zip(run.blocks.iter().copied());
        blocks.filter(|(_, runs)| *runs > 0).collect()
    }
}

fn is_allocator(name: &str) -> bool {
    let last = name.rsplit("::").next();
    last.is_some_and(|last| ALLOCATORS.contains(&last))
}

fn instructions(ran: &[(&Block, u64)]) -> u64 {
    ran.iter()
        .map(|(block, runs)| block.instructions * runs)
        .sum()
}

fn code_lines(ran: &[(&Block, u64)]) -> u64 {
    let lines: BTreeSet<u64> = ran
        .iter()
        .flat_map(|(block, _)| block.code.start >> LINE..=(block.code.end - 1) >> LINE)
        .collect();
    lines.len() as u64
}

impl Counts {
    /// Returns the number of all host calls.
    pub fn all_host_calls(&self) -> u64 {
        self.host_calls.iter().map(|(_, calls)| calls).sum()
    }

    /// Returns the counts in the form of the file of accepted figures.
    pub fn to_json(&self) -> Value {
        let host_calls: Map<String, Value> = self
            .host_calls
            .iter()
            .map(|(name, calls)| (name.clone(), json!(calls)))
            .collect();
        json!({
            "instructions": self.instructions,
            "code_lines": self.code_lines,
            "data_lines": self.data_lines,
            "allocations": self.allocations,
            "host_calls": host_calls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::meter;
    use wasmi::{Engine, Linker, Module, Store};

    /// Module that is metered and run.
    struct Machine {
        store: Store<()>,
        instance: wasmi::Instance,
        metered: Metered,
    }

    impl Machine {
        /// Creates a machine from a module's text. It adds a memory of two pages and an allocator, $__rdl_alloc, that always
        /// returns 64.
        fn of(rest: &str) -> Machine {
            let text = format!(
                r#"(module
                    (import "env" "log" (func $log))
                    (memory (export "memory") 2)
                    (data $text "text")
                    (func $__rdl_alloc (result i32) i32.const 64)
                    {rest})"#
            );
            let module = wat::parse_str(text).unwrap();
            let names = crate::blocks::names(&module).unwrap().join("\n");
            let metered = Metered::new(&module, &names).unwrap();
            let engine = Engine::default();
            let mut store = Store::new(&engine, ());
            let mut linker = Linker::new(&engine);
            linker.func_wrap("env", "log", || {}).unwrap();
            let counting = Module::new(&engine, meter(&module).unwrap()).unwrap();
            let instance = linker.instantiate_and_start(&mut store, &counting).unwrap();
            Machine {
                store,
                instance,
                metered,
            }
        }

        /// Calls `run` and returns the counts in the form of `count.mjs`.
        fn run(&mut self, operand: i32) -> Result<Value, wasmi::Error> {
            for name in ["counts", "touched"] {
                let memory = self.instance.get_memory(&self.store, name).unwrap();
                memory.data_mut(&mut self.store).fill(0);
            }
            let run = self
                .instance
                .get_typed_func::<i32, ()>(&self.store, "run")?;
            run.call(&mut self.store, operand)?;
            let counts = self.instance.get_memory(&self.store, "counts").unwrap();
            let words = counts
                .data(&self.store)
                .chunks_exact(4)
                .map(|word| u32::from_le_bytes(word.try_into().unwrap()));
            let words: Vec<_> = words.enumerate().filter(|(_, word)| *word > 0).collect();
            Ok(json!({ "counts": words, "host_calls": { "log": operand } }))
        }

        /// Returns the counts of `run` with these operands.
        fn exchange(&mut self, operands: &[i32]) -> Exchange {
            let runs = operands.iter().map(|operand| self.run(*operand).unwrap());
            let written = json!([{ "name": "run", "counted": runs.collect::<Value>() }]);
            self.metered.exchanges(&written).unwrap().remove(0)
        }

        fn counts(&mut self, operands: &[i32]) -> Counts {
            let exchange = self.exchange(operands);
            self.metered.counts(&exchange)
        }
    }

    /// Returns the counts of a body of `run`, whose only parameter is 0.
    fn counts(body: &str) -> Counts {
        let run = format!(r#"(func (export "run") (param i32) {body})"#);
        Machine::of(&run).counts(&[0])
    }

    #[test]
    fn each_instruction_counts_as_often_as_it_runs() {
        for (body, instructions) in [
            ("", 0),
            ("nop nop nop", 3),
            // Brackets are no instructions.
            ("block block nop end end", 1),
            ("i32.const 1 if nop nop else nop nop nop nop end", 4),
            ("local.get 0 if nop nop else nop nop nop nop end", 6),
            ("nop return nop nop", 2),
            ("block br 0 nop end nop", 2),
            ("block local.get 0 br_if 0 nop end", 3),
            ("block i32.const 1 br_if 0 nop end", 2),
            ("block block local.get 0 br_table 0 1 end nop end nop", 4),
            ("block block i32.const 1 br_table 0 1 end nop end nop", 3),
            // Five instructions ten times, and two after the loop.
            (
                "loop local.get 0 i32.const 1 i32.add local.tee 0 i32.const 10 i32.lt_s br_if 0 end nop nop",
                72,
            ),
        ] {
            assert_eq!(counts(body).instructions, instructions, "{body}");
        }
    }

    #[test]
    fn each_line_of_memory_that_is_loaded_from_or_stored_to_counts_once() {
        for (body, lines) in [
            ("", 0),
            ("i32.const 0 i32.load drop", 1),
            (
                "i32.const 0 i32.load drop i32.const 60 i32.const 1 i32.store",
                1,
            ),
            (
                "i32.const 0 i32.load drop i32.const 64 i32.const 1 i32.store",
                2,
            ),
            // The lines depend on address plus offset, and on the whole range of an access.
            ("i32.const 60 i32.load drop", 1),
            ("i32.const 61 i32.load drop", 2),
            ("i32.const 57 i64.load drop", 2),
            ("i32.const 57 i64.load32_u drop", 1),
            (
                "i32.const 63 i32.load8_u drop i32.const 64 i32.load8_s offset=3 drop",
                2,
            ),
            ("i32.const 60 i32.load offset=1 drop", 2),
            ("i32.const 63 i32.const 1 i32.store8", 1),
            ("i32.const 63 i32.const 1 i32.store16", 2),
            ("i32.const 63 i64.const 1 i64.store16 offset=1", 1),
            ("i32.const 60 f32.const 1 f32.store", 1),
            ("i32.const 60 f64.const 1 f64.store", 2),
            ("i32.const 49 v128.load drop", 2),
            ("i32.const 49 v128.load64_zero drop", 1),
            ("i32.const 63 v128.load8_splat drop", 1),
            ("i32.const 49 i32.const 9 i8x16.splat v128.store", 2),
            (
                "i32.const 63 i32.const 9 i8x16.splat v128.store16_lane 0",
                2,
            ),
            (
                "i32.const 63 i32.const 9 i8x16.splat v128.load8_lane 0 drop",
                1,
            ),
            // 200 bytes from the last byte of a line extend into four more lines, from the first byte into three.
            ("i32.const 1087 i32.const 0 i32.const 200 memory.fill", 5),
            ("i32.const 1024 i32.const 0 i32.const 200 memory.fill", 4),
            ("i32.const 1024 i32.const 8192 i32.const 200 memory.copy", 8),
            ("i32.const 1024 i32.const 8192 i32.const 0 memory.copy", 0),
            ("i32.const 62 i32.const 0 i32.const 4 memory.init $text", 2),
            ("i32.const 131068 i32.load drop", 1),
        ] {
            assert_eq!(counts(body).data_lines, lines, "{body}");
        }
    }

    #[test]
    fn what_is_counted_does_what_it_did() {
        // Traps unless what each kind of store has stored is loaded again.
        let same = "local.get 0 i32.const 77 i32.store offset=4
            local.get 0 i32.load offset=4 i32.const 77 i32.ne if unreachable end
            local.get 0 f64.const 0.5 f64.store local.get 0 f64.load f64.const 0.5 f64.ne if unreachable end
            i32.const 8 i32.const 9 i8x16.splat v128.store
            i32.const 40 i32.const 8 i32.const 16 memory.copy
            i32.const 55 i32.load8_u i32.const 9 i32.ne if unreachable end";
        counts(same);
        let run = format!(r#"(func (export "run") (param i32) {same})"#);
        assert!(Machine::of(&run).run(131_070).is_err(), "out of bounds");
    }

    #[test]
    fn lines_of_code_count_that_have_an_instruction_that_ran() {
        let nops = |count| "nop ".repeat(count);
        // A nop is one byte; the allocator and the head of this function are about twenty bytes before it.
        assert_eq!(counts(&nops(10)).code_lines, 1);
        assert_eq!(counts(&nops(640)).code_lines, 11);
        let skipped = format!("local.get 0 if {} end nop", nops(640));
        assert_eq!(counts(&skipped).code_lines, 2);
    }

    #[test]
    fn allocations_are_calls_of_rusts_allocator() {
        let counts = counts("call $__rdl_alloc drop call $__rdl_alloc drop call $log");
        assert_eq!(counts.allocations, 2);
        // Two calls with a drop each, one more call, and the instructions of the allocator.
        assert_eq!(counts.instructions, 7);
    }

    #[test]
    fn figures_are_averages_and_host_calls_have_names() {
        let run = r#"(func (export "run") (param i32) local.get 0 if nop nop nop end)"#;
        let counts = Machine::of(run).counts(&[0, 1, 2, 3]);
        assert_eq!(counts.name, "run");
        // 2, 5, 5 and 5 instructions; 0, 1, 2 and 3 calls; halves are rounded up.
        assert_eq!(counts.instructions, 4);
        assert_eq!(counts.host_calls, [("log".to_owned(), 2)]);
        assert_eq!(counts.all_host_calls(), 2);
    }

    #[test]
    fn functions_are_counted_one_by_one() {
        let text = r#"
            (func $_ZN4wire4json4scan17h0123456789abcdefE nop nop nop)
            (func $never nop)
            (func $run (export "run") (param i32)
                call $_ZN4wire4json4scan17h0123456789abcdefE
                call $_ZN4wire4json4scan17h0123456789abcdefE)"#;
        let mut machine = Machine::of(text);
        let exchange = machine.exchange(&[0]);
        let function = |name: &str, calls, instructions| FunctionCounts {
            name: name.to_owned(),
            calls,
            instructions,
            code_lines: 1,
        };
        assert_eq!(
            machine.metered.functions(&exchange),
            [function("wire::json::scan", 2, 6), function("run", 1, 2)]
        );
    }

    #[test]
    fn counts_and_names_of_another_module_are_rejected() {
        let module = wat::parse_str("(module (func nop))").unwrap();
        let rejected = |names: &str| Metered::new(&module, names).err().unwrap().to_string();
        assert_eq!(rejected("a\nb"), "the names are not of this module");
        assert!(rejected("a").starts_with("no function of this module allocates"));
        let metered = Metered::new(&module, "__rdl_alloc").unwrap();
        // The counts have words for touched lines, one function and one block.
        let written =
            json!([{ "name": "", "counted": [{ "counts": [[3, 1]], "host_calls": {} }] }]);
        let error = metered.exchanges(&written).err().unwrap().to_string();
        assert_eq!(error, "the counts are not of this module");
    }
}
