//! Compresses the object to a seventh of its size and the help to two sevenths, because the binary must be small. The format is
//! that of `.lzma` files.

use std::{
    error::Error,
    io::{self, Write},
};

use lzma_rust2::{LzmaOptions, LzmaWriter};

use crate::unpack::unpack;

/// Compresses a BPF object, and checks that unpacking gives the same object.
///
/// # Errors
/// Passes on the errors of the compressor, and tells if unpacking gives something else.
pub fn object(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    // A BPF instruction has eight bytes. A byte's position in the instruction predicts its value better than the byte before.
    checked(bytes, LzmaOptions { lc: 0, lp: 2, pb: 3, ..LzmaOptions::with_preset(9) })
}

/// Compresses a text. The byte before predicts the next one, and its position tells nothing.
///
/// # Errors
/// As for [`object`].
pub fn text(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    checked(bytes, LzmaOptions { lc: 3, lp: 0, pb: 0, ..LzmaOptions::with_preset(9) })
}

fn checked(bytes: &[u8], options: LzmaOptions) -> Result<Vec<u8>, Box<dyn Error>> {
    let packed = pack(bytes, &options)?;
    if unpack(&packed).as_deref() != Some(bytes) {
        return Err("unpacking what was packed does not give the same bytes".into());
    }
    Ok(packed)
}

fn pack(bytes: &[u8], options: &LzmaOptions) -> io::Result<Vec<u8>> {
    let mut writer = LzmaWriter::new_use_header(Vec::new(), options, Some(bytes.len() as u64))?;
    writer.write_all(bytes)?;
    writer.finish()
}
