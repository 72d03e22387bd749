#!/usr/bin/env python3
"""Turns a terminal recording (`script -qec COMMAND FILE`) into an HTML page and prints its WIDTH,HEIGHT in px.

Usage: ansi_to_html.py RECORDING PAGE FIRST_LINE LAST_LINE. Called by ansi_to_png.sh. Knows colours, weight and
a line that is rewritten; other escape sequences are dropped. Each wide character gets exactly two columns.
"""

import html
import re
import sys
import unicodedata

ROW_PX, COLUMN_PX, MARGIN_PX = 20, 8.43, 18
COLOURS = ["#3b4048", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf"]
STYLE = """
body { margin: 0; padding: %dpx; background: #1e2127; color: #d7dae0; font: 14px/%dpx "DejaVu Sans Mono",
       "Noto Sans CJK SC", monospace; }
div { white-space: pre; height: %dpx; }
i { display: inline-block; width: 2ch; font-style: normal; text-align: center; }
b { font-weight: bold; }
""" % (MARGIN_PX, ROW_PX, ROW_PX)


def columns(character):
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def lines_of(recording):
    """Lines of (character, style) as they stand at the end."""
    lines, line, style = [], [], {}
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b.|.|\n", recording):
        if token == "\n":
            lines.append(line)
            line = []
        elif token.endswith("K") and token.startswith("\x1b["):
            line = []
        elif token.endswith("m") and token.startswith("\x1b["):
            for code in [int(code or 0) for code in token[2:-1].split(";")]:
                if code == 0:
                    style = {}
                elif code == 1:
                    style = style | {"font-weight": "bold"}
                elif code == 2:
                    style = style | {"opacity": "0.55"}
                elif code == 4:
                    style = style | {"text-decoration": "underline"}
                elif 30 <= code <= 37 or 90 <= code <= 97:
                    style = style | {"color": COLOURS[code % 10]}
        elif token >= " " and not token.startswith("\x1b"):
            line.append((token, style))
    return lines + [line]


def row(line):
    parts = []
    for character, style in line:
        text = html.escape(character)
        if columns(character) == 2:
            text = f"<i>{text}</i>"
        css = "; ".join(f"{key}: {value}" for key, value in style.items())
        parts.append(f'<span style="{css}">{text}</span>' if css else text)
    return f"<div>{''.join(parts)}</div>"


def main():
    recording, page, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with open(recording, encoding="utf-8", errors="replace", newline="") as file:
        text = file.read()
    lines = lines_of(text)
    # `script` frames the recording with two lines of its own.
    lines = [line for line in lines if not "".join(c for c, _ in line).startswith("Script ")][first - 1:last]
    with open(page, "w", encoding="utf-8") as file:
        file.write(f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>" + "".join(map(row, lines)))
    widest = max((sum(columns(c) for c, _ in line) for line in lines), default=1)
    print(f"{round(widest * COLUMN_PX + 2 * MARGIN_PX)},{len(lines) * ROW_PX + 2 * MARGIN_PX}")


if __name__ == "__main__":
    main()
