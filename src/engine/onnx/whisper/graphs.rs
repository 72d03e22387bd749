//! Whisper as two graphs. The encoder turns a mel spectrogram into the keys and values that each layer of the
//! decoder attends to; the decoder takes tokens, what it kept of those before, and gives a score for each
//! token that could follow. Both follow OpenAI's `whisper/model.py`; only the arithmetic is 8-bit.

use ort::operator::Attribute;
use ort::value::TensorElementType::{Float32, Int64};

use super::tokens::Tokens;
use crate::engine::EngineError;
use crate::engine::ggml::{ConvertError, Ggml, Sizes};
use crate::engine::onnx::build::{Build, Dense};
use crate::engine::window::MAX_BEAM;

/// The encoder: `mel` [1, mels, 2 t] -> `ck{n}` [1, heads, width / heads, t] and `cv{n}` [1, heads, t, width / heads]
/// for each layer n of the decoder.
pub fn encoder(weights: &mut Ggml) -> Result<Build, EngineError> {
    let mut graph = Whisper { build: Build::new()?, sizes: weights.sizes, weights };
    graph.encoder()?;
    Ok(graph.build)
}

/// The decoder: `tokens` [1, l], `positions` [l], `mask` [l, p + l], `rows` [r]; for each layer `pk{n}`
/// [1, heads, width / heads, p], `pv{n}` [1, heads, p, width / heads] and the encoder's `ck{n}`, `cv{n}` ->
/// `nk{n}`, `nv{n}`, which are `pk`, `pv` grown by l, and log probabilities of what follows the tokens in
/// `rows`: `words` and `best` [1, r, [`WORDS`]], the likeliest words or the end and their scores; `steering`
/// [1, r, 2], those of the end and of no speech; `times` [1, r, 1501].
///
/// The mask, added to the scores of an attention, tells which tokens each token follows: several texts may
/// be pursued in one run.
pub fn decoder(weights: &mut Ggml, tokens: &Tokens) -> Result<Build, EngineError> {
    let mut graph = Whisper { build: Build::new()?, sizes: weights.sizes, weights };
    graph.decoder(tokens)?;
    Ok(graph.build)
}

impl From<ConvertError> for EngineError {
    fn from(e: ConvertError) -> Self {
        Self::Altered(e.to_string())
    }
}

/// Words that are given: as many as may be pursued, and those that may not begin a text.
const WORDS: i64 = MAX_BEAM as i64 + 2;

struct Whisper<'a> {
    build: Build,
    sizes: Sizes,
    weights: &'a mut Ggml,
}

type Built = Result<String, EngineError>;

impl Whisper<'_> {
    fn encoder(&mut self) -> Result<(), EngineError> {
        let (width, mels) = (self.sizes.width, self.sizes.mels);
        let mel = self.build.input("mel", Float32, &[1, mels as i64, -1]);
        let x = self.convolution(&mel, "encoder.conv1", mels, 1)?;
        let x = self.convolution(&x, "encoder.conv2", width, 2)?;
        let x = self.build.transpose(&x, &[0, 2, 1])?;
        let mut x = self.add_positions(&x)?;
        for n in 0..self.sizes.audio_layers {
            let at = format!("encoder.blocks.{n}");
            let h = self.norm(&x, &format!("{at}.attn_ln"))?;
            let [q, k, v] = self.projected(&h, &format!("{at}.attn"), Build::by_rows)?;
            let heads = vec![Attribute::new("num_heads", self.sizes.heads as i64)?];
            let a = self.build.runtime_op("MultiHeadAttention", &[&q, &k, &v], heads)?;
            x = self.block_end(x, &a, &at, "attn", Build::by_rows)?;
            x = self.feed_forward(x, &at, Build::by_rows)?;
        }
        let x = self.norm(&x, "encoder.ln_post")?;
        for n in 0..self.sizes.text_layers {
            let at = format!("decoder.blocks.{n}.cross_attn");
            let layer = self.stacked(&at, &["key", "value"])?;
            let both = self.build.by_rows(&x, &layer)?;
            let [k, v] = self.build.split(&both)?;
            let (k, v) = (self.heads(&k, &[0, 2, 3, 1])?, self.heads(&v, &[0, 2, 1, 3])?);
            self.build.output(&format!("ck{n}"), &k, 4)?;
            self.build.output(&format!("cv{n}"), &v, 4)?;
        }
        Ok(())
    }

    fn decoder(&mut self, known: &Tokens) -> Result<(), EngineError> {
        let (width, depth) = (self.sizes.width, (self.sizes.width / self.sizes.heads) as i64);
        let heads = self.sizes.heads as i64;
        let tokens = self.build.input("tokens", Int64, &[-1, -1]);
        let positions = self.build.input("positions", Int64, &[-1]);
        let mask = self.build.input("mask", Float32, &[-1, -1]);
        let rows = self.build.input("rows", Int64, &[-1]);
        let vocabulary = Dense {
            rows: self.sizes.vocab,
            weights: self.matrix("decoder.token_embedding.weight", self.sizes.vocab)?,
            bias: None,
        };
        let table = self.build.blocks(&vocabulary)?;
        let x = self.build.gather_blocks(&table, &tokens, width as i64)?;
        let places = self.matrix("decoder.positional_embedding", self.sizes.text_ctx)?;
        let places = self.build.constant(&[self.sizes.text_ctx, width], &places)?;
        let places = self.build.gather(&places, &positions)?;
        let mut x = self.build.op("Add", &[&x, &places])?;
        for n in 0..self.sizes.text_layers {
            let at = format!("decoder.blocks.{n}");
            let keys = self.build.input(&format!("pk{n}"), Float32, &[-1, heads, depth, -1]);
            let values = self.build.input(&format!("pv{n}"), Float32, &[-1, heads, -1, depth]);
            let h = self.norm(&x, &format!("{at}.attn_ln"))?;
            let [q, k, v] = self.projected(&h, &format!("{at}.attn"), Build::by_blocks)?;
            let (k, v) = (self.heads(&k, &[0, 2, 3, 1])?, self.heads(&v, &[0, 2, 1, 3])?);
            let k = self.build.op_with("Concat", &[&keys, &k], vec![Attribute::new("axis", 3i64)?])?;
            let v = self.build.op_with("Concat", &[&values, &v], vec![Attribute::new("axis", 2i64)?])?;
            self.build.output(&format!("nk{n}"), &k, 4)?;
            self.build.output(&format!("nv{n}"), &v, 4)?;
            let q = self.heads(&q, &[0, 2, 1, 3])?;
            let a = self.attention(&q, &k, &v, Some(&mask))?;
            let a = self.build.reshape(&a, &[0, 0, width as i64])?;
            x = self.block_end(x, &a, &at, "attn", Build::by_blocks)?;

            let keys = self.build.input(&format!("ck{n}"), Float32, &[1, heads, depth, -1]);
            let values = self.build.input(&format!("cv{n}"), Float32, &[1, heads, -1, depth]);
            let h = self.norm(&x, &format!("{at}.cross_attn_ln"))?;
            let layer = self.dense(&format!("{at}.cross_attn.query"), width, width)?;
            let q = self.build.by_blocks(&h, &layer)?;
            let q = self.heads(&q, &[0, 2, 1, 3])?;
            let a = self.attention(&q, &keys, &values, None)?;
            let a = self.build.reshape(&a, &[0, 0, width as i64])?;
            x = self.block_end(x, &a, &at, "cross_attn", Build::by_blocks)?;
            x = self.feed_forward(x, &at, Build::by_blocks)?;
        }
        let x = self.build.op_with("Gather", &[&x, &rows], vec![Attribute::new("axis", 1i64)?])?;
        let x = self.norm(&x, "decoder.ln")?;
        let scores = self.build.times(&x, &table, &vocabulary)?;
        let axis = vec![Attribute::new("axis", -1i64)?];
        let scores = self.build.op_with("LogSoftmax", &[&scores], axis)?;
        self.sorted_out(&scores, known)
    }

    /// Scores of all tokens as the outputs that are asked for: looking through 52,000 is quicker here.
    fn sorted_out(&mut self, scores: &str, known: &Tokens) -> Result<(), EngineError> {
        let (times, vocab) = (known.times as usize, self.sizes.vocab);
        let mut unsaid = vec![0.0f32; times];
        for token in &known.silent {
            unsaid.get_mut(*token as usize).into_iter().for_each(|score| *score = f32::NEG_INFINITY);
        }
        let unsaid = self.build.constant(&[times], &unsaid)?;
        let [words, times] = self.build.split_at(scores, times as i64, (vocab - times) as i64)?;
        let words = self.build.op("Add", &[&words, &unsaid])?;
        let [best, words] = self.build.top(&words, WORDS)?;
        let steering = self.build.constant(&[2], &[known.end, known.no_speech].map(i64::from))?;
        let last = vec![Attribute::new("axis", -1i64)?];
        let steering = self.build.op_with("Gather", &[scores, &steering], last)?;
        self.build.output("best", &best, 3)?;
        self.build.output_of("words", &words, 3, Int64)?;
        self.build.output("steering", &steering, 3)?;
        self.build.output("times", &times, 3)?;
        Ok(())
    }

    fn convolution(&mut self, x: &str, at: &str, inputs: usize, stride: i64) -> Built {
        let width = self.sizes.width;
        let kernel = self.weights.floats(&format!("{at}.weight"), width * inputs * 3)?;
        let bias = self.weights.floats(&format!("{at}.bias"), width)?;
        let kernel = self.build.constant(&[width, inputs, 3], &kernel)?;
        let bias = self.build.constant(&[width], &bias)?;
        let attributes =
            vec![Attribute::new("pads", vec![1i64, 1])?, Attribute::new("strides", vec![stride])?];
        let x = self.build.op_with("Conv", &[x, &kernel, &bias], attributes)?;
        Ok(self.build.op("Gelu", &[&x])?)
    }

    /// Adds the first positions, as many as the audio has.
    fn add_positions(&mut self, x: &str) -> Built {
        let table = self.matrix("encoder.positional_embedding", self.sizes.audio_ctx)?;
        let table = self.build.constant(&[self.sizes.audio_ctx, self.sizes.width], &table)?;
        let shape = self.build.op("Shape", &[x])?;
        let [zero, one, two] = [0i64, 1, 2].map(|n| self.build.constant(&[1], &[n]));
        let (zero, one, two) = (zero?, one?, two?);
        let length = self.build.op("Slice", &[&shape, &one, &two])?;
        let places = self.build.op("Slice", &[&table, &zero, &length, &zero])?;
        Ok(self.build.op("Add", &[x, &places])?)
    }

    fn norm(&mut self, x: &str, at: &str) -> Built {
        let gain = self.weights.floats(&format!("{at}.weight"), self.sizes.width)?;
        let bias = self.weights.floats(&format!("{at}.bias"), self.sizes.width)?;
        Ok(self.build.norm(x, &gain, &bias)?)
    }

    /// Query, key and value, in one product.
    fn projected(
        &mut self,
        x: &str,
        at: &str,
        dense: fn(&mut Build, &str, &Dense) -> ort::Result<String>,
    ) -> Result<[String; 3], EngineError> {
        let layer = self.stacked(at, &["query", "key", "value"])?;
        let all = dense(&mut self.build, x, &layer)?;
        Ok(self.build.split(&all)?)
    }

    /// The projection after an attention, and the way around it.
    fn block_end(
        &mut self,
        x: String,
        attended: &str,
        at: &str,
        which: &str,
        dense: fn(&mut Build, &str, &Dense) -> ort::Result<String>,
    ) -> Built {
        let layer = self.dense(&format!("{at}.{which}.out"), self.sizes.width, self.sizes.width)?;
        let out = dense(&mut self.build, attended, &layer)?;
        Ok(self.build.op("Add", &[&x, &out])?)
    }

    fn feed_forward(
        &mut self,
        x: String,
        at: &str,
        dense: fn(&mut Build, &str, &Dense) -> ort::Result<String>,
    ) -> Built {
        let width = self.sizes.width;
        let h = self.norm(&x, &format!("{at}.mlp_ln"))?;
        let (wide, narrow) = (
            self.dense(&format!("{at}.mlp.0"), 4 * width, width)?,
            self.dense(&format!("{at}.mlp.2"), width, 4 * width)?,
        );
        let h = dense(&mut self.build, &h, &wide)?;
        let h = self.build.op("Gelu", &[&h])?;
        let h = dense(&mut self.build, &h, &narrow)?;
        Ok(self.build.op("Add", &[&x, &h])?)
    }

    /// [b, l, width] by heads, in this order of the dimensions [b, l, head, depth].
    fn heads(&mut self, x: &str, order: &[i64]) -> Built {
        let heads = self.sizes.heads as i64;
        let x = self.build.reshape(x, &[0, 0, heads, self.sizes.width as i64 / heads])?;
        Ok(self.build.transpose(&x, order)?)
    }

    /// Queries [b, heads, l, depth] over keys [b, heads, depth, s] and values [b, heads, s, depth], back as
    /// [b, l, heads, depth].
    fn attention(&mut self, q: &str, k: &str, v: &str, mask: Option<&str>) -> Built {
        let scale = self.build.number(((self.sizes.width / self.sizes.heads) as f32).powf(-0.5))?;
        let q = self.build.op("Mul", &[q, &scale])?;
        let mut scores = self.build.op("MatMul", &[&q, k])?;
        if let Some(mask) = mask {
            scores = self.build.op("Add", &[&scores, mask])?;
        }
        let shares = self.build.softmax(&scores)?;
        let a = self.build.op("MatMul", &[&shares, v])?;
        Ok(self.build.transpose(&a, &[0, 2, 1, 3])?)
    }

    /// Several square layers of an attention as one. Whisper's keys have no bias.
    fn stacked(&mut self, at: &str, parts: &[&str]) -> Result<Dense, EngineError> {
        let width = self.sizes.width;
        let (mut weights, mut bias) = (Vec::new(), Vec::new());
        for part in parts {
            weights.extend(self.matrix(&format!("{at}.{part}.weight"), width)?);
            bias.extend(match *part {
                "key" => vec![0.0; width],
                _ => self.weights.floats(&format!("{at}.{part}.bias"), width)?,
            });
        }
        Ok(Dense { rows: parts.len() * width, weights, bias: Some(bias) })
    }

    fn dense(&mut self, at: &str, rows: usize, columns: usize) -> Result<Dense, EngineError> {
        let weights = self.weights.floats(&format!("{at}.weight"), rows * columns)?;
        Ok(Dense { rows, weights, bias: Some(self.weights.floats(&format!("{at}.bias"), rows)?) })
    }

    fn matrix(&mut self, name: &str, rows: usize) -> Result<Vec<f32>, EngineError> {
        Ok(self.weights.floats(name, rows * self.sizes.width)?)
    }
}
