# One command for each habit; `make` alone lists them. The tools come from scripts/setup, their places from scripts/env.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.SHELLFLAGS := -eu -c

# Every recipe that uses a tool starts with this.
IN := . scripts/env;

# One feature set for everything native: another one would compile the whole tree again.
SERVER := --features ssr
BROWSER := --features hydrate --target wasm32-unknown-unknown --lib

# Warnings fail with the compiler the project is checked with. A newer one, such as Debian's, knows lints that nobody has
# seen yet: it shows them and goes on.
STRICT = $$(rustc --version | grep -q ' 1\.95\.' && echo '-D warnings')

## Running

.PHONY: run dev build
# exec, so that a signal to make reaches the script, which then ends what it started.
run: ## Build and start Drover, with a throw-away Redis and a demo shop when no store is configured
	@exec scripts/run

dev: ## The same from a debug build, rebuilt and reloaded on every change
	@exec scripts/run --watch

build: ## The release binary: target/release/drover, with the page's files inside
	@$(IN) LEPTOS_HASH_FILES=true cargo leptos build --release --precompress

## Checking

.PHONY: test check fmt fmt-check clippy doc deny advisories unit integration kills e2e references wasm-size bench bench-browser
# What fails soonest comes first; what needs the release build comes last. That build uses the processor while the integration tests
# wait for their servers.
test: ## Everything that must hold: style, lints, docs, licences, all tests, the size budget
	@exec scripts/steps test setup fmt-check deny clippy doc unit integration+build wasm-size e2e

check: ## The quick part of it, for while you work: style, lints, unit tests
	@exec scripts/steps check fmt-check clippy unit

fmt: ## Format the Rust code
	@$(IN) cargo fmt

fmt-check: ## Is the Rust code formatted?
	@$(IN) cargo fmt --check

clippy: ## Lint the server's half and the browser's half
	@$(IN) cargo clippy $(SERVER) --all-targets -- $(STRICT)
	@$(IN) cargo clippy $(BROWSER) -- $(STRICT)

doc: ## Build the code's documentation, private items included
	@$(IN) RUSTDOCFLAGS="$(STRICT)" cargo doc $(SERVER) --lib --no-deps --document-private-items

# cargo-deny reads the manifests of all platforms' dependencies; what a build did not need of them is fetched first.
deny: ## Licences, sources and duplicates of the dependencies
	@$(IN) cargo fetch --locked --quiet; cargo deny --offline check bans licenses sources

advisories: ## Known vulnerabilities of the dependencies; fetches the advisory database
	@$(IN) cargo deny check advisories

unit: ## The tests beside the code
	@$(IN) cargo nextest run $(SERVER) --lib --bins $(ARGS)

integration: ## The tests against real servers and the systems' own libraries
	@$(IN) cargo nextest run $(SERVER) --test it $(ARGS)

# A run of all tests kills fewer times.
kills: ## Kill Drover 200 times and Postgres 20 times while each archives 20,000 jobs
	@$(IN) PROCESS_KILLS=200 PROCESS_KILLS_JOBS=20000 POSTGRES_KILLS=20 POSTGRES_KILLS_JOBS=20000 \
		cargo nextest run $(SERVER) --profile kills --no-capture --test it again_and_again $(ARGS)

e2e: ## The tests in a real browser; needs `make build`
	@$(IN) test -x target/release/drover || { echo "e2e: no target/release/drover; run 'make build'" >&2; exit 1; }; \
		node end2end/run.mjs $(ARGS)

# The pictures depend on the browser and its fonts: end2end/references/about.json says which they were taken with.
references: ## Take the reference pictures of all pages anew; look at what git says has changed
	@$(IN) E2E_REFERENCES=renew node end2end/run.mjs screenshots

wasm-size: ## What the browser fetches, against its budget; needs `make build`
	@scripts/wasm-size

bench: ## Measure against the budgets; ARGS go to the benchmark
	@$(IN) cargo bench $(SERVER) --bench end_to_end -- $(ARGS)

bench-browser: ## Measure how long the browser is busy; needs `make build`
	@$(IN) node benches/fluid.mjs; node benches/watch.mjs

## Housekeeping

.PHONY: setup clean help
setup: ## Install what is missing
	@scripts/setup

clean: ## Remove everything that was built; installed tools stay
	@$(IN) cargo clean
	@rm -rf .tools/build end2end/results

help:
	@awk -F ':.*## ' '/^## / { printf "\n%s\n", substr($$0, 4) } /^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))
	@echo
