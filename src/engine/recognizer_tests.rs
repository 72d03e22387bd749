//! Both recognisers on real speech, on what is no speech, and on input that once crashed one of them.

use ferrous_opencc::OpenCC;
use ferrous_opencc::config::BuiltinConfig;

use super::onnx::OnnxWhisper;
use super::whisper::WhisperWeights;
use super::window::MAX_SAMPLES;
use super::*;
use crate::domain::audio::Samples;
use crate::engine::real;

const AISHELL: &str = "广州市房地产中介协会分析";
const DAMO: &str = "欢迎大家来体验达摩院推出的语音识别模型";

/// One on ONNX Runtime, one on whisper.cpp.
fn recognizers() -> [Box<dyn Recognizer>; 2] {
    let (_, path) = real::model("whisper-base");
    let onnx = OnnxWhisper::load(real::environment(), &path, 1).unwrap();
    [Box::new(onnx), Box::new(WhisperWeights::load(&path).unwrap().recognizer(1).unwrap())]
}

fn request(audio: Vec<f32>, window: EncoderWindow) -> RecognizeRequest {
    RecognizeRequest { audio, language: "zh".into(), beam: 1, window, ..RecognizeRequest::default() }
}

/// Edit distance over characters, as a share of the reference. Which script Whisper answers in is chance.
fn error_rate(heard: &str, reference: &str) -> f64 {
    let simplify = OpenCC::from_config(BuiltinConfig::T2s).unwrap();
    let heard = simplify.convert(heard);
    let reference: Vec<char> = reference.chars().collect();
    let mut row: Vec<usize> = (0..=reference.len()).collect();
    for (n, heard) in heard.chars().filter(|c| c.is_alphanumeric()).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], n + 1);
        for (m, expected) in reference.iter().enumerate() {
            let replaced = diagonal + usize::from(*expected != heard);
            diagonal = row[m + 1];
            row[m + 1] = replaced.min(row[m] + 1).min(diagonal + 1);
        }
    }
    row[reference.len()] as f64 / reference.len() as f64
}

#[test]
fn real_speech_is_recognised() {
    let clips = [("aishell.wav", AISHELL), ("damo.wav", DAMO)];
    let ways = [(EncoderWindow::Full, 1), (EncoderWindow::Trimmed, 1), (EncoderWindow::Trimmed, 5)];
    for mut recognizer in recognizers() {
        for ((file, reference), (window, beam)) in clips.iter().flat_map(|c| ways.map(|way| (*c, way))) {
            let audio = real::clip(file);
            let length = Samples(audio.len() as u64).to_millis();
            let pieces = recognizer.recognize(&RecognizeRequest { beam, ..request(audio, window) }).unwrap();
            let [piece] = pieces.as_slice() else { panic!("one piece without times, not {}", pieces.len()) };
            let rate = error_rate(&piece.text, reference);
            assert!(rate <= 0.4, "{file} {window:?} beam {beam}: {rate:.2} {}", piece.text);
            assert_eq!((piece.start_ms, piece.end_ms), (Millis(0), length));
            assert!((-1.0..0.0).contains(&piece.avg_logprob) && piece.no_speech_prob < 0.3, "{piece:?}");
            assert!(piece.tokens > 5 && !piece.text.contains(char::REPLACEMENT_CHARACTER));
        }
    }
}

#[test]
fn what_is_no_speech_says_so_and_is_not_the_prompt() {
    let prompt = Some("以下是普通话的句子，关于达摩院的语音识别。".to_owned());
    for mut recognizer in recognizers() {
        for audio in [vec![0.0; 32_000], real::noise(32_000, 0.01), real::noise(32_000, 0.1)] {
            let request =
                RecognizeRequest { prompt: prompt.clone(), ..request(audio, EncoderWindow::Trimmed) };
            for piece in recognizer.recognize(&request).unwrap() {
                assert!(piece.no_speech_prob > 0.6 && Some(&piece.text) != prompt.as_ref(), "{piece:?}");
            }
        }
    }
}

#[test]
fn a_reply_depends_on_its_request_alone() {
    let request = |beam| RecognizeRequest { beam, ..request(real::clip("damo.wav"), EncoderWindow::Trimmed) };
    for mut recognizer in recognizers() {
        let (first, greedy) = (recognizer.recognize(&request(5)), recognizer.recognize(&request(1)));
        assert_eq!(recognizer.recognize(&request(5)).unwrap(), first.unwrap());
        assert_eq!(recognizer.recognize(&request(1)).unwrap(), greedy.unwrap());
    }
}

#[test]
fn a_draft_changes_no_word_whatever_it_says() {
    let [mut recognizer, _] = recognizers();
    let mut heard = |audio: &[f32], draft: &Draft| {
        let request = request(audio.to_vec(), EncoderWindow::Trimmed);
        recognizer.recognize(&RecognizeRequest { draft: draft.clone(), ..request }).unwrap().remove(0)
    };
    let audio = real::clip("damo.wav");
    let alone = heard(&audio, &Draft::default());
    let (half, other, nonsense) = (Draft::default(), Draft::default(), Draft::default());
    heard(&audio[..audio.len() / 2], &half);
    heard(&real::clip("aishell.wav"), &other);
    nonsense.keep(&[50_000; 300]);
    for draft in [half, other, nonsense] {
        assert!(!draft.tokens().is_empty());
        let piece = heard(&audio, &draft);
        assert_eq!((&piece.text, piece.tokens), (&alone.text, alone.tokens));
        assert!((piece.avg_logprob - alone.avg_logprob).abs() < 1e-2, "{piece:?}");
        let again = draft.tokens();
        assert_eq!(heard(&audio, &draft).text, alone.text, "its own text as a draft");
        assert_eq!(draft.tokens(), again);
    }
}

#[test]
fn what_is_not_sure_enough_is_decoded_with_more_candidates() {
    let [mut recognizer, _] = recognizers();
    let mut heard = |beam, retry| {
        let request =
            RecognizeRequest { beam, retry, ..request(real::clip("damo.wav"), EncoderWindow::Trimmed) };
        recognizer.recognize(&request).unwrap()
    };
    let [greedy, wide] = [1, 5].map(|beam| heard(beam, None));
    assert_eq!(heard(1, Some(Retry { below: 0.0, beam: 5 })), wide);
    assert_eq!(heard(1, Some(Retry { below: -9.0, beam: 5 })), greedy);
}

#[test]
fn a_prompt_may_be_long_and_odd() {
    let prompt = Some("达摩院\0语音识别，".repeat(300));
    let request = RecognizeRequest { prompt, ..request(real::clip("damo.wav"), EncoderWindow::Trimmed) };
    for mut recognizer in recognizers() {
        assert_eq!(recognizer.recognize(&request).unwrap().len(), 1);
    }
}

#[test]
fn pieces_with_times_are_in_order_and_inside_the_audio() {
    let mut audio = real::clip("aishell.wav");
    audio.extend(vec![0.0; 16_000]);
    audio.extend(real::clip("damo.wav"));
    let end = Samples(audio.len() as u64).to_millis();
    let request = RecognizeRequest { timestamps: true, ..request(audio, EncoderWindow::Trimmed) };
    for mut recognizer in recognizers() {
        let pieces = recognizer.recognize(&request).unwrap();
        let mut earliest = Millis(0);
        for piece in &pieces {
            assert!(piece.start_ms >= earliest && piece.end_ms >= piece.start_ms && piece.end_ms <= end);
            earliest = piece.end_ms;
        }
        let text: String = pieces.iter().map(|p| p.text.as_str()).collect();
        assert!(error_rate(&text, &format!("{AISHELL}{DAMO}")) <= 0.4, "{text}");
    }
}

#[test]
fn odd_input_is_survived_or_refused() {
    for mut recognizer in recognizers() {
        for audio in [vec![], vec![0.5], vec![0.1; 200], vec![f32::NAN; 4_000], vec![f32::INFINITY; 20_000]] {
            recognizer.recognize(&request(audio, EncoderWindow::Trimmed)).unwrap();
        }
        let too_long = recognizer.recognize(&request(vec![0.0; MAX_SAMPLES + 1], EncoderWindow::Full));
        assert!(matches!(too_long, Err(EngineError::Input(_))));
        for language in ["xx", "", "auto", "z\0h"] {
            let request = RecognizeRequest {
                language: language.into(),
                ..request(vec![0.0; 9_000], EncoderWindow::Full)
            };
            assert!(matches!(recognizer.recognize(&request), Err(EngineError::Input(_))), "{language:?}");
        }
    }
}
