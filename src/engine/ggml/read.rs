//! Reads a ggml file back: sizes, filters, tokens, and each matrix as 32-bit floats when it is asked for.
//!
//! For engines other than whisper.cpp. The hash of the file must have been checked, yet every length is
//! checked again before it is believed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::{ConvertError, MAGIC, Stored, floats, malformed, quantize};

/// Bytes of a block of 8-bit weights: a 16-bit scale and its elements.
const BLOCK_BYTES: usize = 2 + quantize::BLOCK;
/// More than any token or tensor name has.
const MAX_NAME: u32 = 512;
/// More elements than any Whisper matrix has.
const MAX_ELEMENTS: u64 = 1 << 28;

/// The sizes of a Whisper model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Tokens, special ones included.
    pub vocab: usize,
    /// Positions of the encoder's window.
    pub audio_ctx: usize,
    /// Width of every layer.
    pub width: usize,
    /// Attention heads of every layer.
    pub heads: usize,
    /// Layers of the encoder.
    pub audio_layers: usize,
    /// Positions of the decoder's window.
    pub text_ctx: usize,
    /// Layers of the decoder.
    pub text_layers: usize,
    /// Mel bands.
    pub mels: usize,
}

/// An opened model.
pub struct Ggml {
    file: BufReader<File>,
    /// Its sizes.
    pub sizes: Sizes,
    /// Filters of the mel bands, `mels` rows of equally many frequency bins.
    pub filters: Vec<f32>,
    /// Bytes of each ordinary token, by id.
    pub tokens: Vec<Vec<u8>>,
    tensors: HashMap<String, Place>,
}

struct Place {
    offset: u64,
    elements: usize,
    stored: Stored,
}

impl Ggml {
    /// Reads all but the matrices.
    pub fn open(path: &Path) -> Result<Self, ConvertError> {
        let file = File::open(path)?;
        let end = file.metadata()?.len();
        let mut file = BufReader::with_capacity(1 << 20, file);
        if number(&mut file)? != MAGIC {
            return malformed("it is no ggml file");
        }
        let mut fields = [0; 11];
        for field in &mut fields {
            *field = number(&mut file)?;
        }
        let [
            vocab,
            audio_ctx,
            width,
            heads,
            audio_layers,
            text_ctx,
            text_width,
            text_heads,
            text_layers,
            mels,
            _,
        ] = fields;
        if (width, heads) != (text_width, text_heads) || heads == 0 || !width.is_multiple_of(heads) {
            return malformed("encoder and decoder differ in size");
        }
        let [vocab, audio_ctx, width, heads, audio_layers, text_ctx, text_layers, mels] =
            [vocab, audio_ctx, width, heads, audio_layers, text_ctx, text_layers, mels].map(|n| n as usize);
        let sizes = Sizes { vocab, audio_ctx, width, heads, audio_layers, text_ctx, text_layers, mels };
        let (rows, bins) = (number(&mut file)?, number(&mut file)?);
        if rows as usize != mels || u64::from(rows) * u64::from(bins) > 1 << 20 {
            return malformed("its mel filters");
        }
        let filters = singles(&exactly(&mut file, rows as usize * bins as usize * 4)?);
        let count = number(&mut file)?;
        if count as usize > vocab {
            return malformed("more tokens than its vocabulary has");
        }
        let tokens = (0..count).map(|_| name(&mut file)).collect::<Result<_, _>>()?;
        let mut tensors = HashMap::new();
        while file.stream_position()? < end {
            let (name, place) = Place::read(&mut file, end)?;
            tensors.insert(name, place);
        }
        Ok(Self { file, sizes, filters, tokens, tensors })
    }

    /// All elements of a tensor, row after row; it must have as many as that.
    pub fn floats(&mut self, name: &str, elements: usize) -> Result<Vec<f32>, ConvertError> {
        let Some(place) = self.tensors.get(name).filter(|place| place.elements == elements) else {
            return malformed(format!("no tensor {name} of {elements} elements"));
        };
        let stored = place.stored;
        self.file.seek(SeekFrom::Start(place.offset))?;
        let bytes = exactly(&mut self.file, stored.bytes(elements))?;
        Ok(match stored {
            Stored::F32 => singles(&bytes),
            Stored::F16 => floats(&bytes).collect(),
            Stored::Q8_0 => {
                let (blocks, _) = bytes.as_chunks::<BLOCK_BYTES>();
                let values = blocks.iter().flat_map(|[low, high, elements @ ..]| {
                    let scale = half::f16::from_le_bytes([*low, *high]).to_f32();
                    elements.iter().map(move |e| f32::from(e.cast_signed()) * scale)
                });
                values.collect()
            }
        })
    }
}

impl Place {
    fn read(file: &mut BufReader<File>, end: u64) -> Result<(String, Self), ConvertError> {
        let (rank, length, stored) = (number(file)?, number(file)?, number(file)?);
        let stored = match stored {
            0 => Stored::F32,
            1 => Stored::F16,
            8 => Stored::Q8_0,
            other => return malformed(format!("a tensor stored as type {other}")),
        };
        if rank > 4 || length > MAX_NAME {
            return malformed("a tensor's head");
        }
        let mut elements = 1u64;
        for _ in 0..rank {
            elements = elements.saturating_mul(number(file)?.into());
        }
        let Ok(name) = String::from_utf8(exactly(file, length as usize)?) else {
            return malformed("a tensor's name");
        };
        let offset = file.stream_position()?;
        let whole = elements <= MAX_ELEMENTS && offset + stored.bytes(elements as usize) as u64 <= end;
        if !whole {
            return malformed(format!("the size of {name}"));
        }
        file.seek_relative(stored.bytes(elements as usize) as i64)?;
        Ok((name, Self { offset, elements: elements as usize, stored }))
    }
}

impl Stored {
    fn bytes(self, elements: usize) -> usize {
        match self {
            Self::F32 => elements * 4,
            Self::F16 => elements * 2,
            Self::Q8_0 => elements / quantize::BLOCK * BLOCK_BYTES,
        }
    }
}

fn number(file: &mut impl Read) -> Result<u32, ConvertError> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn name(file: &mut impl Read) -> Result<Vec<u8>, ConvertError> {
    let length = number(file)?;
    if length > MAX_NAME {
        return malformed("a token's length");
    }
    Ok(exactly(file, length as usize)?)
}

fn exactly(file: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn singles(bytes: &[u8]) -> Vec<f32> {
    let (singles, _) = bytes.as_chunks::<4>();
    singles.iter().map(|four| f32::from_le_bytes(*four)).collect()
}
