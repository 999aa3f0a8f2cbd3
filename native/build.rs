//! Links the unwinder into the module: the code that catches panics must also be present in images without `libgcc_s`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo tells a build script what it has to know this way"
    )]
    let linker = std::env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    // Zig, with which `make dist` links, contains its own unwinder. That of this machine's compiler would need this
    // machine's glibc.
    if linker.contains("zig") {
        return;
    }
    let printed = Command::new(linker)
        .arg("-print-file-name=libgcc_eh.a")
        .output();
    let path = printed.map(|printed| String::from_utf8_lossy(&printed.stdout).trim().to_owned());
    // A compiler without this archive prints its bare name. The module then needs `libgcc_s` where it runs.
    if let Some(folder) = path
        .ok()
        .as_deref()
        .and_then(|path| Path::new(path).parent())
        && folder.is_absolute()
    {
        println!("cargo:rustc-link-search=native={}", folder.display());
        println!("cargo:rustc-link-lib=static:+whole-archive=gcc_eh");
        println!("cargo:rustc-link-lib=static=gcc");
    }
}
