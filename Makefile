# visitscribe: `make` lists what there is. Every target sets up what it lacks, says so, and costs seconds
# when there is nothing to do. One build profile (release) serves all of them, and demo, tests and benches
# are built together, so that the dependencies are compiled once.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint setup setup-lint setup-test setup-instructions build models bench instructions fmt clean

# rustup adds itself to the PATH of the next login only.
export PATH := $(PATH):$(HOME)/.cargo/bin

CARGO ?= cargo
BIN := target/release/visitscribe
DEMO_ARGS ?=

help: ## this list
	@echo "visitscribe: a consented sales visit's sound in, a confirmed card and a signed webhook out"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  First time: make demo (compiles for some minutes and fetches about 250 MB once)."
	@echo "  The demo at the speed of speech: make demo DEMO_ARGS='--speed 1'"

demo: build models ## a shipped visit live through the real service, to a confirmed card and a verified webhook
	@target/release/examples/demo $(DEMO_ARGS)

test: setup-test build models ## all tests, fast ones first
	$(CARGO) test --release --locked --lib --bins
	$(CARGO) test --release --locked --test '*'
	$(CARGO) bench --locked --bench instructions

lint: setup-lint ## format, clippy, licences of every dependency, syntax of the scripts; warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --release --all-targets --locked -- -D warnings
	python3 scripts/licences.py
	scripts/check_scripts.sh

setup: ## install what the build needs and this machine lacks (Debian packages; root only then)
	@scripts/setup.sh build

setup-lint:
	@scripts/setup.sh build lint

setup-test:
	@scripts/setup.sh build browser instructions

setup-instructions:
	@scripts/setup.sh build instructions

# The demo is built in the same breath: with it cargo picks the features of the tests for the shared
# dependencies, and nothing is compiled a second time later.
build: setup ## the release binary, target/release/visitscribe
	$(CARGO) build --release --locked --bins --examples

models: build ## fetch and check the models, into one folder outside this tree
	@$(BIN) models verify >/dev/null 2>&1 || scripts/setup.sh index
	@$(BIN) models fetch

bench: instructions models ## speed of each stage and of live visits, beside the last run (half an hour and more)
	$(CARGO) bench --locked --bench stages --bench live --bench end

instructions: setup-instructions ## instructions of the deterministic stages; RECORD=1 takes them as the baseline
	$(CARGO) bench --locked --bench instructions -- $(if $(RECORD),--record)

fmt: ## format the Rust code
	$(CARGO) fmt

clean: ## remove build results; fetched models stay
	$(CARGO) clean
