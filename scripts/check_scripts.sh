#!/usr/bin/env bash
# Parses every shell and python file in the tree without running any of it. Part of `make lint`.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t shell < <(git ls-files '*.sh' .ci/run)
mapfile -t python < <(git ls-files '*.py')
for file in "${shell[@]}"; do
    bash -n "$file"
done
python3 - "${python[@]}" <<'PY'
import ast, pathlib, sys
for name in sys.argv[1:]:
    ast.parse(pathlib.Path(name).read_text(encoding="utf-8"), name)
PY
echo "scripts: ${#shell[@]} shell and ${#python[@]} python files parse"
