//! Builds the BPF object (`kern`) with aya-build and strips it, so that it can be embedded.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use aya_build::{Package, Toolchain};

/// Name of the kernel package, of its binary, and so of the object in `OUT_DIR`.
const KERN: &str = "tcptop-kern";

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    for dir in ["kern", "abi"] {
        println!("cargo:rerun-if-changed={}", root.join(dir).display());
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
    strip(&PathBuf::from(env::var("OUT_DIR")?).join(KERN))
}

/// Sections that neither aya nor the kernel reads: debug information and its relocations, and BTF (the maps are
/// defined without it).
fn is_dropped(name: &[u8]) -> bool {
    let name = name.strip_prefix(b".rel").unwrap_or(name);
    name.starts_with(b".debug_") || name.starts_with(b".BTF") || name == b".llvm_addrsig" || name == b".comment"
}

/// Empties the dropped sections of an ELF64 little-endian object and closes the gaps (System V gABI chapter 4).
/// Section headers keep their indices, so symbols and relocations stay valid.
fn strip(path: &Path) -> Result<(), Box<dyn Error>> {
    const HEADER: usize = 64;
    let elf = fs::read(path)?;
    if elf.get(..6) != Some(&b"\x7fELF\x02\x01"[..]) {
        return Err(format!("{} is not a little-endian ELF64 object", path.display()).into());
    }
    let half = |at: usize| usize::from(u16::from_le_bytes([elf[at], elf[at + 1]]));
    let word = |at: usize| -> usize { u64::from_le_bytes(elf[at..at + 8].try_into().expect("8 bytes")) as usize };
    let (table, entry, count, names) = (word(40), half(58), half(60), half(62));
    let names = word(table + names * entry + 24);

    let mut out = elf[..HEADER].to_vec();
    let mut headers = elf[table..table + count * entry].to_vec();
    for header in headers.chunks_exact_mut(entry) {
        let field = |header: &[u8], at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8 bytes"));
        let start = names + u32::from_le_bytes(header[..4].try_into()?) as usize;
        let name = elf[start..].split(|byte| *byte == 0).next().unwrap_or_default();
        let (offset, size, align) = (field(header, 24) as usize, field(header, 32) as usize, field(header, 48));
        const NOBITS: u8 = 8;
        if is_dropped(name) {
            // Nameless, SHT_NULL, empty.
            header[..8].fill(0);
            header[24..40].fill(0);
        } else if header[4] != NOBITS && size > 0 {
            out.resize(out.len().next_multiple_of(align.max(1) as usize), 0);
            header[24..32].copy_from_slice(&(out.len() as u64).to_le_bytes());
            out.extend_from_slice(&elf[offset..offset + size]);
        }
    }
    out.resize(out.len().next_multiple_of(8), 0);
    let table = out.len() as u64;
    out[40..48].copy_from_slice(&table.to_le_bytes());
    out.extend_from_slice(&headers);
    fs::write(path, out)?;
    Ok(())
}
