"""faster-whisper beside ours in `visitscribe eval`: prints [{"start", "end", "text"}] of one sound file.

    pip install faster-whisper
    FASTER_WHISPER_MODEL=FOLDER python3 with_faster_whisper.py VISIT.ogg

FOLDER holds the converted weights (`ct2-transformers-converter --quantization int8`, or a published conversion):
model.bin, config.json, tokenizer.json, vocabulary.json. Nothing is downloaded.
"""

import json
import os
import sys


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("give one sound file")
    folder = os.environ.get("FASTER_WHISPER_MODEL", "")
    if not os.path.isfile(os.path.join(folder, "model.bin")):
        sys.exit("FASTER_WHISPER_MODEL names no folder with a model.bin in it")
    from faster_whisper import WhisperModel

    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=os.cpu_count() or 1)
    segments, _ = model.transcribe(sys.argv[1], language="zh", beam_size=5, vad_filter=True)
    heard = [{"start": s.start, "end": s.end, "text": s.text} for s in segments]
    json.dump(heard, sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main()
