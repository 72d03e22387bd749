//! Puts ONNX graphs together in memory: nodes, constants, and matrix products over 8-bit weights.

use std::collections::HashMap;

use ort::editor::{Graph, Model, Node, ONNX_DOMAIN, Opset};
use ort::memory::Allocator;
use ort::operator::Attribute;
use ort::session::Session;
use ort::value::{
    Outlet, PrimitiveTensorElementType, Shape, SymbolicDimensions, Tensor, TensorElementType, ValueType,
};

use super::Environment;

/// The domain of ONNX Runtime's own operators.
const RUNTIME: &str = "com.microsoft";
const OPSET: u32 = 20;
/// Weights that share a scale in [`Build::by_blocks`].
const BLOCK: usize = 128;
/// Larger constants stay where they are instead of being copied into the graph.
const COPIED: usize = 1 << 10;

/// Element types, as `Cast` wants them.
const FLOAT: i64 = 1;
const UINT8: i64 = 2;

/// A dense layer: `rows` outputs, and a bias for each or none.
pub struct Dense {
    /// Number of outputs.
    pub rows: usize,
    /// The weights of each output in turn.
    pub weights: Vec<f32>,
    /// One for each output.
    pub bias: Option<Vec<f32>>,
}

impl Dense {
    fn columns(&self) -> usize {
        self.weights.len() / self.rows.max(1)
    }
}

/// Weights of one output or one block as signed bytes, the largest of them `most`, and their scale.
fn rounded(weights: &[f32], most: f32) -> (impl Iterator<Item = i8> + '_, f32) {
    let largest = weights.iter().fold(0.0f32, |largest, w| largest.max(w.abs()));
    let scale = largest.max(f32::MIN_POSITIVE) / most;
    (weights.iter().map(move |w| (w / scale).round().clamp(-most, most) as i8), scale)
}

/// The largest signed byte.
const LARGEST: f32 = 127.0;

/// The largest weight that is safe beside unsigned bytes. Processors of the x86 kind without VNNI add two products in 16
/// bits, where 2 x 255 x 127 is cut off at 32767 and the sum is wrong; 2 x 255 x 63 is not.
fn largest_beside_bytes() -> f32 {
    #[cfg(target_arch = "x86_64")]
    if !(is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni")) {
        return 63.0;
    }
    LARGEST
}

/// A graph in the making. Values are named by the node that gives them.
pub struct Build {
    graph: Graph,
    inputs: Vec<Outlet>,
    outputs: Vec<Outlet>,
    named: usize,
    /// Values that were rounded to bytes, for the next product that takes them: bytes and scales.
    rounded: HashMap<String, (String, String)>,
}

impl Build {
    /// An empty graph.
    pub fn new() -> ort::Result<Self> {
        let (inputs, outputs, rounded) = (Vec::new(), Vec::new(), HashMap::new());
        Ok(Self { graph: Graph::new()?, inputs, outputs, named: 0, rounded })
    }

    /// Opens the graph.
    pub fn open(mut self, environment: &Environment, threads: usize) -> ort::Result<Session> {
        self.graph.set_inputs(self.inputs)?;
        self.graph.set_outputs(self.outputs)?;
        let mut model = Model::new([Opset::new(ONNX_DOMAIN, OPSET)?, Opset::new(RUNTIME, 1)?])?;
        model.set_graph(self.graph)?;
        let builder = Session::builder(environment)?.with_intra_threads(threads)?.with_inter_threads(1)?;
        // A plan of the memory is worth keeping where shapes come again; here each length has its own.
        let builder = builder.with_memory_pattern(false)?;
        model.into_session(&builder)
    }

    /// An input; -1 stands for any length.
    pub fn input(&mut self, name: &str, ty: TensorElementType, shape: &[i64]) -> String {
        self.inputs.push(outlet(name, ty, shape));
        name.to_owned()
    }

    /// Makes a value an output of that name.
    pub fn output(&mut self, name: &str, value: &str, rank: usize) -> ort::Result<()> {
        self.output_of(name, value, rank, TensorElementType::Float32)
    }

    /// Makes a value of that type an output.
    pub fn output_of(
        &mut self,
        name: &str,
        value: &str,
        rank: usize,
        ty: TensorElementType,
    ) -> ort::Result<()> {
        self.outputs.push(outlet(name, ty, &vec![-1; rank]));
        self.node("Identity", ONNX_DOMAIN, &[value], &[name.to_owned()], Vec::new())
    }

    /// A node of one output.
    pub fn op(&mut self, operator: &str, inputs: &[&str]) -> ort::Result<String> {
        self.op_with(operator, inputs, Vec::new())
    }

    /// A node of one output, with attributes.
    pub fn op_with(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> ort::Result<String> {
        self.op_of(ONNX_DOMAIN, operator, inputs, attributes)
    }

    /// A node of one output, from ONNX Runtime's own operators.
    pub fn runtime_op(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> ort::Result<String> {
        self.op_of(RUNTIME, operator, inputs, attributes)
    }

    /// Splits the last dimension into as many equal parts.
    pub fn split<const N: usize>(&mut self, value: &str) -> ort::Result<[String; N]> {
        let names: [String; N] = std::array::from_fn(|_| self.name());
        let attributes = vec![Attribute::new("axis", -1i64)?, Attribute::new("num_outputs", N as i64)?];
        self.node("Split", ONNX_DOMAIN, &[value], &names, attributes)?;
        Ok(names)
    }

    /// Splits the last dimension in two, of these lengths.
    pub fn split_at(&mut self, value: &str, first: i64, second: i64) -> ort::Result<[String; 2]> {
        let lengths = self.constant(&[2], &[first, second])?;
        let names = [self.name(), self.name()];
        self.node("Split", ONNX_DOMAIN, &[value, &lengths], &names, vec![Attribute::new("axis", -1i64)?])?;
        Ok(names)
    }

    /// The largest along the last dimension, the largest first, and where they stand.
    pub fn top(&mut self, value: &str, count: i64) -> ort::Result<[String; 2]> {
        let count = self.constant(&[1], &[count])?;
        let names = [self.name(), self.name()];
        self.node("TopK", ONNX_DOMAIN, &[value, &count], &names, Vec::new())?;
        Ok(names)
    }

    /// Changes the order of the dimensions.
    pub fn transpose(&mut self, value: &str, order: &[i64]) -> ort::Result<String> {
        self.op_with("Transpose", &[value], vec![Attribute::new("perm", order)?])
    }

    /// Probabilities along the last dimension.
    pub fn softmax(&mut self, value: &str) -> ort::Result<String> {
        self.op_with("Softmax", &[value], vec![Attribute::new("axis", -1i64)?])
    }

    /// Changes the shape; 0 keeps a dimension, -1 is what remains.
    pub fn reshape(&mut self, value: &str, shape: &[i64]) -> ort::Result<String> {
        let shape = self.constant(&[shape.len()], shape)?;
        self.op("Reshape", &[value, &shape])
    }

    /// Rows of `table` by number.
    pub fn gather(&mut self, table: &str, numbers: &str) -> ort::Result<String> {
        self.op_with("Gather", &[table, numbers], vec![Attribute::new("axis", 0i64)?])
    }

    /// Normalises the last dimension.
    pub fn norm(&mut self, value: &str, gain: &[f32], bias: &[f32]) -> ort::Result<String> {
        let (gain, bias) = (self.constant(&[gain.len()], gain)?, self.constant(&[bias.len()], bias)?);
        let attributes = vec![Attribute::new("axis", -1i64)?, Attribute::new("epsilon", 1e-5f32)?];
        self.op_with("LayerNormalization", &[value, &gain, &bias], attributes)
    }

    /// A constant.
    pub fn constant<T>(&mut self, shape: &[usize], values: &[T]) -> ort::Result<String>
    where
        T: PrimitiveTensorElementType + std::fmt::Debug + Copy + 'static,
    {
        let name = self.name();
        let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
        let mut tensor = Tensor::<T>::new(&Allocator::default(), shape)?;
        tensor.extract_tensor_mut().1.copy_from_slice(values);
        self.graph.add_initializer(&name, tensor, values.len() > COPIED)?;
        Ok(name)
    }

    /// A single number.
    pub fn number(&mut self, value: f32) -> ort::Result<String> {
        self.constant(&[], &[value])
    }

    /// A dense layer over many rows at once: weights as bytes with a scale for each output, the values as
    /// bytes with a scale for each row. Fast where rows are many, and as exact as 32-bit floats to the ear.
    pub fn by_rows(&mut self, value: &str, layer: &Dense) -> ort::Result<String> {
        let columns = layer.columns();
        let mut bytes = vec![0i8; layer.weights.len()];
        let mut scales = Vec::with_capacity(layer.rows);
        let most = largest_beside_bytes();
        for (row, weights) in layer.weights.chunks_exact(columns).enumerate() {
            let (values, scale) = rounded(weights, most);
            scales.push(scale);
            // The product wants a column for each output.
            for (to, byte) in bytes.iter_mut().skip(row).step_by(layer.rows).zip(values) {
                *to = byte;
            }
        }
        let (values, steps) = self.round(value)?;
        let bytes = self.constant(&[columns, layer.rows], &bytes)?;
        let zero = self.constant(&[], &[128u8])?;
        let product = self.op("MatMulInteger", &[&values, &bytes, &zero])?;
        let product = self.cast(&product, FLOAT)?;
        let scales = self.constant(&[layer.rows], &scales)?;
        let product = self.op("Mul", &[&product, &steps])?;
        let product = self.op("Mul", &[&product, &scales])?;
        self.add_bias(product, layer)
    }

    /// A dense layer over few rows: weights as bytes with a scale for every [`BLOCK`] of them.
    pub fn by_blocks(&mut self, value: &str, layer: &Dense) -> ort::Result<String> {
        let weights = self.blocks(layer)?;
        let product = self.times(value, &weights, layer)?;
        self.add_bias(product, layer)
    }

    /// The weights of [`Build::by_blocks`] as constants: bytes and scales.
    pub fn blocks(&mut self, layer: &Dense) -> ort::Result<(String, String)> {
        let mut bytes = Vec::with_capacity(layer.weights.len());
        let mut scales = Vec::with_capacity(layer.weights.len() / BLOCK);
        for block in layer.weights.chunks_exact(BLOCK) {
            let (values, scale) = rounded(block, LARGEST);
            scales.push(scale);
            bytes.extend(values.map(|v| v.cast_unsigned() ^ 0x80));
        }
        let of_row = layer.columns() / BLOCK;
        Ok((
            self.constant(&[layer.rows, of_row, BLOCK], &bytes)?,
            self.constant(&[layer.rows, of_row], &scales)?,
        ))
    }

    /// Rows of a matrix kept as [`Build::blocks`], by number: as floats, `width` for each number.
    pub fn gather_blocks(
        &mut self,
        (bytes, scales): &(String, String),
        numbers: &str,
        width: i64,
    ) -> ort::Result<String> {
        let bytes = self.gather(bytes, numbers)?;
        let bytes = self.cast(&bytes, FLOAT)?;
        let zero = self.number(128.0)?;
        let signed = self.op("Sub", &[&bytes, &zero])?;
        let scales = self.gather(scales, numbers)?;
        let last = self.constant(&[1], &[-1i64])?;
        let scales = self.op("Unsqueeze", &[&scales, &last])?;
        let rows = self.op("Mul", &[&signed, &scales])?;
        self.reshape(&rows, &[0, 0, width])
    }

    /// The product with the weights of [`Build::blocks`], without bias.
    pub fn times(
        &mut self,
        value: &str,
        (bytes, scales): &(String, String),
        layer: &Dense,
    ) -> ort::Result<String> {
        let attributes = vec![
            Attribute::new("K", layer.columns() as i64)?,
            Attribute::new("N", layer.rows as i64)?,
            Attribute::new("bits", 8i64)?,
            Attribute::new("block_size", BLOCK as i64)?,
            // The values are rounded to bytes as well.
            Attribute::new("accuracy_level", 4i64)?,
        ];
        self.runtime_op("MatMulNBits", &[value, bytes, scales], attributes)
    }

    /// A value as bytes around 128, and what one step of them is worth in each row.
    fn round(&mut self, value: &str) -> ort::Result<(String, String)> {
        if let Some(known) = self.rounded.get(value) {
            return Ok(known.clone());
        }
        let last = self.constant(&[1], &[-1i64])?;
        let sizes = self.op("Abs", &[value])?;
        let largest = self.op_with("ReduceMax", &[&sizes, &last], vec![Attribute::new("keepdims", 1i64)?])?;
        let (tiny, levels, zero) = (self.number(1e-8)?, self.number(127.0)?, self.number(128.0)?);
        let largest = self.op("Max", &[&largest, &tiny])?;
        let step = self.op("Div", &[&largest, &levels])?;
        let inverse = self.op("Div", &[&levels, &largest])?;
        let scaled = self.op("Mul", &[value, &inverse])?;
        let scaled = self.op("Round", &[&scaled])?;
        let shifted = self.op("Add", &[&scaled, &zero])?;
        let bytes = self.cast(&shifted, UINT8)?;
        self.rounded.insert(value.to_owned(), (bytes.clone(), step.clone()));
        Ok((bytes, step))
    }

    fn add_bias(&mut self, value: String, layer: &Dense) -> ort::Result<String> {
        let Some(bias) = &layer.bias else { return Ok(value) };
        let bias = self.constant(&[layer.rows], bias)?;
        self.op("Add", &[&value, &bias])
    }

    fn cast(&mut self, value: &str, to: i64) -> ort::Result<String> {
        self.op_with("Cast", &[value], vec![Attribute::new("to", to)?])
    }

    fn op_of(
        &mut self,
        domain: &str,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> ort::Result<String> {
        let name = self.name();
        self.node(operator, domain, inputs, std::slice::from_ref(&name), attributes)?;
        Ok(name)
    }

    /// An LSTM in one direction: what it gave at each step, and at the last one.
    pub fn lstm(&mut self, inputs: &[&str], attributes: Vec<Attribute>) -> ort::Result<[String; 2]> {
        let names = [self.name(), self.name()];
        self.node("LSTM", ONNX_DOMAIN, inputs, &names, attributes)?;
        Ok(names)
    }

    fn node(
        &mut self,
        operator: &str,
        domain: &str,
        inputs: &[&str],
        outputs: &[String],
        attributes: Vec<Attribute>,
    ) -> ort::Result<()> {
        let name = self.name();
        self.graph.add_node(Node::new(operator, domain, name, inputs, outputs, attributes)?)
    }

    fn name(&mut self) -> String {
        self.named += 1;
        format!("v{}", self.named)
    }
}

fn outlet(name: &str, ty: TensorElementType, shape: &[i64]) -> Outlet {
    let (shape, symbols) = (Shape::new(shape.iter().copied()), SymbolicDimensions::empty(shape.len()));
    Outlet::new(name, ValueType::Tensor { ty, shape, dimension_symbols: symbols })
}
