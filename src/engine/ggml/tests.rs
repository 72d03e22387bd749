//! A tiny model through the whole conversion, its cuts and flipped bits refused or survived.

use std::path::PathBuf;

use super::*;

const WIDTH: u32 = 32;
const VOCAB: u32 = 4;

/// A one-layer model in CTranslate2's layout; every value of a variable is its running number.
fn model() -> Vec<u8> {
    let mut variables: Vec<(String, Vec<u32>)> = Vec::new();
    let mut add = |name: String, dims: &[u32]| variables.push((name, dims.to_vec()));
    add("decoder/embeddings/weight".into(), &[VOCAB, WIDTH]);
    add("decoder/position_encodings/encodings".into(), &[3, WIDTH]);
    add("encoder/position_encodings/encodings".into(), &[5, WIDTH]);
    add("encoder/conv1/weight".into(), &[WIDTH, 80, 3]);
    add("encoder/conv2/weight".into(), &[WIDTH, WIDTH, 3]);
    add("encoder/conv1/bias".into(), &[WIDTH]);
    add("encoder/conv2/bias".into(), &[WIDTH]);
    for side in ["encoder", "decoder"] {
        let layer = format!("{side}/layer_0");
        let mut linear = |name: &str, rows: u32, columns: u32| {
            add(format!("{layer}/{name}/weight"), &[rows, columns]);
            add(format!("{layer}/{name}/bias"), &[rows]);
        };
        linear("ffn/linear_0", 4 * WIDTH, WIDTH);
        linear("ffn/linear_1", WIDTH, 4 * WIDTH);
        linear("self_attention/linear_0", 3 * WIDTH, WIDTH);
        linear("self_attention/linear_1", WIDTH, WIDTH);
        if side == "decoder" {
            linear("attention/linear_0", WIDTH, WIDTH);
            linear("attention/linear_1", 2 * WIDTH, WIDTH);
            linear("attention/linear_2", WIDTH, WIDTH);
            add(format!("{layer}/attention/layer_norm/gamma"), &[WIDTH]);
            add(format!("{layer}/attention/layer_norm/beta"), &[WIDTH]);
        }
        for norm in [format!("{layer}/ffn/layer_norm"), format!("{layer}/self_attention/layer_norm")] {
            add(format!("{norm}/gamma"), &[WIDTH]);
            add(format!("{norm}/beta"), &[WIDTH]);
        }
        add(format!("{side}/layer_norm/gamma"), &[WIDTH]);
        add(format!("{side}/layer_norm/beta"), &[WIDTH]);
    }

    let mut bytes = Vec::new();
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u16 + 1).to_le_bytes());
        bytes.extend(text.bytes().chain([0]));
    };
    bytes.extend(6u32.to_le_bytes());
    text(&mut bytes, "WhisperSpec");
    bytes.extend(3u32.to_le_bytes());
    bytes.extend((variables.len() as u32 + 2).to_le_bytes());
    for side in ["encoder", "decoder"] {
        text(&mut bytes, &format!("{side}/num_heads"));
        bytes.extend([0, 2]);
        bytes.extend(2u32.to_le_bytes());
        bytes.extend(4u16.to_le_bytes());
    }
    for (name, dims) in variables {
        text(&mut bytes, &name);
        bytes.push(dims.len() as u8);
        dims.iter().for_each(|d| bytes.extend(d.to_le_bytes()));
        let elements: u32 = dims.iter().product();
        bytes.push(4);
        bytes.extend((elements * 2).to_le_bytes());
        let key = match name.as_str() {
            n if n.ends_with("self_attention/linear_0/bias") => WIDTH..2 * WIDTH,
            n if n.ends_with("/attention/linear_1/bias") => 0..WIDTH,
            _ => 0..0,
        };
        for n in 0..elements {
            let value = if key.contains(&n) { 0.0 } else { (n % 512) as f32 };
            bytes.extend(half::f16::from_f32(value).to_le_bytes());
        }
    }
    bytes.extend(0u32.to_le_bytes());
    bytes
}

fn converted(model: &[u8], dtype: WeightType) -> Result<Vec<u8>, ConvertError> {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let weights = write("model.bin", model);
    let vocabulary = write("vocabulary.json", br#"["a", "b", "<|endoftext|>", "<|zh|>"]"#);
    let mut out = Vec::new();
    convert(&weights, &vocabulary, dtype, &mut out).map(|()| out)
}

/// The stored bytes of a tensor, found by its name.
fn stored<'a>(file: &'a [u8], name: &str, length: usize) -> &'a [u8] {
    let at = file.windows(name.len()).position(|w| w == name.as_bytes()).unwrap() + name.len();
    &file[at..at + length]
}

#[test]
fn rows_of_fused_variables_land_in_their_tensors() {
    let file = converted(&model(), WeightType::F16).unwrap();
    let expected = |first: u32| -> Vec<u8> {
        (first..first + 8).flat_map(|n| half::f16::from_f32((n % 512) as f32).to_le_bytes()).collect()
    };
    for (name, row) in [("attn.query", 0), ("attn.key", WIDTH), ("attn.value", 2 * WIDTH)] {
        let name = format!("decoder.blocks.0.{name}.weight");
        assert_eq!(stored(&file, &name, 16), expected(row * WIDTH), "{name}");
    }
    assert_eq!(stored(&file, "decoder.blocks.0.cross_attn.value.weight", 16), expected(WIDTH * WIDTH));
    let bias = stored(&file, "encoder.blocks.0.attn.value.bias", 4);
    assert_eq!(f32::from_le_bytes(bias.try_into().unwrap()), (2 * WIDTH) as f32);
}

#[test]
fn eight_bit_matrices_are_blocks_and_the_rest_stays() {
    let (f16, q8_0) = (converted(&model(), WeightType::F16).unwrap(), converted(&model(), WeightType::Q8_0));
    let q8_0 = q8_0.unwrap();
    let name = "encoder.blocks.0.mlp.0.weight";
    let block = stored(&q8_0, name, 34);
    assert_eq!(half::f16::from_le_bytes([block[0], block[1]]), half::f16::from_f32(31.0 / 127.0));
    assert_eq!((block[2], block[33]), (0, 127));
    let convolution = "encoder.conv1.weight";
    assert_eq!(stored(&f16, convolution, 960), stored(&q8_0, convolution, 960));
    assert_eq!(u32::from_le_bytes(q8_0[44..48].try_into().unwrap()), 2007);
}

#[test]
fn a_cut_model_is_refused_wherever_it_is_cut() {
    let whole = model();
    // The alias list at the end is not needed.
    for percent in 0..100 {
        let cut = &whole[..(whole.len() - 4) * percent / 100];
        assert!(converted(cut, WeightType::F16).is_err(), "{percent} %");
    }
}

#[test]
fn a_flipped_bit_in_the_lists_is_refused_or_harmless() {
    let whole = model();
    for at in 0..600 {
        for bit in [0, 4, 7] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            // Refused or not, it ends, and nothing is read outside the file.
            let _ = converted(&flipped, WeightType::Q8_0);
        }
    }
}

#[test]
fn a_key_bias_is_refused() {
    let mut with_bias = model();
    let name = b"encoder/layer_0/self_attention/linear_0/bias";
    let at = with_bias.windows(name.len()).position(|w| w == name).unwrap() + name.len();
    // Zero, rank, one dimension, type, size; then the bias itself, whose second third is the key's.
    let key = at + 1 + 1 + 4 + 1 + 4 + 2 * WIDTH as usize;
    with_bias[key..key + 2].copy_from_slice(&half::f16::from_f32(1.0).to_le_bytes());
    let error = converted(&with_bias, WeightType::F16).unwrap_err();
    assert!(error.to_string().contains("key bias"), "{error}");
}

#[test]
fn what_was_written_is_read_back() {
    for (dtype, exact) in [(WeightType::F16, 0.0), (WeightType::Q8_0, 2.1)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tiny.bin");
        let bytes = converted(&model(), dtype).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let mut read = Ggml::open(&path).unwrap();
        assert_eq!((read.sizes.vocab, read.sizes.width, read.sizes.mels), (4, 32, 80));
        assert_eq!(read.tokens, [b"a", b"b"]);
        assert_eq!(read.filters.len(), 80 * 201);
        // Every variable is its running number; the key is the second third of the fused projection.
        let key = read.floats("decoder.blocks.0.attn.key.weight", 32 * 32).unwrap();
        let expected = (1024u32..2048).map(|n| (n % 512) as f32);
        assert!(key.iter().zip(expected).all(|(read, written)| (read - written).abs() <= exact));
        assert_eq!(read.floats("encoder.ln_post.bias", 32).unwrap()[31], 31.0);
        assert!(read.floats("encoder.ln_post.bias", 33).is_err());
        assert!(read.floats("encoder.ln_pre.bias", 32).is_err());
        for length in (0..bytes.len()).step_by(bytes.len() / 97) {
            std::fs::write(&path, &bytes[..length]).unwrap();
            // A cut between two tensors leaves a readable file without its last ones.
            let last = Ggml::open(&path).and_then(|mut cut| cut.floats("encoder.ln_post.bias", 32));
            assert!(last.is_err(), "cut at {length}");
        }
    }
}
