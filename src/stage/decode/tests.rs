use super::*;

fn wav(samples: &[i16], rate_hz: u32, channels: u16) -> Vec<u8> {
    let data = samples.len() as u32 * 2;
    let mut out = Vec::new();
    out.extend(b"RIFF");
    out.extend((36 + data).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(16_u32.to_le_bytes());
    out.extend(1_u16.to_le_bytes());
    out.extend(channels.to_le_bytes());
    out.extend(rate_hz.to_le_bytes());
    out.extend((rate_hz * u32::from(channels) * 2).to_le_bytes());
    out.extend((channels * 2).to_le_bytes());
    out.extend(16_u16.to_le_bytes());
    out.extend(b"data");
    out.extend(data.to_le_bytes());
    out.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
    out
}

fn decode(data: Vec<u8>) -> Result<(Decoded, Vec<f32>)> {
    let mut samples = Vec::new();
    let decoded = bytes(&DecodeConfig::default(), data, &mut |block| {
        samples.extend(block.samples);
        true
    })?;
    Ok((decoded, samples))
}

#[test]
fn reads_wav() {
    let (decoded, samples) = decode(wav(&[0, 16_384, -16_384, 0].repeat(4_000), 16_000, 1)).unwrap();
    assert_eq!(decoded.duration_ms, Millis(1_000));
    assert_eq!(samples.len(), 16_000);
    assert!((samples[1] - 0.5).abs() < 1e-4);
}

#[test]
fn names_what_it_cannot_read() {
    for junk in [b"hello, I am a text file renamed .wav\n".repeat(40), vec![0; 4_000], vec![7]] {
        let error = decode(junk).unwrap_err();
        assert_eq!(error.code, Code::AudioUnreadable);
        assert!(error.detail.contains("WAV, FLAC"), "{error}");
    }
}

#[test]
fn a_duration_bomb_is_cut_off() {
    let config = DecodeConfig { max_minutes: 1 };
    let error = bytes(&config, wav(&vec![0; 8_000 * 61], 8_000, 1), &mut |_| true).unwrap_err();
    assert_eq!(error.code, Code::AudioTooLong);
}

/// Feeds a stream in small chunks from another thread, as a socket would.
fn stream(format: AudioFormat, data: Vec<u8>, chunk: usize) -> Result<(Decoded, Vec<f32>)> {
    let (sender, source) = Growing::channel(4);
    let feeder = std::thread::spawn(move || {
        for piece in data.chunks(chunk) {
            if sender.blocking_send(piece.to_vec()).is_err() {
                break;
            }
        }
    });
    let mut samples = Vec::new();
    let decoded = Decode::new(&DecodeConfig::default()).stream(format, source, &mut |block| {
        samples.extend(block.samples);
        true
    });
    feeder.join().unwrap();
    Ok((decoded?, samples))
}

const CONTAINER: AudioFormat =
    AudioFormat { encoding: Encoding::Container, sample_rate: 16_000, channels: 1 };

#[test]
fn a_growing_container_gives_what_the_file_gives() {
    let file = wav(&(0..20_000).map(|n| (n % 300) as i16).collect::<Vec<_>>(), 16_000, 1);
    let (_, whole) = decode(file.clone()).unwrap();
    let (_, grown) = stream(CONTAINER, file, 777).unwrap();
    assert_eq!(whole, grown);
}

#[test]
fn raw_samples_may_be_cut_anywhere() {
    let format = AudioFormat { encoding: Encoding::PcmS16le, sample_rate: 8_000, channels: 2 };
    let samples: Vec<i16> = (0..8_000).map(|n| n as i16).collect();
    let data: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    let (decoded, out) = stream(format, data, 333).unwrap();
    assert_eq!(decoded.duration_ms, Millis(500));
    assert_eq!(out.len(), 8_000);
    assert!((out[7_999] - 7_999.0 / 32_768.0).abs() < 1e-6);
}

#[test]
fn every_cut_of_a_file_ends_quietly() {
    let file = wav(&vec![1_000; 3_000], 16_000, 1);
    for percent in 0..100 {
        let cut = file[..file.len() * percent / 100].to_vec();
        // Either some audio or a named error; never a panic, never a hang.
        if let Err(e) = decode(cut) {
            assert!(matches!(e.code, Code::AudioUnreadable | Code::AudioEmpty), "{percent} %: {e}");
        }
    }
}

const FORMATS: [&str; 8] = [
    "speech.flac",
    "speech.mp3",
    "speech.m4a",
    "speech-faststart.m4a",
    "speech-vorbis.ogg",
    "speech-opus.ogg",
    "speech.webm",
    "speech-live.webm",
];

fn format(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats").join(name)).unwrap()
}

#[test]
fn every_format_is_read_whole() {
    for name in FORMATS {
        let (decoded, samples) = decode(format(name)).unwrap();
        assert!(decoded.duration_ms.0.abs_diff(3_000) <= 100, "{name}: {:?}", decoded.duration_ms);
        assert!(decoded.broken.is_empty(), "{name}: {:?}", decoded.broken);
        let loudest = samples.iter().fold(0.0_f32, |m, s| m.max(s.abs()));
        assert!(loudest > 0.1, "{name} is silent");
    }
}

#[test]
fn every_format_may_grow_while_it_is_read() {
    for name in FORMATS {
        let (_, whole) = decode(format(name)).unwrap();
        let (_, grown) = stream(CONTAINER, format(name), 1_000).unwrap();
        assert_eq!(grown.len(), whole.len(), "{name}");
    }
}

#[test]
fn every_format_may_be_cut_anywhere() {
    for name in FORMATS {
        let file = format(name);
        for percent in (0..100).step_by(7) {
            // Some audio or a named error; never a panic, never a hang.
            if let Err(e) = decode(file[..file.len() * percent / 100].to_vec()) {
                assert!(
                    matches!(e.code, Code::AudioUnreadable | Code::AudioEmpty),
                    "{name} {percent} %: {e}"
                );
            }
        }
    }
}
