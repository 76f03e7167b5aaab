//! Packs the object: a seventh of its bytes is enough, and the binary must be small. The format is that of `.lzma` files.

use std::io::{self, Write};

use lzma_rust2::{LzmaOptions, LzmaWriter};

/// Packs these bytes.
///
/// # Errors
/// The packer's.
pub fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    // Instructions of BPF have eight bytes, and what a byte is depends on its place among them more than on the byte before.
    let options = LzmaOptions { lc: 0, lp: 2, pb: 3, ..LzmaOptions::with_preset(9) };
    let mut writer = LzmaWriter::new_use_header(Vec::new(), &options, Some(bytes.len() as u64))?;
    writer.write_all(bytes)?;
    writer.finish()
}
