//! Rewrites a CTranslate2 Whisper model as a ggml file for whisper.cpp, with 16-bit or 8-bit matrices.
//!
//! Used by `fetch` once the parts are there; knows no network and no manifest. The result has the very bytes
//! of whisper.cpp's own `convert-pt-to-ggml.py` and `quantize` for the same weights, so one hash in the
//! manifest holds for both ways to get the file. Memory stays under a few MB: variables are copied from file
//! to file in chunks. The input is taken as hostile: every length is checked before it is believed.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use super::manifest::WeightType;

mod ct2;
mod mel;
mod names;
mod quantize;
mod read;
mod vocabulary;

use ct2::Ct2;
pub use mel::filters as mel_filters;
use names::{Form, Shape, Tensor};
pub use read::{Ggml, Sizes};

/// Elements copied at a time; a multiple of [`quantize::BLOCK`].
const CHUNK: usize = 1 << 16;

/// `ggml` read as a little-endian number.
const MAGIC: u32 = 0x6767_6d6c;

/// Why a model could not be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The input is not a Whisper model as CTranslate2 writes it.
    #[error("not a CTranslate2 Whisper model: {0}")]
    Malformed(String),
}

fn malformed<T>(message: impl Into<String>) -> Result<T, ConvertError> {
    Err(ConvertError::Malformed(message.into()))
}

/// Reads the model at `weights` and the JSON list of tokens at `vocabulary`, writes the ggml file to `out`.
pub fn convert(
    weights: &Path,
    vocabulary: &Path,
    dtype: WeightType,
    out: impl Write,
) -> Result<(), ConvertError> {
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let mut model = Ct2::open(weights)?;
    let shape = Shape::of(&mut model)?;
    write_header(&mut out, &shape, dtype)?;
    mel::write(&mut out, shape.mels)?;
    vocabulary::write(&mut out, File::open(vocabulary)?, shape.vocab)?;
    for tensor in names::tensors(&shape) {
        write_tensor(&mut out, &mut model, &tensor, dtype)?;
    }
    for bias in names::key_biases(&shape) {
        expect_zeros(&mut model, &bias)?;
    }
    Ok(out.flush()?)
}

fn write_header(out: &mut impl Write, shape: &Shape, dtype: WeightType) -> io::Result<()> {
    let file_type = match dtype {
        WeightType::F16 => 1,
        // ggml's type number 7, and a thousand times the version of its quantisation, which is 2.
        WeightType::Q8_0 => 2007,
    };
    let fields = [
        MAGIC,
        shape.vocab,
        shape.audio_ctx,
        shape.audio_state,
        shape.audio_heads,
        shape.audio_layers,
        shape.text_ctx,
        shape.text_state,
        shape.text_heads,
        shape.text_layers,
        shape.mels,
        file_type,
    ];
    fields.iter().try_for_each(|field| out.write_all(&field.to_le_bytes()))
}

fn write_tensor(
    out: &mut impl Write,
    model: &mut Ct2,
    tensor: &Tensor,
    dtype: WeightType,
) -> Result<(), ConvertError> {
    let row = tensor.dims.last().copied().unwrap_or(1) as usize;
    let form = match (tensor.form, dtype) {
        (Form::Matrix, WeightType::Q8_0) if !row.is_multiple_of(quantize::BLOCK) => {
            return malformed(format!("rows of {} cannot be split into blocks", tensor.name));
        }
        (Form::Matrix, WeightType::Q8_0) => Stored::Q8_0,
        (Form::Matrix | Form::Convolution, _) => Stored::F16,
        (Form::Small, _) => Stored::F32,
    };
    let fields = [tensor.dims.len() as u32, tensor.name.len() as u32, form as u32];
    let dims = tensor.dims.iter().rev();
    fields.iter().chain(dims).try_for_each(|field| out.write_all(&field.to_le_bytes()))?;
    out.write_all(tensor.name.as_bytes())?;

    let mut data = model.f16(tensor)?;
    let mut chunk = vec![0; CHUNK * 2];
    loop {
        let filled = fill(&mut data, &mut chunk)?;
        let Some(bytes) = chunk.get(..filled).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        match form {
            Stored::F16 => out.write_all(bytes)?,
            Stored::F32 => floats(bytes).try_for_each(|value| out.write_all(&value.to_le_bytes()))?,
            Stored::Q8_0 => quantize::write(out, &floats(bytes).collect::<Vec<_>>())?,
        }
    }
}

/// How a tensor is stored, by ggml's type numbers.
#[derive(Debug, Clone, Copy)]
enum Stored {
    F32 = 0,
    F16 = 1,
    Q8_0 = 8,
}

/// whisper.cpp has no key bias, and OpenAI's models none either; CTranslate2 stores zeros in its place.
fn expect_zeros(model: &mut Ct2, bias: &Tensor) -> Result<(), ConvertError> {
    let mut bytes = Vec::new();
    model.f16(bias)?.read_to_end(&mut bytes)?;
    if floats(&bytes).any(|value| value != 0.0) {
        return malformed(format!("{} has a key bias", bias.from));
    }
    Ok(())
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().map(|pair| half::f16::from_le_bytes(*pair).to_f32())
}

/// Fills the buffer unless the input ends first.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest)? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
