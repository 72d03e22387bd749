//! ggml's `q8_0`: blocks of 32 values, each a 16-bit scale and 32 signed bytes. The arithmetic follows
//! `quantize_row_q8_0_ref` of ggml-quants.c step by step, so that the bytes agree.

use std::io::{self, Write};

use half::f16;

/// Values in a block.
pub const BLOCK: usize = 32;

/// Writes whole blocks of `values`.
pub fn write(out: &mut impl Write, values: &[f32]) -> io::Result<()> {
    let (blocks, _) = values.as_chunks::<BLOCK>();
    blocks.iter().try_for_each(|block| out.write_all(&quantize(block)))
}

fn quantize(block: &[f32; BLOCK]) -> [u8; BLOCK + 2] {
    let largest = block.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut bytes = [0; BLOCK + 2];
    let (head, tail) = bytes.split_at_mut(2);
    head.copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (byte, value) in tail.iter_mut().zip(block) {
        *byte = ((value * inverse).round() as i8).cast_unsigned();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_largest_value_and_zeros() {
        let mut block = [0.0; BLOCK];
        (block[0], block[1], block[2]) = (-254.0, 127.0, 1.0);
        let bytes = quantize(&block);
        assert_eq!(f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(), 2.0);
        assert_eq!(bytes[2..6].iter().map(|b| b.cast_signed()).collect::<Vec<_>>(), [-127, 64, 1, 0]);
        assert_eq!(quantize(&[0.0; BLOCK]), [0; BLOCK + 2]);
    }
}
