//! The mel filters a ggml file carries: triangles on Slaney's scale, each of unit area, over the 201 bins of
//! a 400-point transform at 16 kHz. The formula is librosa's `filters.mel`, which OpenAI's `mel_filters.npz`
//! was made with; the values computed here equal that file's in all 80 x 201 places, bit for bit (one zero
//! that carries a sign there aside).

use std::io::{self, Write};

/// Frequency bins of a 400-point transform.
const BINS: u32 = 201;
/// Width of a bin in Hz.
const BIN_HZ: f64 = 40.0;
/// Below this, Slaney's scale is linear with 200/3 Hz a mel; above, 27 mels are a factor of 6.4.
const BEND_HZ: f64 = 1000.0;
const BEND_MEL: f64 = 15.0;

/// Writes number of filters, number of bins, and the filters as 32-bit floats.
pub fn write(out: &mut impl Write, count: u32) -> io::Result<()> {
    out.write_all(&count.to_le_bytes())?;
    out.write_all(&BINS.to_le_bytes())?;
    filters(count).try_for_each(|weight| out.write_all(&weight.to_le_bytes()))
}

/// The filters one after the other, each [`BINS`] weights.
pub fn filters(count: u32) -> impl Iterator<Item = f32> {
    (0..count).flat_map(move |filter| (0..BINS).map(move |bin| weight(filter, bin, count)))
}

fn weight(filter: u32, bin: u32, filters: u32) -> f32 {
    let edge = |n: u32| mel_to_hz(hz_to_mel(8000.0) * f64::from(n) / f64::from(filters + 1));
    let (low, peak, high) = (edge(filter), edge(filter + 1), edge(filter + 2));
    let hz = f64::from(bin) * BIN_HZ;
    let triangle = ((hz - low) / (peak - low)).min((high - hz) / (high - peak)).max(0.0);
    // Rounded to 32 bits before and after the scaling, as librosa does.
    (f64::from(triangle as f32) * (2.0 / (high - low))) as f32
}

fn log_step() -> f64 {
    6.4f64.ln() / 27.0
}

fn hz_to_mel(hz: f64) -> f64 {
    BEND_MEL + (hz / BEND_HZ).ln() / log_step()
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel < BEND_MEL { 200.0 / 3.0 * mel } else { BEND_HZ * (log_step() * (mel - BEND_MEL)).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    use sha2::{Digest, Sha256};

    /// All 16,080 values of OpenAI's `mel_filters.npz` (`mel_80`), by the hash of their bytes, and a few of
    /// them as bits, to tell where a difference is.
    #[test]
    fn filters_equal_openais() {
        for (filter, bin, bits) in [
            (0, 1, 0x3ccb_aca4),
            (1, 2, 0x3cbb_5d95),
            (20, 19, 0x3c33_c4be),
            (40, 43, 0x3c71_6d72),
            (60, 95, 0x3b32_d7db),
            (79, 199, 0x39eb_476a),
        ] {
            assert_eq!(weight(filter, bin, 80).to_bits(), bits, "filter {filter}, bin {bin}");
        }
        let mut bytes = Vec::new();
        write(&mut bytes, 80).unwrap();
        assert_eq!(
            crate::engine::installed::hex(Sha256::new_with_prefix(&bytes)),
            "97d22dd3c65bc0c664ed23acdb68b6528ab5517f6861852571ae1cad6350eab7"
        );
    }

    #[test]
    fn most_weights_are_zero_and_every_filter_has_some() {
        for filter in 0..80 {
            let positive = (0..BINS).filter(|bin| weight(filter, *bin, 80) > 0.0).count();
            assert!((1..=14).contains(&positive), "filter {filter}: {positive}");
        }
    }
}
