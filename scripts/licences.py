#!/usr/bin/env python3
"""Fails when a crate in Cargo.lock, or a model, may not be used under a permissive or file-level licence.

Reads `cargo metadata` (every platform, dev-dependencies too) and the manifests in models/, and evaluates each
SPDX expression: one side of an OR must be allowed, both sides of an AND. No GPL of any kind is on the list.
Part of `make lint`.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import tomllib

ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CC0-1.0", "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "OpenSSL", "Unicode-3.0",
    "Unicode-DFS-2016", "Unlicense", "Zlib",
}


def allowed(expression):
    """Whether an SPDX expression can be satisfied with licences from the list."""
    # Older crates write `MIT/Apache-2.0` for OR.
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    tokens.reverse()

    def any_of():
        result = all_of()
        while tokens and tokens[-1] == "OR":
            tokens.pop()
            right = all_of()
            result = result or right
        return result

    def all_of():
        result = one()
        while tokens and tokens[-1] == "AND":
            tokens.pop()
            right = one()
            result = result and right
        return result

    def one():
        token = tokens.pop()
        if token == "(":
            result = any_of()
            tokens.pop()
            return result
        if tokens and tokens[-1] == "WITH":
            tokens.pop()
            token += " WITH " + tokens.pop()
        return token in ALLOWED

    return any_of() and not tokens


def crates():
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    for package in metadata["packages"]:
        yield f"crate {package['name']} {package['version']}", package["license"]


def models():
    for path in sorted(pathlib.Path(__file__).parent.parent.glob("models/*.toml")):
        yield f"model {path.stem}", tomllib.loads(path.read_text(encoding="utf-8")).get("licence")


def main():
    counts, refused = collections.Counter(), []
    for name, licence in [*crates(), *models()]:
        licence = licence or "none declared"
        counts[licence] += 1
        if not allowed(licence):
            refused.append(f"{name}: {licence}")
    if refused:
        print("licences outside the list in scripts/licences.py:", *sorted(refused), sep="\n  ", file=sys.stderr)
        return 1
    print(f"licences: {counts.total()} crates and models under {len(counts)} allowed expressions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
