//! Scores to tokens: one at a time, each resting on the audio and on those before.
//!
//! The rules are those of OpenAI's `whisper/decoding.py`: what is no word is held back, times come in pairs
//! and never run backwards, and a time is taken when all times together are likelier than any word.
//!
//! Where a text was heard before of the beginning of the same audio, all of it is judged in one go and taken as far as
//! each token is the likeliest (speculative decoding, Leviathan et al. 2023): the same text, sooner.

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

/// Columns of the memory that no text needs any more are kept until they are so many.
const FORGOTTEN: usize = 48;

/// What is asked of one decoding.
pub struct Task<'a> {
    /// What the text is to follow: prompt, start, language, task.
    pub opening: &'a [Token],
    /// How the text is expected to begin, rightly or not; of use to a single candidate.
    pub draft: &'a [Token],
    /// Whether times are wanted.
    pub times: bool,
    /// Length of the audio in units of 20 ms: no time lies beyond.
    pub length: u32,
    /// At most this many tokens.
    pub most: usize,
    /// Texts that are pursued at once, at most [`MAX_BEAM`](crate::engine::window::MAX_BEAM); 1 takes the
    /// likeliest token each time.
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
    /// Where the decoder keeps what it knows of each token: columns of its memory.
    columns: Vec<usize>,
}

impl Text {
    /// Mean natural-log probability of the tokens; 0 if there are none.
    pub fn mean_logprob(&self) -> f32 {
        self.logprobs.iter().sum::<f32>() / self.logprobs.len().max(1) as f32
    }

    /// Goes on with these tokens, whose columns come next, as far as each is what would be taken. `scores` has what may
    /// follow this text and each of them.
    fn going_on(mut self, expected: &[Token], scores: &[Scores], tokens: &Tokens, task: &Task<'_>) -> Self {
        for (token, scores) in expected.iter().zip(scores) {
            let likeliest = scores.allowed(&self.tokens, tokens, task).first().copied();
            let Some((_, logprob)) = likeliest.filter(|(likeliest, _)| likeliest == token) else { break };
            self.tokens.push(*token);
            if before_loop(&self.tokens).is_some() {
                self.tokens.pop();
                break;
            }
            self.logprobs.push(logprob);
            self.sum += logprob;
            self.columns.push(self.columns.len());
        }
        self
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

/// What the decoder keeps of the tokens it was given: keys and values of each layer, a column for each token.
///
/// Texts that are pursued together share the columns of what they have in common, so none is ever copied
/// when one text becomes two; each new token is told which columns are its own past.
struct Memory {
    values: Vec<DynValue>,
    columns: usize,
}

/// Scores of what may follow one token, as the graph sorted them out.
struct Scores {
    /// The likeliest words and the end, the best first.
    words: Vec<(Token, f32)>,
    end: f32,
    no_speech: f32,
    /// One for each time.
    times: Vec<f32>,
}

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
        let opening = task.opening.len();
        let most = task.most.min(self.sizes.text_ctx.saturating_sub(opening));
        let start = task.opening.iter().position(|t| *t == tokens.start).unwrap_or(0);
        let last = opening.saturating_sub(1);
        let expected = if task.beam == 1 { task.draft } else { &[] };
        let expected = expected.get(..expected.len().min(most.saturating_sub(1))).unwrap_or_default();
        let given = [task.opening, expected].concat();
        let mut memory = self.nothing()?;
        let seen: Vec<Vec<usize>> = (0..given.len()).map(|n| (0..n).collect()).collect();
        let places: Vec<usize> = (0..given.len()).collect();
        let wanted: Vec<usize> = [start].into_iter().chain(last..given.len()).collect();
        let mut scores = self.step(heard, &mut memory, &given, &places, &seen, &wanted)?;
        let no_speech = scores.first().map_or(0.0, |first| first.no_speech.exp());
        scores.drain(..1);

        let begun = Text { columns: (0..opening).collect(), ..Text::default() };
        let begun = begun.going_on(expected, &scores, tokens, task);
        let from = begun.tokens.len();
        let mut scores: Vec<Scores> = scores.drain(from..).take(1).collect();
        let mut live = vec![begun];
        let mut ended: Vec<Text> = Vec::new();
        for step in from..most {
            let mut next: Vec<(&Text, Token, f32, f32)> = Vec::new();
            for (text, scores) in live.iter().zip(&scores) {
                let likeliest = scores.allowed(&text.tokens, tokens, task).into_iter();
                next.extend(likeliest.map(|(token, score)| (text, token, score, text.sum + score)));
            }
            next.sort_by(|a, b| b.3.total_cmp(&a.3));
            let mut grown = Vec::new();
            for (text, token, logprob, sum) in next {
                if grown.len() + ended.len() >= task.beam {
                    break;
                }
                let mut text = Text { sum, ..text.clone() };
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
                }
            }
            live = grown;
            if live.is_empty() || step + 1 == most {
                break;
            }
            memory.forget(&mut live)?;
            let newest: Vec<Token> = live.iter().filter_map(|t| t.tokens.last()).copied().collect();
            let seen: Vec<_> = live.iter().map(|text| text.columns.as_slice()).collect();
            let (places, wanted) = (vec![opening + step; live.len()], (0..live.len()).collect::<Vec<_>>());
            let first = memory.columns;
            scores = self.step(heard, &mut memory, &newest, &places, &seen, &wanted)?;
            live.iter_mut().zip(first..).for_each(|(text, column)| text.columns.push(column));
        }
        ended.extend(live);
        let worth = |text: &Text| text.sum / (text.tokens.len() + 1) as f32;
        let text = ended.into_iter().max_by(|a, b| worth(a).total_cmp(&worth(b))).unwrap_or_default();
        Ok((text, no_speech))
    }

    /// Adds tokens to the memory, each at its place of its text and after the columns it has `seen`; the
    /// scores after those of them that are `wanted`.
    fn step(
        &mut self,
        heard: &Heard,
        memory: &mut Memory,
        tokens: &[Token],
        places: &[usize],
        seen: &[impl AsRef<[usize]>],
        wanted: &[usize],
    ) -> Result<Vec<Scores>, EngineError> {
        let (count, columns) = (tokens.len(), memory.columns + tokens.len());
        // A token sees what is its own past, and itself.
        let mut mask = vec![f32::NEG_INFINITY; count * columns];
        for (n, (row, seen)) in mask.chunks_exact_mut(columns.max(1)).zip(seen).enumerate() {
            for column in seen.as_ref().iter().copied().chain([memory.columns + n]) {
                row.get_mut(column).into_iter().for_each(|masked| *masked = 0.0);
            }
        }
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = vec![
            ("tokens", numbers(vec![1, count], tokens.iter().map(|t| i64::from(*t)))?),
            ("positions", numbers(vec![count], places.iter().map(|n| *n as i64))?),
            ("mask", Tensor::from_array((vec![count, columns], mask))?.into()),
            ("rows", numbers(vec![wanted.len()], wanted.iter().map(|n| *n as i64))?),
        ];
        for ((names, past), heard) in
            self.names.iter().zip(memory.values.chunks_exact(2)).zip(heard.chunks_exact(2))
        {
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
        memory.values =
            grown.map(|name| outputs.remove(name).ok_or_else(|| missing(name))).collect::<Result<_, _>>()?;
        memory.columns = columns;
        let floats = |name| -> Result<&[f32], EngineError> {
            Ok(outputs.get(name).ok_or_else(|| missing(name))?.try_extract_tensor::<f32>()?.1)
        };
        let (best, steering, times) = (floats("best")?, floats("steering")?, floats("times")?);
        let words = outputs.get("words").ok_or_else(|| missing("words"))?.try_extract_tensor::<i64>()?.1;
        let row = |n: usize, all: &'_ [f32]| {
            let length = all.len() / wanted.len().max(1);
            all.get(n * length..(n + 1) * length).unwrap_or_default().to_vec()
        };
        let of_row = |n: usize| {
            let best = row(n, best);
            let words = words.iter().skip(n * best.len()).map(|word| *word as Token);
            match row(n, steering).as_slice() {
                [end, no_speech] => Ok(Scores {
                    words: words.zip(best).collect(),
                    end: *end,
                    no_speech: *no_speech,
                    times: row(n, times),
                }),
                _ => Err(missing("steering")),
            }
        };
        (0..wanted.len()).map(of_row).collect()
    }

    /// A memory of no text.
    fn nothing(&self) -> Result<Memory, EngineError> {
        let (heads, depth) = (self.sizes.heads as i64, (self.sizes.width / self.sizes.heads) as i64);
        let shapes = [[1, heads, depth, 0], [1, heads, 0, depth]];
        let empty = |shape| Ok(Tensor::<f32>::new(&Allocator::default(), shape)?.into_dyn());
        let values: Result<_, EngineError> =
            (0..self.sizes.text_layers).flat_map(|_| shapes).map(empty).collect();
        Ok(Memory { values: values?, columns: 0 })
    }
}

impl Memory {
    /// Drops the columns that belong to none of these texts, once they are many.
    fn forget(&mut self, texts: &mut [Text]) -> Result<(), EngineError> {
        let mut kept: Vec<usize> = texts.iter().flat_map(|text| &text.columns).copied().collect();
        kept.sort_unstable();
        kept.dedup();
        if self.columns - kept.len() < FORGOTTEN {
            return Ok(());
        }
        for (n, value) in self.values.iter_mut().enumerate() {
            // Keys lie [1, heads, depth, columns], values [1, heads, columns, depth].
            *value = only(value, &kept, if n % 2 == 0 { 3 } else { 2 })?;
        }
        self.columns = kept.len();
        for column in texts.iter_mut().flat_map(|text| &mut text.columns) {
            *column = kept.partition_point(|old| old < column);
        }
        Ok(())
    }
}

impl Scores {
    /// The likeliest of what may come next, at most as many as are pursued, the best first.
    fn allowed(&self, text: &[Token], tokens: &Tokens, task: &Task<'_>) -> Vec<(Token, f32)> {
        let is_time = |token: &Token| *token >= tokens.times;
        let after_time = text.last().is_some_and(is_time);
        let opened = after_time && (text.len() < 2 || text.iter().rev().nth(1).is_some_and(is_time));
        let mut words = self.words.clone();
        if text.is_empty() {
            words.retain(|(token, _)| !tokens.blank.contains(token));
        }
        let latest = text.iter().rev().find(|t| is_time(t)).map_or(0, |t| t - tokens.times);
        // Times never run backwards, and only a pair may stand on one place: an empty stretch would go round
        // for ever.
        let mut times = match (text, after_time) {
            _ if !task.times => 0..0,
            ([], _) => 0..LATEST_START + 1,
            _ if opened => 0..0,
            (_, true) => latest..u32::MAX,
            (_, false) => latest + 1..u32::MAX,
        };
        times.end = times.end.min(task.length + 1);
        if task.times && text.is_empty() {
            words.clear();
        } else if after_time && !opened {
            words = vec![(tokens.end, self.end)];
        }
        let range = times.start as usize..(times.end as usize).min(self.times.len());
        let scores = self.times.get(range).unwrap_or_default();
        if words.first().is_some_and(|(_, likeliest)| log_sum(scores) > *likeliest) {
            words.clear();
        }
        words.extend((tokens.times + times.start..).zip(scores.iter().copied()));
        words.retain(|(_, score)| score.is_finite());
        words.sort_by(|a, b| b.1.total_cmp(&a.1));
        words.truncate(task.beam);
        words
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

/// Logarithm of the sum of the exponentials.
fn log_sum(scores: &[f32]) -> f32 {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if largest == f32::NEG_INFINITY {
        return largest;
    }
    largest + scores.iter().map(|score| (score - largest).exp()).sum::<f32>().ln()
}

fn numbers<'a>(
    shape: Vec<usize>,
    values: impl Iterator<Item = i64>,
) -> Result<SessionInputValue<'a>, EngineError> {
    Ok(Tensor::from_array((shape, values.collect::<Vec<_>>()))?.into())
}

/// A tensor of four dimensions with only these numbers of one of the last two.
fn only(value: &DynValue, numbers: &[usize], axis: usize) -> Result<DynValue, EngineError> {
    let (shape, data) = value.try_extract_tensor::<f32>()?;
    let mut shape: Vec<usize> = shape.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
    let inner: usize = shape.iter().skip(axis + 1).product();
    let length = shape.get(axis).copied().unwrap_or(0);
    let mut out = Vec::with_capacity(data.len() / length.max(1) * numbers.len());
    for outer in data.chunks_exact((length * inner).max(1)) {
        for number in numbers {
            out.extend_from_slice(outer.get(number * inner..(number + 1) * inner).unwrap_or_default());
        }
    }
    shape.get_mut(axis).into_iter().for_each(|n| *n = numbers.len());
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

    fn scores() -> Scores {
        let words = vec![(WORD, 0.0), (tokens().end, -0.1), (tokens().blank[0], -0.2)];
        Scores { words, end: -0.1, no_speech: -9.0, times: vec![-50.0; 1501] }
    }

    /// The tokens that may follow, of [`WORD`], the end, and times given in units of 20 ms.
    fn allowed(text: &[Token], times: bool, watched: &[u32]) -> (bool, bool, Vec<u32>) {
        let tokens = tokens();
        let task = Task { opening: &[], draft: &[], times, length: 400, most: 10, beam: usize::MAX };
        let allowed = scores().allowed(text, &tokens, &task);
        let may = |token: Token| allowed.iter().any(|(other, _)| *other == token);
        let may_times = watched.iter().copied().filter(|n| may(tokens.times + n)).collect();
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
        let mut scores = scores();
        let task = Task { opening: &[], draft: &[], times: true, length: 400, most: 10, beam: 1 };
        let text = [tokens.times, WORD];
        // Each of these is less likely than the word, and so are few of them; all of them are likelier.
        scores.times[200..202].fill(-1.0);
        assert_eq!(scores.allowed(&text, &tokens, &task), [(WORD, 0.0)]);
        scores.times[200..209].fill(-1.0);
        assert_eq!(scores.allowed(&text, &tokens, &task), [(tokens.times + 200, -1.0)]);
    }

    #[test]
    fn a_memory_keeps_what_its_texts_need() {
        crate::engine::real::environment();
        let value = |shape: [usize; 4]| {
            let numbers: Vec<f32> = (0..shape.iter().product()).map(|n: usize| n as f32).collect();
            Tensor::from_array((shape, numbers)).unwrap().into_dyn()
        };
        let columns = FORGOTTEN + 2;
        let values = vec![value([1, 1, 2, columns]), value([1, 1, columns, 2])];
        let mut memory = Memory { values, columns };
        let mut texts = [vec![0, 1, 3], vec![0, 2]].map(|columns| Text { columns, ..Text::default() });
        memory.forget(&mut texts).unwrap();
        assert_eq!(memory.columns, columns, "too little to be worth it");
        texts[0].columns = vec![0, columns - 1];
        texts[1].columns = vec![0];
        memory.forget(&mut texts).unwrap();
        assert_eq!((memory.columns, &texts[0].columns, &texts[1].columns), (2, &vec![0, 1], &vec![0]));
        let numbers = |n: usize| memory.values[n].try_extract_tensor::<f32>().unwrap().1.to_vec();
        let last = (columns - 1) as f32;
        assert_eq!(numbers(0), [0.0, last, last + 1.0, 2.0 * last + 1.0]);
        assert_eq!(numbers(1), [0.0, 1.0, 2.0 * last, 2.0 * last + 1.0]);
    }

    #[test]
    fn a_text_that_goes_round_is_cut() {
        assert_eq!(before_loop(&[1, 2, 3, 2, 3, 2, 3]), None);
        assert_eq!(before_loop(&[1, 2, 3, 2, 3, 2, 3, 2, 3]), Some(3));
        assert_eq!(before_loop(&[1, 7, 7, 7, 7, 7, 7, 7]), None);
        assert_eq!(before_loop(&[1, 7, 7, 7, 7, 7, 7, 7, 7]), Some(2));
    }

    #[test]
    fn logarithms_are_added_without_overflow() {
        assert!((log_sum(&[900.0, 900.0]) - 900.0 - 2f32.ln()).abs() < 1e-3);
        assert_eq!(log_sum(&[f32::NEG_INFINITY]), f32::NEG_INFINITY);
    }
}
