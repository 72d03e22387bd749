//! Scores to tokens: one at a time, each resting on the audio and on those before.
//!
//! The rules are those of OpenAI's `whisper/decoding.py`: what is no word is held back, times come in pairs
//! and never run backwards, and a time is taken when all times together are likelier than any word.

use ort::memory::Allocator;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor};

use super::tokens::{Token, Tokens};
use crate::engine::EngineError;
use crate::engine::ggml::Sizes;

/// A text begins within its first second: no first time lies beyond this, in units of 20 ms.
const LATEST_START: u32 = 50;

/// A unit of at most this many tokens...
const LONGEST_UNIT: usize = 20;
/// ...that comes so often in a row is a loop: nobody speaks so. A single token may come twice as often.
const REPEATS: usize = 4;

/// What is asked of one decoding.
pub struct Task<'a> {
    /// What the text is to follow: prompt, start, language, task.
    pub opening: &'a [Token],
    /// Whether times are wanted.
    pub times: bool,
    /// Length of the audio in units of 20 ms: no time lies beyond.
    pub length: u32,
    /// At most this many tokens.
    pub most: usize,
    /// Texts that are pursued at once; 1 takes the likeliest token each time.
    pub beam: usize,
}

/// A text, token by token.
#[derive(Debug, Clone, Default)]
pub struct Text {
    /// Words and times.
    pub tokens: Vec<Token>,
    /// Natural-log probability of each.
    pub logprobs: Vec<f32>,
    sum: f32,
}

impl Text {
    /// Mean natural-log probability of the tokens; 0 if there are none.
    pub fn mean_logprob(&self) -> f32 {
        self.logprobs.iter().sum::<f32>() / self.logprobs.len().max(1) as f32
    }
}

/// The decoder's graph.
pub struct Decoder {
    session: Session,
    sizes: Sizes,
    /// Input names by layer: keys and values of the text so far, then of the audio.
    names: Vec<[String; 6]>,
}

/// Keys and values of the audio, two for each layer.
pub type Heard = Vec<DynValue>;

impl Decoder {
    /// Takes over an opened graph.
    pub fn new(session: Session, sizes: Sizes) -> Self {
        let name = |n: usize| ["pk", "pv", "nk", "nv", "ck", "cv"].map(|what| format!("{what}{n}"));
        Self { session, sizes, names: (0..sizes.text_layers).map(name).collect() }
    }

    /// The likeliest text, and the probability that there is no speech at all.
    pub fn decode(
        &mut self,
        heard: &Heard,
        tokens: &Tokens,
        task: &Task<'_>,
    ) -> Result<(Text, f32), EngineError> {
        let most = task.most.min(self.sizes.text_ctx.saturating_sub(task.opening.len()));
        let start = task.opening.iter().position(|t| *t == tokens.start).unwrap_or(0);
        let last = task.opening.len().saturating_sub(1);
        let mut past = self.nothing()?;
        let opening: Vec<i64> = task.opening.iter().map(|t| i64::from(*t)).collect();
        let scores = self.step(heard, &mut past, 0, &opening, 1, &[start as i64, last as i64])?;
        let [first, scores] = halves(&scores);
        let no_speech = first.get(tokens.no_speech as usize).map_or(0.0, |score| score.exp());

        let mut live = vec![Text::default()];
        let mut ended: Vec<Text> = Vec::new();
        let mut scores = scores.to_vec();
        for step in 0..most {
            let mut next: Vec<(usize, Token, f32, f32)> = Vec::new();
            for (n, (text, scores)) in live.iter().zip(scores.chunks_exact_mut(self.sizes.vocab)).enumerate()
            {
                hold_back(scores, &text.tokens, tokens, task);
                let likeliest = best(scores, task.beam).into_iter();
                next.extend(likeliest.map(|(token, score)| (n, token, score, text.sum + score)));
            }
            next.sort_by(|a, b| b.3.total_cmp(&a.3));
            let (mut parents, mut grown) = (Vec::new(), Vec::new());
            for (n, token, logprob, sum) in next {
                if grown.len() + ended.len() >= task.beam {
                    break;
                }
                let Some(mut text) = live.get(n).cloned() else { continue };
                text.sum = sum;
                if token == tokens.end {
                    ended.push(text);
                    continue;
                }
                text.tokens.push(token);
                text.logprobs.push(logprob);
                if let Some(length) = before_loop(&text.tokens) {
                    text.tokens.truncate(length);
                    text.logprobs.truncate(length);
                    ended.push(text);
                } else {
                    grown.push(text);
                    parents.push(n);
                }
            }
            let rows_before = std::mem::replace(&mut live, grown).len();
            if live.is_empty() || step + 1 == most {
                break;
            }
            if !parents.iter().copied().eq(0..rows_before) {
                past = past.iter().map(|value| rows(value, &parents)).collect::<Result<_, _>>()?;
            }
            let newest: Vec<i64> =
                live.iter().filter_map(|t| t.tokens.last()).map(|t| i64::from(*t)).collect();
            scores = self.step(heard, &mut past, opening.len() + step, &newest, live.len(), &[0])?;
        }
        ended.extend(live);
        let worth = |text: &Text| text.sum / (text.tokens.len() + 1) as f32;
        let text = ended.into_iter().max_by(|a, b| worth(a).total_cmp(&worth(b))).unwrap_or_default();
        Ok((text, no_speech))
    }

    /// Runs `count` rows of tokens from `position` on; the scores after those in `wanted`, row by row.
    fn step(
        &mut self,
        heard: &Heard,
        past: &mut Vec<DynValue>,
        position: usize,
        tokens: &[i64],
        count: usize,
        wanted: &[i64],
    ) -> Result<Vec<f32>, EngineError> {
        let length = tokens.len() / count.max(1);
        let positions: Vec<i64> = (position..position + length).map(|n| n as i64).collect();
        // A token sees those before it and itself.
        let seen = position + length;
        let sees = |row: usize, column: usize| if column > position + row { f32::NEG_INFINITY } else { 0.0 };
        let mask: Vec<f32> = (0..length).flat_map(|r| (0..seen).map(move |c| sees(r, c))).collect();
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = vec![
            ("tokens", Tensor::from_array((vec![count, length], tokens.to_vec()))?.into()),
            ("positions", Tensor::from_array((vec![length], positions))?.into()),
            ("mask", Tensor::from_array((vec![length, seen], mask))?.into()),
            ("rows", Tensor::from_array((vec![wanted.len()], wanted.to_vec()))?.into()),
        ];
        for ((names, past), heard) in self.names.iter().zip(past.chunks_exact(2)).zip(heard.chunks_exact(2)) {
            let [keys, values, _, _, heard_keys, heard_values] = names;
            let ([k, v], [ck, cv]) = (pair(past)?, pair(heard)?);
            inputs.extend([
                (keys.as_str(), k.into()),
                (values.as_str(), v.into()),
                (heard_keys.as_str(), ck.into()),
                (heard_values.as_str(), cv.into()),
            ]);
        }
        let mut outputs = self.session.run(inputs)?;
        let grown = self.names.iter().flat_map(|[_, _, keys, values, _, _]| [keys, values]);
        *past =
            grown.map(|name| outputs.remove(name).ok_or_else(|| missing(name))).collect::<Result<_, _>>()?;
        let scores = outputs.get("scores").ok_or_else(|| missing("scores"))?;
        Ok(scores.try_extract_tensor::<f32>()?.1.to_vec())
    }

    /// Keys and values of no text.
    fn nothing(&self) -> Result<Vec<DynValue>, EngineError> {
        let (heads, depth) = (self.sizes.heads as i64, (self.sizes.width / self.sizes.heads) as i64);
        let shapes = [[1, heads, depth, 0], [1, heads, 0, depth]];
        let empty = |shape| Ok(Tensor::<f32>::new(&Allocator::default(), shape)?.into_dyn());
        (0..self.sizes.text_layers).flat_map(|_| shapes).map(empty).collect()
    }
}

/// Takes from the scores what must not come next.
fn hold_back(scores: &mut [f32], text: &[Token], tokens: &Tokens, task: &Task<'_>) {
    const NEVER: f32 = f32::NEG_INFINITY;
    let mut never = |token: Token| scores.get_mut(token as usize).into_iter().for_each(|s| *s = NEVER);
    tokens.silent.iter().for_each(|token| never(*token));
    if text.is_empty() {
        tokens.blank.iter().for_each(|token| never(*token));
    }
    let times = tokens.times as usize..scores.len();
    let mut none_of = |range: std::ops::Range<usize>| {
        scores.get_mut(range).into_iter().flatten().for_each(|score| *score = NEVER);
    };
    if !task.times {
        return none_of(times);
    }
    none_of((tokens.times + task.length + 1) as usize..times.end);
    let is_time = |token: &Token| *token >= tokens.times;
    match text {
        [] => {
            none_of(0..times.start);
            none_of((tokens.times + LATEST_START + 1) as usize..times.end);
        }
        [.., last] if is_time(last) => {
            let opened = text.len() < 2 || text.iter().rev().nth(1).is_some_and(is_time);
            if opened {
                none_of(times.clone())
            } else {
                none_of(0..tokens.end as usize)
            }
            // An empty stretch would go round for ever.
            none_of(times.start..*last as usize);
        }
        _ => {
            let latest = text.iter().rev().find(|t| is_time(t)).copied().unwrap_or(tokens.times);
            none_of(times.start..latest as usize + 1);
        }
    }
    let (words, times) = scores.split_at(times.start.min(scores.len()));
    let likeliest = words.iter().copied().fold(NEVER, f32::max);
    if log_sum(times) > likeliest {
        scores.iter_mut().take(tokens.times as usize).for_each(|score| *score = NEVER);
    }
}

/// Where a text stops being one and starts going round: its length with what is said over and over said once.
fn before_loop(text: &[Token]) -> Option<usize> {
    (1..=LONGEST_UNIT).find_map(|unit| {
        let times = if unit == 1 { 2 * REPEATS } else { REPEATS };
        let tail = text.get(text.len().checked_sub(unit * times)?..)?;
        let (first, rest) = tail.split_at(unit);
        rest.chunks_exact(unit).all(|next| next == first).then(|| text.len() - unit * (times - 1))
    })
}

/// The likeliest tokens and their scores, at most `count`, the best first.
fn best(scores: &[f32], count: usize) -> Vec<(Token, f32)> {
    let mut found: Vec<(Token, f32)> = Vec::with_capacity(count + 1);
    for (token, score) in (0..).zip(scores) {
        let full = found.len() >= count;
        if *score == f32::NEG_INFINITY || full && found.last().is_some_and(|(_, least)| score <= least) {
            continue;
        }
        let place = found.partition_point(|(_, other)| other >= score);
        found.insert(place, (token, *score));
        found.truncate(count);
    }
    found
}

/// Logarithm of the sum of the exponentials.
fn log_sum(scores: &[f32]) -> f32 {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if largest == f32::NEG_INFINITY {
        return largest;
    }
    largest + scores.iter().map(|score| (score - largest).exp()).sum::<f32>().ln()
}

fn halves(scores: &[f32]) -> [&[f32]; 2] {
    let (first, second) = scores.split_at(scores.len() / 2);
    [first, second]
}

/// The rows of a tensor with these numbers.
fn rows(value: &DynValue, numbers: &[usize]) -> Result<DynValue, EngineError> {
    let (shape, data) = value.try_extract_tensor::<f32>()?;
    let mut shape: Vec<i64> = shape.to_vec();
    let row: i64 = shape.iter().skip(1).product();
    let row = usize::try_from(row).unwrap_or(0);
    let mut out = Vec::with_capacity(row * numbers.len());
    for number in numbers {
        out.extend_from_slice(data.get(number * row..(number + 1) * row).unwrap_or_default());
    }
    if let Some(count) = shape.first_mut() {
        *count = numbers.len() as i64;
    }
    Ok(Tensor::from_array((shape, out))?.into_dyn())
}

fn pair(values: &[DynValue]) -> Result<[&DynValue; 2], EngineError> {
    match values {
        [keys, values] => Ok([keys, values]),
        _ => Err(missing("keys and values")),
    }
}

fn missing(name: &str) -> EngineError {
    EngineError::Failed(format!("the recogniser's graph gave no `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: Token = 65;

    fn tokens() -> Tokens {
        let bytes = (0..=255u8).map(|b| vec![b]).collect();
        Tokens::new(bytes, 256 + 2 + 99 + 6 + 1501).unwrap()
    }

    /// The tokens that may follow, of [`WORD`], the end, and times given in units of 20 ms.
    fn allowed(text: &[Token], times: bool, watched: &[u32]) -> (bool, bool, Vec<u32>) {
        let tokens = tokens();
        let mut scores = vec![-50.0; 256 + 2 + 99 + 6 + 1501];
        scores[WORD as usize] = 0.0;
        scores[tokens.end as usize] = 0.0;
        let task = Task { opening: &[], times, length: 400, most: 10, beam: 1 };
        hold_back(&mut scores, text, &tokens, &task);
        let may = |token: Token| scores[token as usize] > f32::NEG_INFINITY;
        let may_times = watched.iter().copied().filter(|n| may(tokens.times + n)).collect();
        assert!(!may(u32::from(b'(')) && !may(tokens.start) && !may(tokens.no_times));
        (may(WORD), may(tokens.end), may_times)
    }

    #[test]
    fn times_come_in_pairs_and_never_run_backwards() {
        let time = |n: u32| tokens().times + n;
        let watched = [0, 49, 51, 100, 101, 399, 401];
        assert_eq!(allowed(&[], false, &watched), (true, false, vec![]));
        assert_eq!(allowed(&[WORD], false, &watched), (true, true, vec![]));
        assert_eq!(allowed(&[], true, &watched), (false, false, vec![0, 49]));
        assert_eq!(allowed(&[time(0)], true, &watched), (true, true, vec![]));
        assert_eq!(allowed(&[time(0), WORD], true, &watched), (true, true, vec![49, 51, 100, 101, 399]));
        assert_eq!(allowed(&[time(0), WORD, time(100)], true, &watched), (false, true, vec![100, 101, 399]));
        assert_eq!(allowed(&[time(0), WORD, time(100), time(101)], true, &watched), (true, true, vec![]));
    }

    #[test]
    fn a_time_is_taken_when_times_together_are_likelier() {
        let tokens = tokens();
        let mut scores = vec![-50.0; 256 + 2 + 99 + 6 + 1501];
        scores[WORD as usize] = 0.0;
        // Each of these is less likely than the word; all of them are likelier.
        (0..9).for_each(|n| scores[(tokens.times + 200 + n) as usize] = -1.0);
        let task = Task { opening: &[], times: true, length: 400, most: 10, beam: 1 };
        hold_back(&mut scores, &[tokens.times, WORD], &tokens, &task);
        assert_eq!(scores[WORD as usize], f32::NEG_INFINITY);
        assert_eq!(best(&scores, 1)[0].0, tokens.times + 200);
    }

    #[test]
    fn a_text_that_goes_round_is_cut() {
        assert_eq!(before_loop(&[1, 2, 3, 2, 3, 2, 3]), None);
        assert_eq!(before_loop(&[1, 2, 3, 2, 3, 2, 3, 2, 3]), Some(3));
        assert_eq!(before_loop(&[1, 7, 7, 7, 7, 7, 7, 7]), None);
        assert_eq!(before_loop(&[1, 7, 7, 7, 7, 7, 7, 7, 7]), Some(2));
    }

    #[test]
    fn the_best_come_first() {
        assert_eq!(best(&[1.0, 3.0, f32::NEG_INFINITY, 2.0], 2), [(1, 3.0), (3, 2.0)]);
        assert_eq!(best(&[1.0, 3.0], 5), [(1, 3.0), (0, 1.0)]);
        assert!((log_sum(&[0.0, 0.0]) - 2f32.ln()).abs() < 1e-6);
        assert_eq!(log_sum(&[f32::NEG_INFINITY]), f32::NEG_INFINITY);
    }
}
