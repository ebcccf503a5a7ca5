//! Does nothing: cargo wants a build script beside `links`, which keeps two copies of core out of one build.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
