#!/usr/bin/env bash
# Turns a terminal recording into a picture:
#   script -qec "make demo" demo.typescript
#   scripts/ansi_to_png.sh demo.typescript docs/demo.png [FIRST_LINE [LAST_LINE]]
# Needs python3, chromium and a Chinese font (scripts/setup.sh browser installs the last two).
set -euo pipefail

if [ $# -lt 2 ]; then
    sed -n '2,5s/^# //p' "$0" >&2
    exit 2
fi
page=$(mktemp --suffix .html)
trap 'rm -f "$page"' EXIT

size=$(python3 "$(dirname "$0")/ansi_to_html.py" "$1" "$page" "${3:-1}" "${4:-100000}")
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=2 \
    --window-size="$size" --screenshot="$2" "file://$page" 2>/dev/null
echo "$2: $size"
