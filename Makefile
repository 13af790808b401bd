# `make` lists the targets. Versions of tools stand here and nowhere else.
GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.9.0

# How long `make fuzz` stays with each fuzz target.
FUZZTIME ?= 10s
# What the programs call themselves.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

# Tools that are not on PATH at their version are built once, outside the tree.
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sidestream/tools
GOLANGCI_LINT = $(shell test "v$$(golangci-lint version --short 2>/dev/null)" = $(GOLANGCI_LINT_VERSION) \
	&& command -v golangci-lint || echo $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION))
GOVULNCHECK := $(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION)

# SQLite needs cgo; these tags keep what would load code at run time out of a
# static binary.
STATIC_TAGS := sqlite_omit_load_extension,netgo,osusergo

# The packages that hold a function whose name begins with $(1), from their tests.
with = $(sort $(foreach f,$(shell git grep --untracked -lE '^func $(1)' -- '*_test.go'),./$(dir $(f))))

.DEFAULT_GOAL := help
.PHONY: help build build-static test test-race lint fmt vet vuln fuzz bench demo show-core show-changes show-simulation show-faults chaos show-chaos check

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build both programs into bin/
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/ ./cmd/writer ./cmd/replicator

build-static: ## the same, without any shared library (for images)
	CGO_ENABLED=1 go build -trimpath -tags $(STATIC_TAGS) \
		-ldflags '-s -w -linkmode external -extldflags -static -X main.version=$(VERSION)' \
		-o bin/ ./cmd/writer ./cmd/replicator

test: ## run the tests
	go test ./...

test-race: ## run the tests with the race detector, in random order
	go test -race -shuffle=on ./...

lint: $(GOLANGCI_LINT) ## run the linters of .golangci.yml
	$(GOLANGCI_LINT) run ./...

fmt: $(GOLANGCI_LINT) ## format the Go files
	$(GOLANGCI_LINT) fmt ./...

vet: ## run go vet
	go vet ./...

vuln: $(GOVULNCHECK) ## look for known vulnerabilities (needs the network)
	$(GOVULNCHECK) ./...

fuzz: ## run each fuzz target for FUZZTIME
	@set -e; for package in $(call with,Fuzz); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "== $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem $(or $(call with,Benchmark),./mapping)

demo: ## both programs, a simulated Instagram and an embedded server
	go run ./cmd/demo

show-core: ## show what the core promises, one proof after the other
	go run ./cmd/demo --for 10s
	go test -count=1 -v -run TestShowCore ./internal/e2e

show-changes: ## show that edits, unsends and erasures end the same in every order
	go test -count=1 -v -run TestShowChanges ./internal/e2e

# Which histories; 0 draws others each time.
HISTORIES ?= 0

show-simulation: ## play ten thousand histories, and print what happened how often
	go test -count=1 -v -run '^TestSimulation$$' ./internal/simulation -rapid.checks=10000 -rapid.seed=$(HISTORIES)

# The tests that docs/GUARANTEES.md names, but for those that are asked for more
# than every day, and where they are.
FAULTS = $(shell grep -o '`Test[A-Za-z_0-9]*' docs/GUARANTEES.md | tr -d '`' | grep -v '^TestShow' | sort -u | paste -s -d '|')
FAULT_PACKAGES = $(shell grep -o '\.\./[a-z0-9/]*/[a-z_]*_test\.go' docs/GUARANTEES.md | sed 's,^\.\./,./,; s,/[^/]*$$,,' | grep -v planted | sort -u)

show-faults: ## run what docs/GUARANTEES.md names, and print each row with its result
	@results=$$(mktemp); trap 'rm -f "$$results"' EXIT; \
	{ go test -count=1 -v -timeout 40m -p 1 -run '^($(FAULTS))$$' $(FAULT_PACKAGES); \
	go test -count=1 -v -timeout 20m -run 'TestShowCore' ./internal/e2e; \
	SIDESTREAM_CUTS=10000 go test -count=1 -v -timeout 40m -run 'TestShowCuts' ./internal/e2e; \
	go test -count=1 -v -timeout 20m -run 'TestShowOutage|TestShowCrashMatrix|TestShowGalera' ./internal/e2e; \
	go test -tags planted -count=1 -v -timeout 30m -run '^TestShowPlanted$$' ./internal/planted; } \
		2>&1 | tee "$$results" | awk -f internal/e2e/numbers.awk; \
	awk -f internal/e2e/faults.awk "$$results" docs/GUARANTEES.md

# A storm: which faults, and for how long.
SEED ?= 1
DURATION ?= 120s
CHAOS := go test -tags chaos -count=1 -v -timeout 0 -run '^TestChaos$$' ./internal/chaos

chaos: ## everything breaks at random for DURATION, by SEED; then every message is looked for
	SIDESTREAM_CHAOS_SEED=$(SEED) SIDESTREAM_CHAOS_DURATION=$(DURATION) $(CHAOS)

# One line per machine of docs/PROOF.md.
show-chaos: ## prove it by storm: kills at every point, histories, a cluster, chaos, planted bugs
	SIDESTREAM_CRASHES=20 go test -count=1 -v -timeout 30m -run '^TestShowCrashMatrix$$' ./internal/e2e
	go test -tags planted -count=1 -v -timeout 30m -run '^TestShowCrashBugs$$' ./internal/e2e
	SIDESTREAM_GALERA_KILLS=20 go test -count=1 -v -timeout 40m -run '^TestShowGalera$$' ./internal/e2e
	for seed in 1 2 3 4 5 6 7 8 9 10; do SIDESTREAM_CHAOS_SEED=$$seed SIDESTREAM_CHAOS_DURATION=60s $(CHAOS) || exit 1; done
	$(MAKE) --no-print-directory show-simulation
	go test -count=1 -v -timeout 20m -run '^TestSimulation_on_a_server$$' ./internal/simulation -rapid.checks=300
	go test -count=1 -v -run TestModel ./internal/model
	go test -tags planted -count=1 -v -timeout 60m -run TestShowPlantedStorm ./internal/planted

check: ## everything that CI runs
	./.ci/run

$(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(TOOLS)/golangci-lint $@

$(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION):
	GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	mv $(TOOLS)/govulncheck $@

# Where base images cannot be pulled, SIDESTREAM_BASE_IMAGES may name a script
# that provides them; it is run where one is missing.
CONTAINER_TEST := go test -tags container -count=1 -timeout 45m -parallel 3 -v

.PHONY: images manifest-test container-test show-sidecar

images: ## build the images of writer, replicator and demo
	@set -e; for target in writer replicator demo; do \
		docker build --target $$target --tag sidestream/$$target:$(VERSION) --build-arg VERSION=$(VERSION) \
			--build-arg REVISION=$$(git rev-parse HEAD) $(if $(GOPROXY),--build-arg GOPROXY=$(GOPROXY)) .; \
	done

manifest-test: ## read the Kubernetes manifest and the compose file strictly
	cd deploy/test && go vet ./... && go test -count=1 ./...

container-test: ## run both programs in containers (needs a Docker engine)
	$(CONTAINER_TEST) -skip '^TestShow' ./internal/containertest

show-sidecar: ## show what holds in containers, with the numbers
	@{ $(CONTAINER_TEST) ./internal/containertest; cd deploy/test && go test -count=1 -v ./...; } 2>&1 | awk -f internal/containertest/proven.awk
