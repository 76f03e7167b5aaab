//! Compresses the object to a seventh of its size, because the binary must be small. The format is that of `.lzma` files.

use std::io::{self, Write};

use lzma_rust2::{LzmaOptions, LzmaWriter};

/// Compresses these bytes.
///
/// # Errors
/// Passes on the errors of the compressor.
pub fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    // A BPF instruction has eight bytes. A byte's position in the instruction predicts its value better than the byte before.
    let options = LzmaOptions { lc: 0, lp: 2, pb: 3, ..LzmaOptions::with_preset(9) };
    let mut writer = LzmaWriter::new_use_header(Vec::new(), &options, Some(bytes.len() as u64))?;
    writer.write_all(bytes)?;
    writer.finish()
}
