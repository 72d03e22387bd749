//! Whisper's vocabulary: which number is which token, and which of them a transcript never holds.

use std::collections::HashMap;

use crate::engine::EngineError;

/// The languages in the order of their tokens.
const LANGUAGES: &str = "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta \
    no th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km \
    sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue";

/// What stands for sounds and typography, not for words; alone and after a space it is never said.
const NO_WORDS: &str = "\" # ( ) * + / : ; < = > @ [ \\ ] ^ _ ` { | } ~ 「 」 『 』 << >> <<< >>> -- --- -( -[ (' (\" (( \
    )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪ ♩ ♪ ♫ ♬ ♭ ♮ ♯";

/// Token numbers.
pub type Token = u32;

/// The vocabulary of a multilingual model.
pub struct Tokens {
    bytes: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, Token>,
    longest: usize,
    languages: HashMap<&'static str, Token>,
    /// Never part of a transcript: sounds, typography, and what steers the model.
    pub silent: Vec<Token>,
    /// Not at its start either: a space, and the end.
    pub blank: Vec<Token>,
    /// Ends a text.
    pub end: Token,
    /// Begins a text.
    pub start: Token,
    /// Asks for the language that is spoken.
    pub transcribe: Token,
    /// Introduces a prompt.
    pub previous: Token,
    /// There is no speech.
    pub no_speech: Token,
    /// Asks for no times.
    pub no_times: Token,
    /// The first of the times, 0.00 s; one for every 20 ms follows.
    pub times: Token,
}

impl Tokens {
    /// From the bytes of the ordinary tokens and the size of the whole vocabulary.
    pub fn new(bytes: Vec<Vec<u8>>, vocab: usize) -> Result<Self, EngineError> {
        let end = bytes.len() as Token;
        // After the ordinary ones: end, start, languages, six that steer, and 1501 times.
        let languages = (vocab as Token).checked_sub(end + 2 + 6 + 1501).filter(|n| *n >= 99);
        let Some(languages) = languages else {
            return Err(EngineError::Altered("it is no multilingual Whisper model".to_owned()));
        };
        let numbers: HashMap<Vec<u8>, Token> = bytes.iter().cloned().zip(0..).collect();
        let word = |text: String| numbers.get(text.as_bytes()).copied();
        let start = end + 1;
        let steering = start + 1 + languages;
        let mut silent: Vec<Token> = NO_WORDS
            .split_whitespace()
            .flat_map(|text| [text.to_owned(), format!(" {text}")])
            .chain([" -".to_owned(), " '".to_owned()])
            .filter_map(word)
            .collect();
        silent.extend(start..steering + 6);
        Ok(Self {
            longest: bytes.iter().map(Vec::len).max().unwrap_or(0),
            languages: LANGUAGES.split_whitespace().zip(start + 1..steering).collect(),
            blank: word(" ".to_owned()).into_iter().chain([end]).collect(),
            silent,
            end,
            start,
            transcribe: steering + 1,
            previous: steering + 3,
            no_speech: steering + 4,
            no_times: steering + 5,
            times: steering + 6,
            bytes,
            numbers,
        })
    }

    /// The token of a language by its code.
    pub fn language(&self, code: &str) -> Option<Token> {
        self.languages.get(code).copied()
    }

    /// Bytes of an ordinary token, none for any other.
    pub fn bytes(&self, token: Token) -> &[u8] {
        self.bytes.get(token as usize).map_or(&[], Vec::as_slice)
    }

    /// A text as tokens, the longest that fits first. A prompt needs no finer way.
    pub fn of(&self, text: &str) -> Vec<Token> {
        let (mut rest, mut tokens) = (text.as_bytes(), Vec::new());
        while !rest.is_empty() {
            let fit = (1..=self.longest.min(rest.len())).rev().find_map(|length| {
                let (head, tail) = rest.split_at(length);
                self.numbers.get(head).map(|token| (*token, tail))
            });
            let Some((token, tail)) = fit else { return tokens };
            tokens.push(token);
            rest = tail;
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_tokens_lie_where_openai_put_them() {
        let mut bytes: Vec<Vec<u8>> = (0..=255u8).map(|b| vec![b]).collect();
        bytes.push("签约".as_bytes().to_vec());
        bytes.resize_with(50_257, Vec::new);
        let tokens = Tokens::new(bytes, 51_865).unwrap();
        assert_eq!((tokens.end, tokens.start, tokens.language("zh")), (50_257, 50_258, Some(50_260)));
        assert_eq!((tokens.transcribe, tokens.previous), (50_359, 50_361));
        assert_eq!((tokens.no_speech, tokens.no_times, tokens.times), (50_362, 50_363, 50_364));
        assert_eq!(tokens.language("su"), Some(50_357));
        assert_eq!((tokens.language("yue"), tokens.language("xx")), (None, None));
        assert!(tokens.silent.contains(&u32::from(b'(')) && !tokens.silent.contains(&u32::from(b'%')));
        assert_eq!(tokens.of("a签约"), [97, 256]);
        assert!(Tokens::new(Vec::new(), 900).is_err(), "no room for languages and times");
    }
}
