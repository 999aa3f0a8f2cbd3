//! Exports the callbacks of the program: the module that it loads looks them up as it does in Envoy.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-rdynamic");
}
