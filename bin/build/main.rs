//! Builds the BPF object (`kern`) with aya-build, strips and packs it, so that it can be embedded.

use std::{
    env,
    error::Error,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use aya_build::{Package, Toolchain};

mod btf;
mod byte_order;
mod pack;
mod strip;
#[path = "../src/bpf/unpack.rs"]
mod unpack;

/// Name of the kernel package, of its binary, and so of the object in `OUT_DIR`.
const KERN: &str = "tcptop-kern";

/// Environment variable with the path of an object that an earlier build made: it is embedded as it is.
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
        return Err("the BPF object has another byte order than the CPU that tcptop is built for".into());
    }
    let packed = pack::pack(&object)?;
    if unpack::unpack(&packed).as_ref() != Some(&object) {
        return Err("the packed object is not the object any more".into());
    }
    fs::write(ours.with_extension("packed"), packed)?;
    Ok(())
}

/// Leaves the object in `OUT_DIR`, with its debug information.
fn build() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    for source in ["kern", "abi", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", root.join(source).display());
    }
    let linker = Command::new("bpf-linker").arg("--version").stdout(Stdio::null()).status();
    if !linker.is_ok_and(|status| status.success()) {
        return Err(format!(
            "bpf-linker, which links the kernel programs, does not run: `ci/run` installs it, or set {GIVEN} to the path of \
             a release's object of them"
        )
        .into());
    }
    let toolchain = env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "stable".into());
    println!("cargo:rerun-if-env-changed=RUSTUP_TOOLCHAIN");
    let kern = root.join("kern");
    let kern = kern.to_str().ok_or("the path of this checkout is not UTF-8")?;

    // SAFETY: a build script's main thread, before any other thread exists.
    // aya-ebpf needs an unstable feature and `-Z build-std`; this allows them to the BPF build alone.
    unsafe { env::set_var("RUSTC_BOOTSTRAP", "1") };
    aya_build::build_ebpf(
        [Package { name: KERN, root_dir: kern, ..Package::default() }],
        Toolchain::Custom(&toolchain),
    )?;
    Ok(())
}
