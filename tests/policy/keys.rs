//! The tables of keys in `docs/`: between `<!-- keys of PATH -->` and `<!-- end -->` stand the keys of the mapping at that path of
//! a policy, and of those below it that have no table of their own.

use super::*;
use agentguard::policy::{DOCUMENT, Key, ValueType};
use std::collections::BTreeSet;
use std::fmt::Write;

const START: &str = "<!-- keys of ";
const END: &str = "<!-- end -->";

/// How a value is written, where that is not plain.
fn form(value: &ValueType) -> Option<String> {
    match value {
        ValueType::Words(words) | ValueType::Default(words) | ValueType::Names(words) => (1
            ..=MAX_WORDS)
            .contains(&words.len())
            .then(|| words.join(" | ")),
        ValueType::Form(example, _) => Some((*example).to_owned()),
        ValueType::Boolean => Some("true | false".to_owned()),
        ValueType::False => Some("false".to_owned()),
        ValueType::Whole(_, most) if *most == u64::from(u32::MAX) => None,
        ValueType::Whole(least, most) => Some(format!("{least} to {most}")),
        ValueType::Size => Some("SIZE".to_owned()),
        ValueType::Seconds => Some("DURATION".to_owned()),
        ValueType::Either(values) => values.iter().find_map(form),
        _ => None,
    }
}

/// The most words that a row has room for.
const MAX_WORDS: usize = 8;

/// The keys of the mappings that a value may be or hold.
fn inner(value: &ValueType) -> Option<&'static [Key]> {
    match value {
        ValueType::Mapping(keys) => Some(keys),
        ValueType::Either(values) => values.iter().find_map(inner),
        ValueType::List(item) | ValueType::ListOf(_, _, item) => inner(item),
        _ => None,
    }
}

/// Writes the tables; each mapping once in a table, where it is first.
struct Tables {
    /// The mappings that have a table of their own.
    paths: Vec<String>,
}

impl Tables {
    fn table(&self, path: &str) -> String {
        let keys = path.split('.').skip(1).fold(DOCUMENT, |keys, name| {
            let key = keys.iter().find(|key| key.name == name);
            key.and_then(|key| inner(&key.value))
                .unwrap_or_else(|| panic!("no mapping is at {path}"))
        });
        let mut table = "\n| key | meaning |\n|---|---|\n".to_owned();
        self.rows(&mut table, path, "", keys, &mut BTreeSet::new());
        table
    }

    fn rows(
        &self,
        table: &mut String,
        path: &str,
        prefix: &str,
        keys: &[Key],
        written: &mut BTreeSet<Vec<&'static str>>,
    ) {
        for key in keys {
            let path = format!("{path}.{}", key.name);
            let name = format!("{prefix}{}", key.name);
            let form = form(&key.value).map(|form| format!(": {form}"));
            let form = form.unwrap_or_default().replace('|', "\\|");
            let required = if key.is_required { "Required. " } else { "" };
            writeln!(table, "| `{name}{form}` | {required}{} |", key.about).unwrap();
            if let Some(keys) = inner(&key.value).filter(|_| !self.paths.contains(&path))
                && written.insert(keys.iter().map(|key| key.name).collect())
            {
                self.rows(table, &path, &format!("{name}."), keys, written);
            }
        }
    }
}

#[test]
fn tables_of_keys_have_every_key() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs");
    let pages: Vec<(PathBuf, String)> = ["policy.md", "protocols.md", "identity.md"]
        .map(|name| folder.join(name))
        .map(|file| (file.clone(), std::fs::read_to_string(&file).unwrap()))
        .into();
    let paths = pages
        .iter()
        .flat_map(|(_, page)| page.split(START).skip(1))
        .map(|rest| rest.split(" -->").next().unwrap().to_owned());
    let tables = Tables {
        paths: paths.collect(),
    };
    assert!(tables.paths.contains(&"document".to_owned()));
    for (file, page) in &pages {
        let mut parts = page.split(START);
        let mut written = parts.next().unwrap().to_owned();
        for part in parts {
            let (path, rest) = part.split_once(" -->\n").unwrap();
            let (_, after) = rest.split_once(END).unwrap();
            write!(
                written,
                "{START}{path} -->\n{}\n{END}{after}",
                tables.table(path)
            )
            .unwrap();
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(file, &written).unwrap();
        } else {
            assert!(
                *page == written,
                "{} is out of date: run `UPDATE_DOCS=1 cargo test --test policy`",
                file.display()
            );
        }
    }
}
