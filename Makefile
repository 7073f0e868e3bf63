# Usher. `make` lists what can be made; every target works from a fresh clone.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TOOLS     := .cache/bin
PEERS     := .cache/peers
BUF       := go tool -modfile=tools/go.mod buf
PACKAGES  ?= ./...
# Two packages at a time: some start a broker and a warehouse of their own.
TESTFLAGS ?= -p 2 -timeout 15m
FUZZTIME  ?= 20s
BENCHTIME ?= 0.5s

##@ Use it

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-zA-Z0-9_-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build, start everything, replay the incidents, keep serving until Ctrl-C
	@exec bin/usher demo incidents $(ARGS)

.PHONY: build
build: engine compile ## bin/usher and the engine that it runs when nothing else is installed

.PHONY: compile
compile: ## bin/usher alone; the version is the tag or commit it is built from
	@go build -trimpath -buildvcs=auto -o bin/usher ./cmd/usher

.PHONY: engine
engine: deploy/engine/node_modules/.package-lock.json ## fetch the embedded ClickHouse engine with npm

deploy/engine/node_modules/.package-lock.json: deploy/engine/package-lock.json
	@echo "fetching the ClickHouse engine (once)"
	@npm ci --prefix deploy/engine --no-audit --no-fund --loglevel=error
	@touch $@

##@ Prove it

.PHONY: test
test: ## everything that proves the product, with a summary; no test is skipped
	@deploy/ci/prove.sh setup build gotest modtest contract checkgenerate lint

.PHONY: setup
setup: ## install what a bare machine lacks (Java and Maven for a real Kafka broker, redis-server)
	@deploy/ci/setup.sh

.PHONY: gotest
gotest: engine ## every Go test: laws, units, real engines, end to end
	@go test $(TESTFLAGS) $(PACKAGES)

.PHONY: arch
arch: ## only the laws of the house
	@go test -count=1 ./internal/arch/...

.PHONY: e2e
e2e: build ## only the end-to-end tests on the binary
	@go test -count=1 -timeout 15m ./cmd/usher/...

.PHONY: modtest
modtest: build ## the nested modules: deployment files are valid, the API is described, peers agree on every decision
	@cd tools/deploycheck && PROGRAM=$(CURDIR)/bin/usher go test -count=1 ./...
	@cd tools/openapi && go vet ./... && go test -count=1 ./...
	@cd bench/peers && go vet ./... && go test -count=1 -timeout 5m ./...

.PHONY: race
race: engine ## every Go test under the race detector (needs a C compiler)
	@go test -race $(TESTFLAGS) $(PACKAGES)

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## golangci-lint with the set of .golangci.yml
	@$(TOOLS)/golangci-lint run $(PACKAGES)

.PHONY: contract
contract: ## the protobuf contract: lint, and no breaking change since the previous state
	@$(BUF) lint
	@deploy/ci/breaking.sh $(BUF)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (20s)
	@for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

.PHONY: bench
bench: build peers ## our own benchmarks, then one table of ratios against others
	@go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./model/... ./decision/... ./pipeline/event/... | { grep -E '^(Benchmark|pkg:)' || true; }
	@cd bench/peers && go run . -usher $(CURDIR)/bin/usher -python $(CURDIR)/$(PEERS)/bin/python $(ARGS)

.PHONY: eval
eval: build peers ## how well it learns, beside the references: tables, docs/learning-results.md and figures (about ten minutes)
	@go run ./cmd/learneval $(ARGS)
	@cd bench/peers && go run . -only refit,scoring -python $(CURDIR)/$(PEERS)/bin/python

.PHONY: peers
peers: $(PEERS)/.made ## Vowpal Wabbit and scikit-learn for bench and eval, in .cache/peers; left out where there is no Python

$(PEERS)/.made: bench/peers/learners/requirements.txt
	@if python3 -m venv $(PEERS) && $(PEERS)/bin/pip install -q --disable-pip-version-check -r $<; then touch $@; \
	else rm -rf $(PEERS); echo "peers: left out, since Python or its package index is not to be had here"; fi

##@ Change it

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint ## gofumpt and goimports
	@$(TOOLS)/golangci-lint fmt
	@$(BUF) format -w proto --path proto/usher

.PHONY: generate
generate: ## Go code and OpenAPI from the contract
	@deploy/ci/generate.sh . $(BUF)

.PHONY: checkgenerate
checkgenerate: ## fail when generated files are not what generate makes
	@deploy/ci/checkgenerate.sh $(BUF)

.PHONY: clean
clean: ## remove what was built; data folders stay
	@rm -rf bin .cache deploy/engine/node_modules report*.json

$(TOOLS)/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	@echo "building golangci-lint (once, about two minutes)"
	@go build -C tools/lint -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
