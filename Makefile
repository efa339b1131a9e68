# Two commands matter: `make demo` shows the gateway, `make test` runs every check.
# Both work on a fresh machine with the Rust toolchain, gcc and make; see `make tools`.

SHELL       := /bin/bash
.DEFAULT_GOAL := help

CARGO       ?= cargo
SCALE       ?= small
# What acceptance runs write lives here; it is kept, so that a run can be resumed.
ACCEPT_DIR  ?= .accept
# Executions of each fuzz target, and seconds of one call; calls add up.
RUNS        ?= 10000000
FUZZ_SECONDS ?= 1200
FAST        := target/fast

# One folder for everything that is built, whatever the caller's environment says.
export CARGO_TARGET_DIR := $(CURDIR)/target

.PHONY: help demo test fmt clippy unit halted docs doctests gate figures bench deny advisories accept-observe accept-control accept-ledger accept-bundles accept-hostile accept-performance peers release faults fuzz fast tools tools-build

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: fast ## build and watch the gateway govern synthetic traffic for 20 s
	$(FAST)/tidegate demo --for 20s

test: tools-build ## every check, one command, the same here and in CI
	@.ci/test

fmt: ## formatting
	$(CARGO) fmt --all --check

clippy: tools-build ## lints, warnings are errors
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

unit: tools-build ## unit and integration tests, with their count
	@.ci/unit

halted: tools-build ## the tests while all processes stand still now and then; what fails here counts on time
	.ci/halted $(CARGO) nextest run --locked --workspace --no-fail-fast

docs: tools-build ## API documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items --lib --examples --bin bare-pingora

doctests: tools-build ## examples in documentation
	$(CARGO) test --locked --doc -p tidegate

gate: tools-build ## instruction counts of the decision path against their ceilings
	@.ci/gate

figures: tools-build ## times of the decision path beside their goals, in a minute
	@.ci/figures

bench: tools-build ## every benchmark, with its figures
	$(CARGO) bench --locked --profile fast -p tidegate --bench '*'

deny: ## licences, bans and sources of the dependency tree
	@.ci/deny licenses bans sources

advisories: ## known vulnerabilities; says so when the database cannot be had
	@.ci/deny advisories

accept-observe: fast ## the acceptance list of observation; SCALE=small or full
	$(FAST)/loadtest accept observe --scale $(SCALE) --state $(ACCEPT_DIR)/$(SCALE)

accept-control: fast ## the acceptance list of control; SCALE=small or full
	$(FAST)/loadtest accept control --scale $(SCALE) --state $(ACCEPT_DIR)/control-$(SCALE)

accept-ledger: fast ## the acceptance list of the ledger; SCALE=small or full
	$(FAST)/loadtest accept ledger --scale $(SCALE) --state $(ACCEPT_DIR)/ledger-$(SCALE)

accept-bundles: fast ## the acceptance list of bundles; SCALE=small or full
	$(FAST)/loadtest accept bundles --scale $(SCALE) --state $(ACCEPT_DIR)/bundles-$(SCALE)

accept-hostile: fast ## the acceptance list of hostile input; SCALE=small or full
	$(FAST)/loadtest accept hostile --scale $(SCALE) --state $(ACCEPT_DIR)/hostile-$(SCALE)

# What is shipped is what is compared: at full scale the release build.
accept-performance: $(if $(filter full,$(SCALE)),release,fast) ## the acceptance list of performance; SCALE=small or full
	target/$(if $(filter full,$(SCALE)),release,fast)/loadtest accept performance --scale $(SCALE) --state $(ACCEPT_DIR)/performance-$(SCALE)

peers: release ## the gateway beside nginx, HAProxy and a bare proxy, about 10 minutes
	target/release/loadtest peers --state .peers/$(shell git rev-parse --short HEAD) --again

release: tools-build ## what is shipped: linked as a whole, which takes minutes
	$(CARGO) build --locked --release -p tidegate --bin tidegate -p loadtest --bin bare-pingora --bin loadtest

faults: fast ## each fault done to a gateway; prints survived N / tried M
	$(FAST)/loadtest faults --scale $(SCALE) --state $(ACCEPT_DIR)/faults-$(SCALE)

fuzz: fast ## fuzz targets until each has RUNS executions; resumable
	$(FAST)/loadtest fuzz --runs $(RUNS) --seconds $(FUZZ_SECONDS) --state $(ACCEPT_DIR)/hostile-full/fuzz --page docs/acceptance/fuzz.md

# Examples need the development dependencies, and with them shared crates get other features.
# Built in one go, binaries, gate and benchmarks share everything; apart, Pingora is built twice.
# The examples in `docs` are there for the same reason: clippy has checked the same crates.
fast: tools-build ## optimised binaries that build quickly
	$(CARGO) build --locked --workspace --profile fast --bins --examples

tools-build:
	@.ci/tools cmake cc

tools: ## install what builds, acceptance and gates use
	@.ci/tools cmake cc c++ jq curl nginx valgrind promtool strace openssl haproxy h2load wrk
