# Short names for `cargo xtask`; what each does is written there.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench build fuzz linker
SHELL := /bin/bash
# Cargo's own place, for shells that do not have it on their path.
export PATH := $(PATH):$(HOME)/.cargo/bin

help: ## these lines
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: linker ## a Python, a Node and a Rust function: cold, warm, frozen, gone
	@cargo xtask demo

test: linker ## installs what the tests need, then runs all of them
	@cargo xtask test

check: linker ## what must hold before a push: fmt, tidy, deps, clippy, doc, deny
	@cargo xtask check

bench: linker ## what Dormouse costs on this machine, and which goals that meets
	@cargo xtask bench

build: linker ## the release binary: one static file where musl is there
	@cargo xtask build

fuzz: linker ## each fuzz target for a minute
	@cargo xtask fuzz

# Rust links with the machine's C compiler, and some Debian images have none.
linker:
	@command -v cc >/dev/null || { echo "missing: a C compiler (cc), needed to link Rust programs"; \
	  { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -y -q --no-install-recommends build-essential; } \
	  || { echo "install it with: sudo apt-get install build-essential"; exit 1; }; }
