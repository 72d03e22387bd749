//! Reads CTranslate2's `model.bin`: a list of named variables, each with its dimensions, type and data.
//!
//! Layout, all little-endian: u32 format version, specification name, u32 revision, u32 number of variables;
//! each variable: name, u8 rank, u32 dimensions, u8 type, u32 bytes, data; then aliases, which Whisper needs
//! none of. A name is a u16 length and that many bytes, the last of them zero. Format version 6.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Take};
use std::path::Path;

use super::names::Tensor;
use super::{ConvertError, malformed};

const VERSION: u32 = 6;
/// Type number of 16-bit integers.
const I16: u8 = 2;
/// Type number of 16-bit floats.
const F16: u8 = 4;
/// More variables than any Whisper model has.
const MAX_VARIABLES: u32 = 20_000;
/// The highest rank a Whisper variable has, a convolution's.
const MAX_RANK: u8 = 3;

/// An opened model: where each variable lies.
pub struct Ct2 {
    file: BufReader<File>,
    variables: HashMap<String, Variable>,
}

struct Variable {
    dims: Vec<u32>,
    dtype: u8,
    offset: u64,
    bytes: u64,
}

impl Ct2 {
    /// Reads the list of variables; their data stays in the file.
    pub fn open(path: &Path) -> Result<Self, ConvertError> {
        let file = File::open(path)?;
        let end = file.metadata()?.len();
        let mut file = BufReader::new(file);
        let version = u32(&mut file)?;
        if version != VERSION {
            return malformed(format!("format version {version}, expected {VERSION}"));
        }
        let specification = name(&mut file)?;
        if specification != "WhisperSpec" {
            return malformed("it is a model of another kind");
        }
        let _revision = u32(&mut file)?;
        let count = u32(&mut file)?;
        if count > MAX_VARIABLES {
            return malformed(format!("{count} variables"));
        }
        let mut variables = HashMap::new();
        for _ in 0..count {
            let name = name(&mut file)?;
            let variable = Variable::read(&mut file, &name, end)?;
            variables.insert(name, variable);
        }
        Ok(Self { file, variables })
    }

    /// Dimensions of a variable.
    pub fn dims<const N: usize>(&self, name: &str) -> Result<[u32; N], ConvertError> {
        let variable = self.variable(name)?;
        variable.dims.as_slice().try_into().or_else(|_| malformed(format!("rank of {name}")))
    }

    /// Whether there is such a variable.
    pub fn has(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// A number stored as a variable.
    pub fn number(&mut self, name: &str) -> Result<u32, ConvertError> {
        let variable = self.variable(name)?;
        if variable.dtype != I16 || variable.bytes != 2 {
            return malformed(format!("{name} is not a number"));
        }
        let mut bytes = [0; 2];
        self.file.seek(SeekFrom::Start(variable.offset))?;
        self.file.read_exact(&mut bytes)?;
        u32::try_from(i16::from_le_bytes(bytes)).or_else(|_| malformed(format!("{name} is negative")))
    }

    /// The 16-bit floats that become `tensor`: the rows from its first on, as many as it has.
    pub fn f16(&mut self, tensor: &Tensor) -> Result<Take<&mut BufReader<File>>, ConvertError> {
        let variable = self.variable(&tensor.from)?;
        let row: u64 = variable.dims.iter().skip(1).map(|d| u64::from(*d)).product();
        let elements: u64 = tensor.dims.iter().map(|d| u64::from(*d)).product();
        let (start, length) = (u64::from(tensor.first_row) * row * 2, elements * 2);
        let same_rows = elements.is_multiple_of(row.max(1));
        if variable.dtype != F16 || !same_rows || start + length > variable.bytes {
            return malformed(format!("{} does not hold {}", tensor.from, tensor.name));
        }
        self.file.seek(SeekFrom::Start(variable.offset + start))?;
        Ok(self.file.by_ref().take(length))
    }

    fn variable(&self, name: &str) -> Result<&Variable, ConvertError> {
        match self.variables.get(name) {
            Some(variable) => Ok(variable),
            None => malformed(format!("{name} is missing")),
        }
    }
}

impl Variable {
    fn read(file: &mut BufReader<File>, name: &str, end: u64) -> Result<Self, ConvertError> {
        let rank = u8(file)?;
        if rank > MAX_RANK {
            return malformed(format!("{name} has rank {rank}"));
        }
        let dims = (0..rank).map(|_| u32(file)).collect::<Result<Vec<_>, _>>()?;
        let dtype = u8(file)?;
        let bytes = u64::from(u32(file)?);
        let offset = file.stream_position()?;
        let elements = dims.iter().try_fold(1u64, |product, d| product.checked_mul(u64::from(*d)));
        let expected = match dtype {
            I16 | F16 => elements.and_then(|n| n.checked_mul(2)),
            _ => Some(bytes),
        };
        if expected != Some(bytes) || offset + bytes > end {
            return malformed(format!("the size of {name}"));
        }
        file.seek_relative(bytes as i64)?;
        Ok(Self { dims, dtype, offset, bytes })
    }
}

fn u8(file: &mut impl Read) -> Result<u8, ConvertError> {
    let mut bytes = [0; 1];
    file.read_exact(&mut bytes)?;
    Ok(bytes[0])
}

fn u32(file: &mut impl Read) -> Result<u32, ConvertError> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn name(file: &mut impl Read) -> Result<String, ConvertError> {
    let mut length = [0; 2];
    file.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_le_bytes(length))];
    file.read_exact(&mut bytes)?;
    if bytes.pop() != Some(0) {
        return malformed("a name without its end");
    }
    String::from_utf8(bytes).or_else(|_| malformed("a name that is no text"))
}
