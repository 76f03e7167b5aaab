//! Makes a BPF object small enough to embed: removes its debug information, which is nine tenths of it, and all types that its
//! maps do not need.

use std::ops::Range;

use crate::{btf, order::Order};

/// Layout of ELF64 (System V gABI, chapter 4): offsets in the file header and in a section header.
const FILE_HEADER: usize = 64;
const SECTION_TABLE: usize = 40;
const SECTION_SIZE: usize = 58;
const SECTION_COUNT: usize = 60;
const SECTION_NAMES: usize = 62;
const TYPE: usize = 4;
const OFFSET: usize = 24;
const SIZE: usize = 32;
const ALIGNMENT: usize = 48;
const SHT_NOBITS: usize = 8;

/// Whether neither aya nor the kernel needs this section.
fn is_dropped(name: &[u8]) -> bool {
    let target = name.strip_prefix(b".rel").unwrap_or(name);
    target.starts_with(b".debug_") || target == b".BTF.ext" || name == b".rel.BTF"
}

/// The section of types. The kernel creates no socket storage without a type of its values.
const TYPES: &[u8] = b".BTF";

/// Returns the object without the contents of the dropped sections. Their headers stay as empty ones without a name
/// (SHT_NULL), so that the other sections keep their indices, and symbols and relocations stay valid.
pub fn strip(elf: &[u8]) -> Result<Vec<u8>, &'static str> {
    let order = match elf {
        [0x7f, b'E', b'L', b'F', 2, 1, ..] => Order::Little,
        [0x7f, b'E', b'L', b'F', 2, 2, ..] => Order::Big,
        _ => return Err("the BPF object is not an ELF64 file"),
    };
    strip_sections(elf, order).ok_or("the BPF object's section table or type information is damaged")
}

fn strip_sections(elf: &[u8], order: Order) -> Option<Vec<u8>> {
    let (half, long) = (Order::number::<2>, Order::number::<8>);
    let (table, size) = (long(order, elf, SECTION_TABLE)?, half(order, elf, SECTION_SIZE)?);
    let (count, names) = (half(order, elf, SECTION_COUNT)?, half(order, elf, SECTION_NAMES)?);
    let names = long(order, elf, table + names * size + OFFSET)?;

    let mut out = elf.get(..FILE_HEADER)?.to_vec();
    let mut headers = elf.get(table..table + count * size)?.to_vec();
    for header in headers.chunks_exact_mut(size) {
        let name = elf.get(names + order.number::<4>(header, 0)?..)?.split(|byte| *byte == 0).next()?;
        if is_dropped(name) {
            header[..TYPE + 4].fill(0);
            header[OFFSET..SIZE + 8].fill(0);
        } else if order.number::<4>(header, TYPE)? != SHT_NOBITS {
            let contents = range(long(order, header, OFFSET)?, long(order, header, SIZE)?);
            out.resize(out.len().next_multiple_of(long(order, header, ALIGNMENT)?.max(1)), 0);
            header[OFFSET..OFFSET + 8].copy_from_slice(&order.long(out.len())?);
            let contents = elf.get(contents)?;
            let contents = if name == TYPES { btf::of_maps(contents, order)? } else { contents.to_vec() };
            header[SIZE..SIZE + 8].copy_from_slice(&order.long(contents.len())?);
            out.extend_from_slice(&contents);
        }
    }
    out.resize(out.len().next_multiple_of(8), 0);
    let table = order.long(out.len())?;
    out[SECTION_TABLE..SECTION_TABLE + 8].copy_from_slice(&table);
    out.extend_from_slice(&headers);
    Some(out)
}

const fn range(start: usize, length: usize) -> Range<usize> {
    start..start + length
}
