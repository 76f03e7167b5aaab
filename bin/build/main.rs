//! Builds the BPF object from `kern` with aya-build, strips and packs it, and packs the help. `bpf::object` and `args::help`
//! embed the results.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use aya_build::{Package, Toolchain};

mod btf;
mod byte_order;
mod pack;
mod strip;
#[path = "../src/unpack.rs"]
mod unpack;

/// Name of the kernel package and its binary, and so of the object in `OUT_DIR`.
const KERN: &str = "tcptop-kern";

/// Environment variable with the path of an object from an earlier build, which is then embedded instead.
const GIVEN: &str = "TCPTOP_KERN";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed={GIVEN}");
    let ours = PathBuf::from(env::var("OUT_DIR")?).join(KERN);
    if let Some(given) = env::var_os(GIVEN).map(PathBuf::from) {
        println!("cargo:rerun-if-changed={}", given.display());
        let object = fs::read(&given).map_err(|error| format!("{GIVEN}={}: {error}", given.display()))?;
        fs::write(&ours, object)?;
    } else {
        build()?;
        fs::write(&ours, strip::strip(&fs::read(&ours)?)?)?;
    }
    let object = fs::read(&ours)?;
    // EI_DATA of the ELF header.
    let order = if env::var("CARGO_CFG_TARGET_ENDIAN")? == "big" { 2 } else { 1 };
    if object.get(5) != Some(&order) {
        return Err("the BPF object and the target CPU have different byte orders".into());
    }
    fs::write(ours.with_extension("packed"), pack::object(&object)?)?;
    pack_help(&ours.with_file_name("help.packed"))
}

/// Writes both helps into this file, packed, with a form feed between them.
fn pack_help(file: &Path) -> Result<(), Box<dyn Error>> {
    let documents = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("doc");
    let mut helps = Vec::new();
    for name in ["short-help.txt", "help.txt"] {
        let path = documents.join(name);
        println!("cargo:rerun-if-changed={}", path.display());
        helps.push(fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    fs::write(file, pack::text(helps.join("\x0c").as_bytes())?)?;
    Ok(())
}

/// Writes the object with its debug information into `OUT_DIR`.
fn build() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    for source in ["kern", "abi", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", root.join(source).display());
    }
    let linker = Command::new("bpf-linker").arg("--version").stdout(Stdio::null()).status();
    if !linker.is_ok_and(|status| status.success()) {
        return Err(format!(
            "bpf-linker, which links the kernel programs, does not run. `ci/run` installs it. Or set {GIVEN} to the path of \
             an object from a release"
        )
        .into());
    }
    let toolchain = env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "stable".into());
    println!("cargo:rerun-if-env-changed=RUSTUP_TOOLCHAIN");
    let kern = root.join("kern");
    let kern = kern.to_str().ok_or("the path of this checkout is not UTF-8")?;

    // aya-ebpf needs an unstable feature and `-Z build-std`. The variable allows both for the BPF build only.
    // SAFETY: no other thread exists yet that could read the environment.
    unsafe { env::set_var("RUSTC_BOOTSTRAP", "1") };
    aya_build::build_ebpf(
        [Package { name: KERN, root_dir: kern, ..Package::default() }],
        Toolchain::Custom(&toolchain),
    )?;
    Ok(())
}
