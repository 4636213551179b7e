//! Builds the init program by calling rustc on `src/main.rs` and leaves it in `OUT_DIR`, where the
//! library half embeds it.
//!
//! Not a binary target of this package: a freestanding program clashes with std in `cargo test`
//! (two panic handlers) and cannot be a build dependency. Not a nested cargo: that one waits for
//! the outer one's lock, and a nested package is left out of `cargo package`. One rustc call has no
//! dependencies, ignores foreign `RUSTFLAGS` and takes a tenth of a second.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let target = variable("TARGET");
    let output = PathBuf::from(variable("OUT_DIR")).join("keel-init");
    // rust-lld comes with rustc's own toolchain and links for any target. A distribution's rustc
    // may lack it: then the system's C compiler drives the linking.
    if build(&target, &output, Linker::Lld) || build(&target, &output, Linker::Cc) {
        return ExitCode::SUCCESS;
    }
    eprintln!("cannot build the init program for {target}: see the messages of rustc above");
    ExitCode::FAILURE
}

/// Who links the program.
#[derive(Clone, Copy, PartialEq)]
enum Linker {
    /// LLVM's linker as shipped with rustc.
    Lld,
    /// The system's C compiler.
    Cc,
}

/// Runs rustc once and tells whether it succeeded.
fn build(target: &str, output: &Path, linker: Linker) -> bool {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let source = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let mut command = Command::new(rustc);
    command
        .args(["--crate-name", "keel_init", "--crate-type", "bin", "--edition", "2024"])
        .args(["--target", target, "--cap-lints", "allow", "-o"])
        .arg(output)
        .arg(Path::new(&source).join("src/main.rs"))
        .arg(format!("--remap-path-prefix={source}=init"))
        .args(["-Copt-level=s", "-Cpanic=abort", "-Ccodegen-units=1", "-Clto=fat"])
        .args(["-Crelocation-model=static", "-Cforce-unwind-tables=no"])
        .args(["-Cstrip=symbols", "-Cdebuginfo=0"]);
    if target.starts_with("aarch64") {
        // The outlined atomics are functions of a runtime library that is not linked here.
        command.arg("-Ctarget-feature=-outline-atomics");
    }
    if target.ends_with("musl") {
        // The musl targets bring start files of their own, with a `_start`.
        command.arg("-Clink-self-contained=no");
    }
    match linker {
        Linker::Lld => {
            command.args(["-Clinker=rust-lld", "-Clinker-flavor=ld.lld"]);
        }
        Linker::Cc => {
            command.args(["-Clinker=cc", "-Clink-arg=-nostartfiles", "-Clink-arg=-nostdlib"]);
            command.arg("-Clink-arg=-static");
        }
    }
    let prefix = if linker == Linker::Cc { "-Wl," } else { "" };
    for option in linker_options(target) {
        command.arg(format!("-Clink-arg={prefix}{option}"));
    }
    command.status().is_ok_and(|status| status.success())
}

/// What keeps the program at a few pages: no unwind tables, no notes, no padding between segments.
fn linker_options(target: &str) -> [&'static str; 4] {
    // Kernels for aarch64 may have pages of 64 KiB, and a segment must start on one.
    let page = if target.starts_with("aarch64") {
        "-zmax-page-size=65536"
    } else {
        "-zmax-page-size=4096"
    };
    ["--no-eh-frame-hdr", "--build-id=none", "-znorelro", page]
}
