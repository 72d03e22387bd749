//! What is dropped before anybody sees it: words that the audio does not hold.

use std::sync::LazyLock;

use super::GuardConfig;
use crate::engine::Piece;

/// Sentences known from subtitles; the last net.
static PHANTOMS: LazyLock<Vec<String>> = LazyLock::new(|| {
    include_str!("../../../pipelines/rules/phantoms.txt")
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(bare)
        .filter(|l| !l.is_empty())
        .collect()
});

/// The piece's text, loops folded, or nothing if it is taken for invented.
pub(super) fn run(config: &GuardConfig, piece: &Piece, prompt: Option<&str>) -> Option<String> {
    let text = fold_loops(piece.text.trim());
    let core = bare(&text);
    if core.is_empty() {
        return None;
    }
    if piece.no_speech_prob >= config.no_speech && piece.avg_logprob < config.logprob {
        return None;
    }
    let seconds = piece.end_ms.since(piece.start_ms).0 as f32 / 1000.0;
    // Half a second of grace: times of short pieces are coarse.
    if core.chars().count() as f32 > (seconds + 0.5) * config.chars_per_second {
        return None;
    }
    if prompt.is_some_and(|p| core.chars().count() > 4 && bare(p).contains(&core)) {
        return None;
    }
    if PHANTOMS.contains(&core) {
        return None;
    }
    Some(text)
}

/// Letters and digits only.
fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Folds a unit of at most 12 characters that is said four times or more in a row into one.
fn fold_loops(text: &str) -> String {
    const REPEATS: usize = 4;
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::with_capacity(chars.len());
    let mut at = 0;
    'text: while let Some(rest) = chars.get(at..).filter(|r| !r.is_empty()) {
        for len in 1..=12.min(rest.len() / REPEATS) {
            let mut units = rest.chunks_exact(len);
            let Some(unit) = units.next() else { break };
            let times = 1 + units.take_while(|u| *u == unit).count();
            // Digits repeat for good reasons (八八八八); spoken numbers are left alone.
            if times >= REPEATS && !unit.iter().all(|c| is_digit(*c)) {
                out.extend(unit);
                at += times * len;
                continue 'text;
            }
        }
        out.push(rest[0]);
        at += 1;
    }
    out.into_iter().collect()
}

/// A figure, or a character that numbers are spoken with.
pub(super) fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || "零〇一二三四五六七八九十幺两百千万".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Millis;

    fn piece(text: &str, seconds: u64, avg_logprob: f32, no_speech_prob: f32) -> Piece {
        Piece {
            start_ms: Millis(0),
            end_ms: Millis(seconds * 1000),
            text: text.into(),
            avg_logprob,
            no_speech_prob,
            tokens: 1,
        }
    }

    #[test]
    fn invented_speech_is_dropped_and_real_speech_is_kept() {
        let run = |p: &Piece| super::run(&GuardConfig::default(), p, Some("雅固，纳米树脂，粘接剂。"));
        assert_eq!(run(&piece("你不认识我吗?", 2, -1.2, 0.8)), None);
        assert_eq!(run(&piece("好。", 1, -0.9, 0.1)).as_deref(), Some("好。"));
        assert_eq!(run(&piece("请不吝点赞 订阅 转发 打赏支持明镜与点点栏目", 8, -0.2, 0.1)), None);
        assert_eq!(run(&piece("雅固，纳米树脂", 3, -0.2, 0.1)), None, "the prompt itself");
        assert_eq!(run(&piece("一秒钟里不可能说出来的这么长的一句话而且还没有说完呢", 1, -0.2, 0.1)), None);
        assert_eq!(run(&piece("。。。", 1, -0.2, 0.1)), None);
    }

    #[test]
    fn loops_are_folded_and_numbers_are_not() {
        assert_eq!(fold_loops("好的好的好的好的好的那就这样"), "好的那就这样");
        assert_eq!(fold_loops("对对对，是这样"), "对对对，是这样");
        assert_eq!(fold_loops("一三八八八八八二"), "一三八八八八八二");
    }
}
