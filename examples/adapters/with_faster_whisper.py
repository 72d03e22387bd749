"""faster-whisper beside ours in `visitscribe eval`: prints [{"start", "end", "text"}] of one sound file.

    pip install faster-whisper
    FASTER_WHISPER_MODEL=FOLDER python3 with_faster_whisper.py VISIT.ogg [--beam 1] [--batch 8]

FOLDER holds the converted weights (`ct2-transformers-converter --quantization int8`, or a published conversion):
model.bin, config.json, tokenizer.json, vocabulary.json. Nothing is downloaded.
"""

import argparse
import json
import os
import sys


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("audio")
    ap.add_argument("--beam", type=int, default=5)
    ap.add_argument("--batch", type=int, default=0, help="windows at once; 0: one after the other")
    a = ap.parse_args()
    folder = os.environ.get("FASTER_WHISPER_MODEL", "")
    if not os.path.isfile(os.path.join(folder, "model.bin")):
        sys.exit("FASTER_WHISPER_MODEL names no folder with a model.bin in it")
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=os.cpu_count() or 1)
    asked = {"language": "zh", "beam_size": a.beam, "vad_filter": True}
    if a.batch:
        segments, _ = BatchedInferencePipeline(model).transcribe(a.audio, batch_size=a.batch, **asked)
    else:
        segments, _ = model.transcribe(a.audio, **asked)
    heard = [{"start": s.start, "end": s.end, "text": s.text} for s in segments]
    json.dump(heard, sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main()
