//! The layers, read off the paths that begin with `crate::`: an arrow may skip a layer, it never points up, and siblings do
//! not import one another. Files are parsed, so that an import is found wherever it is; only what is compiled for tests
//! alone is left out.
#![expect(clippy::unwrap_used, reason = "test code: a failure is a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// From the bottom up; the layers of one line are siblings.
const LAYERS: &[&[&str]] = &[
    &["wire", "diag", "proxy"],
    &["detect", "event"],
    &["policy", "protocol", "audit", "metrics", "redact"],
    &["approval", "identity", "limits"],
    &["flow", "author"],
    &["filter"],
    &["cli", "host"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Every Rust file below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path);
        }
    }
    found
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn parsed(file: &Path) -> syn::File {
    syn::parse_file(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// True for `#[cfg(test)]` and `#[test]`.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        meta => meta.path().is_ident("test"),
    })
}

/// What one file has: the modules that it imports, the files that it declares, and what it declares for tests alone.
#[derive(Default)]
struct Contents {
    imports: BTreeSet<String>,
    modules: Vec<String>,
    test_modules: Vec<String>,
}

impl Contents {
    fn of(file: &syn::File) -> Self {
        let mut contents = Self::default();
        contents.visit_file(file);
        contents
    }

    /// The names behind `crate::` in a tree of imports: both of `crate::{wire, event::Event}`.
    fn roots(&mut self, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => drop(self.imports.insert(path.ident.to_string())),
            syn::UseTree::Name(name) => drop(self.imports.insert(name.ident.to_string())),
            syn::UseTree::Rename(name) => drop(self.imports.insert(name.ident.to_string())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.roots(item)),
            syn::UseTree::Glob(_) => {}
        }
    }

    /// Paths within macros, which are tokens and no syntax: `crate` `::` `name`.
    fn tokens(&mut self, tokens: &str) {
        let flat: String = tokens.split_whitespace().collect();
        for rest in flat.split("crate::").skip(1) {
            let name = rest
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .next();
            self.imports.extend(name.map(str::to_owned));
        }
    }
}

impl<'ast> Visit<'ast> for Contents {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Const(item) => &item.attrs,
            syn::Item::Static(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            syn::Item::Enum(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if let syn::Item::Mod(module) = item
            && module.content.is_none()
        {
            let name = module.ident.to_string();
            if is_for_tests(attributes) {
                self.test_modules.push(name);
            } else {
                self.modules.push(name);
            }
        } else if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if let syn::UseTree::Path(path) = &item.tree
            && path.ident == "crate"
        {
            self.roots(&path.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if segments.next().is_some_and(|first| first.ident == "crate")
            && let Some(second) = segments.next()
        {
            self.imports.insert(second.ident.to_string());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(&item.tokens.to_string());
        visit::visit_macro(self, item);
    }
}

/// The crate as the compiler sees it: every file that a `mod` declares, from the two roots on, and whether only tests
/// have it.
fn declared() -> BTreeMap<PathBuf, bool> {
    fn walk(file: PathBuf, folder: &Path, for_tests: bool, found: &mut BTreeMap<PathBuf, bool>) {
        let contents = Contents::of(&parsed(&file));
        found.insert(file, for_tests);
        let all = contents.modules.iter().map(|name| (name, for_tests));
        for (name, for_tests) in all.chain(contents.test_modules.iter().map(|name| (name, true))) {
            let inside = folder.join(name);
            let candidates = [inside.with_extension("rs"), inside.join("mod.rs")];
            let file = candidates.into_iter().find(|file| file.is_file());
            assert!(file.is_some(), "{}: no file", inside.display());
            walk(file.unwrap(), &inside, for_tests, found);
        }
    }
    let mut found = BTreeMap::new();
    for root in ["lib.rs", "main.rs"] {
        walk(source().join(root), &source(), false, &mut found);
    }
    found
}

/// The layer's name of a file: `policy` of `src/policy/operators/mod.rs`.
fn module_of(file: &Path) -> String {
    let relative = file.strip_prefix(source()).unwrap();
    let first = relative.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn dependencies_point_down() {
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for (file, for_tests) in declared() {
        let module = module_of(&file);
        let Some(own) = layer(&module).filter(|_| !for_tests) else {
            continue;
        };
        for import in Contents::of(&parsed(&file)).imports {
            let Some(other) = layer(&import).filter(|_| import != module) else {
                continue;
            };
            arrows += 1;
            if other >= own {
                wrong.push(format!("{} imports {import}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(arrows > 200, "{arrows} arrows were seen");
}

#[test]
fn an_import_is_seen_behind_tests_in_groups_in_expressions_and_in_macros() {
    let contents = Contents::of(
        &syn::parse_file(
            "#[cfg(test)] mod tests;
             use crate::wire::json;
             use crate::{event::Event, diag as d};
             fn f() -> crate::policy::Policy { crate::flow::run(vec![crate::redact::apply()]) }
             #[cfg(test)] mod inside { use crate::host::x; }
             #[test] fn g() { crate::cli::main(); }
             mod other;",
        )
        .unwrap(),
    );
    let seen: Vec<&str> = contents.imports.iter().map(String::as_str).collect();
    assert_eq!(seen, ["diag", "event", "flow", "policy", "redact", "wire"]);
    assert_eq!(contents.modules, ["other"]);
    assert_eq!(contents.test_modules, ["tests"]);
}

#[test]
fn every_folder_of_the_source_has_its_layer_and_every_layer_its_folder() {
    let folders: BTreeSet<String> = std::fs::read_dir(source())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let layers: BTreeSet<String> = LAYERS
        .iter()
        .flat_map(|layer| layer.iter().map(|name| (*name).to_owned()))
        .collect();
    assert_eq!(folders, layers);
}

/// A file that no `mod` declares is not compiled, and nobody would miss a detector that isn't.
#[test]
fn every_file_is_compiled() {
    let declared: BTreeSet<PathBuf> = declared().into_keys().collect();
    let all = files(&source());
    let lost: Vec<&PathBuf> = all.difference(&declared).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

/// A detector that is compiled and not in the list finds nothing.
#[test]
fn every_detector_is_in_the_list() {
    let folder = source().join("detect/detectors");
    let list = std::fs::read_to_string(source().join("detect/detectors.rs")).unwrap();
    let mut detectors = 0;
    for file in files(&folder) {
        for item in parsed(&file).items {
            let (name, kind) = match item {
                syn::Item::Static(item) => (item.ident, *item.ty),
                syn::Item::Const(item) => (item.ident, *item.ty),
                _ => continue,
            };
            if matches!(kind, syn::Type::Path(path) if path.path.is_ident("Detector")) {
                let module = file.file_stem().unwrap().to_str().unwrap();
                assert!(
                    list.contains(&format!("{module}::{name},")),
                    "{module}::{name}"
                );
                detectors += 1;
            }
        }
    }
    assert!(detectors > 100, "{detectors}");
}

/// `PLACEHOLDER` names in a path are left out, and so are paths without the folder at the top.
#[test]
fn every_place_that_contributors_are_told_of_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for page in ["CONTRIBUTING.md", "AGENTS.md", "docs/architecture.md"] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let quoted = text.split('`').skip(1).step_by(2);
        let places = quoted.filter(|place| {
            ["src/", "tests/", "benches/", "tools/", "docs/", "native/"]
                .iter()
                .any(|folder| place.starts_with(folder))
                && !place.contains(|c: char| c.is_whitespace() || "*{<".contains(c))
                && !["NAME", "FAMILY"].iter().any(|name| place.contains(name))
        });
        for place in places {
            assert!(root.join(place).exists(), "{page} names `{place}`");
            seen += 1;
        }
    }
    assert!(seen >= 25, "only {seen} places are named");
}

#[test]
fn only_the_host_names_the_sdk() {
    for file in files(&source()) {
        let text = std::fs::read_to_string(&file).unwrap();
        let inside = file.starts_with(source().join("host")) || file.ends_with("lib.rs");
        assert!(
            inside || !text.contains("proxy_wasm::"),
            "{}",
            file.display()
        );
    }
}

/// Modules of the policy that import one another because they are one thought in several files: a parent whose words its
/// children use, or readings of the same text that call each other.
const POLICY_PAIRS: &[(&str, &str)] = &[
    ("operators", "operators::*"),
    ("operators::host", "operators::url"),
    ("operators::host", "operators::mail"),
    ("operators::sql::rows", "operators::sql::statement"),
    ("zones", "zones::database"),
];

/// All paths of a file, from imports and from expressions, as their names in order.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl Paths {
    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| {
            let mut path = before.to_vec();
            path.push(name.to_string());
            path
        };
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.0.push(with(&name.ident)),
            syn::UseTree::Rename(name) => self.0.push(with(&name.ident)),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.tree(before, item));
            }
            syn::UseTree::Glob(_) => self.0.push(before.to_vec()),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Mod(module) if is_for_tests(&module.attrs) => {}
            syn::Item::Fn(function) if is_for_tests(&function.attrs) => {}
            syn::Item::Use(item) if is_for_tests(&item.attrs) => {}
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    /// `pub(super)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // A name alone is a variable or was imported.
        if path.segments.len() > 1 {
            let segments = path.segments.iter();
            self.0
                .push(segments.map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}

/// The module that a path leads to, as far as its names are modules; `own` is where it is written.
fn target(path: &[String], own: &str, modules: &BTreeSet<String>) -> Option<String> {
    let mut at: Vec<&str> = own.split("::").filter(|name| !name.is_empty()).collect();
    let mut names = path.iter().map(String::as_str).peekable();
    match *names.peek()? {
        "crate" => {
            names.next();
            at.clear();
            names.next().filter(|name| *name == "policy")?;
        }
        "self" => drop(names.next()),
        "super" => {
            while names.next_if_eq(&"super").is_some() {
                at.pop()?;
            }
        }
        child => {
            modules.contains(&[own, child].join("::")).then_some(())?;
        }
    }
    for name in names {
        at.push(name);
        if !modules.contains(&at.join("::")) {
            at.pop();
            break;
        }
    }
    Some(at.join("::")).filter(|module| !module.is_empty() && module != own)
}

fn is_pair(a: &str, b: &str) -> bool {
    let fits = |pattern: &str, module: &str| match pattern.strip_suffix('*') {
        Some(parent) => module.starts_with(parent),
        None => module == pattern,
    };
    POLICY_PAIRS
        .iter()
        .any(|(one, two)| fits(one, a) && fits(two, b) || fits(one, b) && fits(two, a))
}

/// What imports what in the policy, without the arrows between pairs.
fn policy_imports() -> BTreeMap<String, BTreeSet<String>> {
    let folder = source().join("policy");
    let files: BTreeMap<String, PathBuf> = declared()
        .into_iter()
        .filter(|(file, for_tests)| !for_tests && file.starts_with(&folder))
        .map(|(file, _)| {
            let path = file.strip_prefix(&folder).unwrap().with_extension("");
            let names: Vec<&str> = path.iter().map(|name| name.to_str().unwrap()).collect();
            (
                names
                    .join("::")
                    .trim_end_matches("mod")
                    .trim_end_matches("::")
                    .to_owned(),
                file,
            )
        })
        .collect();
    let modules: BTreeSet<String> = files.keys().cloned().collect();
    let mut imports = BTreeMap::new();
    for (module, file) in files {
        let mut paths = Paths::default();
        paths.visit_file(&parsed(&file));
        let targets = paths
            .0
            .iter()
            .filter_map(|path| target(path, &module, &modules));
        let targets = targets.filter(|other| !is_pair(&module, other)).collect();
        imports.insert(module, targets);
    }
    // The root names everything so that others can.
    imports.remove("");
    imports
}

/// A module that is reached from what it imports can't be read, tested or moved alone.
#[test]
fn no_modules_of_the_policy_import_one_another_in_a_circle() {
    let mut imports = policy_imports();
    let arrows: usize = imports.values().map(BTreeSet::len).sum();
    assert!(arrows > 150, "{arrows} arrows were seen");
    // What imports nothing that is left, or what nothing that is left imports, is in no circle.
    loop {
        let left: BTreeSet<String> = imports.keys().cloned().collect();
        let imported: BTreeSet<String> = imports.values().flatten().cloned().collect();
        imports.retain(|module, _| imported.contains(module));
        for targets in imports.values_mut() {
            targets.retain(|target| left.contains(target));
        }
        imports.retain(|_, targets| !targets.is_empty());
        if imports.len() == left.len() {
            break;
        }
    }
    assert!(imports.is_empty(), "{imports:#?}");
}

#[test]
fn a_module_is_found_behind_every_form_of_path() {
    let modules = ["a", "a::b", "a::c", "d"].map(str::to_owned).into();
    let target = |path: &str| {
        let path: Vec<String> = path.split("::").map(str::to_owned).collect();
        target(&path, "a::b", &modules)
    };
    assert_eq!(target("crate::policy::d::Item").as_deref(), Some("d"));
    assert_eq!(target("super::c::Item").as_deref(), Some("a::c"));
    assert_eq!(target("super::Item").as_deref(), Some("a"));
    assert_eq!(target("super::super::d").as_deref(), Some("d"));
    assert_eq!(target("crate::wire::d"), None);
    assert_eq!(target("Item::new"), None);
}
