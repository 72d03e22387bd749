//! What becomes what: CTranslate2's fused variables on one side, OpenAI's tensor names on the other, in the
//! order of OpenAI's checkpoints, which is the order of upstream's files.
//!
//! CTranslate2 fuses the projections of self-attention into `linear_0` as [query; key; value] and those of
//! cross-attention into `linear_1` as [key; value].

use super::ct2::Ct2;
use super::{ConvertError, malformed};

/// The sizes of a Whisper model, read off its variables.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Shape {
    pub vocab: u32,
    pub audio_ctx: u32,
    pub audio_state: u32,
    pub audio_heads: u32,
    pub audio_layers: u32,
    pub text_ctx: u32,
    pub text_state: u32,
    pub text_heads: u32,
    pub text_layers: u32,
    pub mels: u32,
}

impl Shape {
    /// Reads the sizes and checks that they are those of a Whisper model.
    pub fn of(model: &mut Ct2) -> Result<Self, ConvertError> {
        let [vocab, text_state] = model.dims("decoder/embeddings/weight")?;
        let [text_ctx, text_width] = model.dims("decoder/position_encodings/encodings")?;
        let [audio_ctx, audio_state] = model.dims("encoder/position_encodings/encodings")?;
        let [channels, mels, kernel] = model.dims("encoder/conv1/weight")?;
        let layers = |side: &str| {
            let exists = |n: &u32| model.has(&format!("{side}/layer_{n}/ffn/linear_0/weight"));
            (0..=MAX_LAYERS).take_while(exists).count() as u32
        };
        let (audio_layers, text_layers) = (layers("encoder"), layers("decoder"));
        let sound = kernel == 3
            && (text_width, channels, audio_state) == (text_state, text_state, text_state)
            && (1..=MAX_LAYERS).contains(&audio_layers)
            && (1..=MAX_LAYERS).contains(&text_layers)
            && (1..=256).contains(&mels);
        if !sound {
            return malformed("its sizes do not fit together");
        }
        let (audio_heads, text_heads) =
            (model.number("encoder/num_heads")?, model.number("decoder/num_heads")?);
        Ok(Self {
            vocab,
            audio_ctx,
            audio_state,
            audio_heads,
            audio_layers,
            text_ctx,
            text_state,
            text_heads,
            text_layers,
            mels,
        })
    }
}

/// The largest Whisper has 32.
const MAX_LAYERS: u32 = 64;

/// What sort of tensor it is, which decides how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Quantised if the file is.
    Matrix,
    /// Always 16-bit.
    Convolution,
    /// Vectors, convolution biases and positions: always 32-bit.
    Small,
}

/// One tensor of the ggml file and where it is read from.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Its name in the ggml file.
    pub name: String,
    /// Its dimensions, outermost first.
    pub dims: Vec<u32>,
    /// How it is stored.
    pub form: Form,
    /// The CTranslate2 variable it is in.
    pub from: String,
    /// The first of its rows in that variable.
    pub first_row: u32,
}

/// All tensors in the order of the file.
pub fn tensors(shape: &Shape) -> Vec<Tensor> {
    let (width, mut list) = (shape.text_state, List(Vec::new()));
    let positions = |list: &mut List, side: &str, length| {
        let from = format!("{side}/position_encodings/encodings");
        list.add(format!("{side}.positional_embedding"), [length, width], Form::Small, from, 0);
    };
    positions(&mut list, "decoder", shape.text_ctx);
    positions(&mut list, "encoder", shape.audio_ctx);
    let embeddings = "decoder/embeddings/weight".to_owned();
    let tokens = "decoder.token_embedding.weight".to_owned();
    list.add(tokens, [shape.vocab, width], Form::Matrix, embeddings, 0);
    for n in 0..shape.text_layers {
        list.block("decoder", n, width);
    }
    list.norm("decoder.ln", "decoder/layer_norm", width);
    for (n, inputs) in [(1, shape.mels), (2, width)] {
        let (to, from) = (format!("encoder.conv{n}"), format!("encoder/conv{n}"));
        let weight = format!("{from}/weight");
        list.add(format!("{to}.weight"), [width, inputs, 3], Form::Convolution, weight, 0);
        list.add(format!("{to}.bias"), [width, 1], Form::Small, format!("{from}/bias"), 0);
    }
    for n in 0..shape.audio_layers {
        list.block("encoder", n, width);
    }
    list.norm("encoder.ln_post", "encoder/layer_norm", width);
    list.0
}

/// The biases of key projections, which have no place in a ggml file and must be zero.
pub fn key_biases(shape: &Shape) -> Vec<Tensor> {
    let width = shape.text_state;
    let mut list = List(Vec::new());
    let mut bias = |from: String, row| list.add(from.clone(), [width], Form::Small, from, row);
    for n in 0..shape.text_layers {
        bias(format!("decoder/layer_{n}/self_attention/linear_0/bias"), width);
        bias(format!("decoder/layer_{n}/attention/linear_1/bias"), 0);
    }
    for n in 0..shape.audio_layers {
        bias(format!("encoder/layer_{n}/self_attention/linear_0/bias"), width);
    }
    list.0
}

struct List(Vec<Tensor>);

impl List {
    fn add<const N: usize>(
        &mut self,
        name: String,
        dims: [u32; N],
        form: Form,
        from: String,
        first_row: u32,
    ) {
        self.0.push(Tensor { name, dims: dims.to_vec(), form, from, first_row });
    }

    fn norm(&mut self, to: &str, from: &str, width: u32) {
        self.add(format!("{to}.weight"), [width], Form::Small, format!("{from}/gamma"), 0);
        self.add(format!("{to}.bias"), [width], Form::Small, format!("{from}/beta"), 0);
    }

    fn weight(&mut self, to: &str, from: &str, dims: [u32; 2], first_row: u32) {
        self.add(format!("{to}.weight"), dims, Form::Matrix, format!("{from}/weight"), first_row);
    }

    fn linear(&mut self, to: &str, from: &str, dims: [u32; 2], first_row: u32) {
        self.weight(to, from, dims, first_row);
        self.add(format!("{to}.bias"), [dims[0]], Form::Small, format!("{from}/bias"), first_row);
    }

    fn block(&mut self, side: &str, n: u32, width: u32) {
        let (to, from) = (format!("{side}.blocks.{n}"), format!("{side}/layer_{n}"));
        let (square, inner) = ([width, width], 4 * width);
        self.norm(&format!("{to}.mlp_ln"), &format!("{from}/ffn/layer_norm"), width);
        self.linear(&format!("{to}.mlp.0"), &format!("{from}/ffn/linear_0"), [inner, width], 0);
        self.linear(&format!("{to}.mlp.2"), &format!("{from}/ffn/linear_1"), [width, inner], 0);

        let (attn, fused) = (format!("{to}.attn"), format!("{from}/self_attention/linear_0"));
        self.norm(&format!("{attn}_ln"), &format!("{from}/self_attention/layer_norm"), width);
        self.linear(&format!("{attn}.query"), &fused, square, 0);
        self.weight(&format!("{attn}.key"), &fused, square, width);
        self.linear(&format!("{attn}.value"), &fused, square, 2 * width);
        self.linear(&format!("{attn}.out"), &format!("{from}/self_attention/linear_1"), square, 0);
        if side == "encoder" {
            return;
        }
        let (cross, fused) = (format!("{to}.cross_attn"), format!("{from}/attention/linear_1"));
        self.norm(&format!("{cross}_ln"), &format!("{from}/attention/layer_norm"), width);
        self.linear(&format!("{cross}.query"), &format!("{from}/attention/linear_0"), square, 0);
        self.weight(&format!("{cross}.key"), &fused, square, 0);
        self.linear(&format!("{cross}.value"), &fused, square, width);
        self.linear(&format!("{cross}.out"), &format!("{from}/attention/linear_2"), square, 0);
    }
}
