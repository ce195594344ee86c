# wedsync: "make" lists what can be made. Recipes stop at the first failure.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

GOLANGCI  := v2.15.0
GOFUMPT   := v0.12.0
GOVULN    := v1.9.0
KUSTOMIZE := v5.7.1
TEMPL      = $(shell go list -m -f '{{.Version}}' github.com/a-h/templ)

TOOLS := $(CURDIR)/.tools
JS    := loadtest/js
BIN   := bin/wedsync
COVER := coverage

FUZZTIME ?= 20s
BENCH    ?= .
COVERMIN ?= 90
# TESTFLAGS goes to go test, such as: make test TESTFLAGS='-run Timeline'
TESTFLAGS ?=
PKG       ?= ./...
ARGS      ?=

# Several nodes in one process: protoactor's remote sets gRPC's logger with each, which the race detector minds.
NORACE := ^(TestOneNodeBecomesThree|TestEmptyNodesMakeNoLogBesideAnother|TestNodesTellThatOneIsAway)$$
# The faults of the campaign that "make test" runs, about two minutes.
CHAOS := kill leader,kill owner,pause owner,cut off one,drain one,join

# The demo and the tests want a real ClickHouse: a server binary, or else the engine from npm.
HAVE_CLICKHOUSE := $(shell command -v clickhouse 2>/dev/null)
CHROMIUM        := /usr/bin/chromium
NFT             := /usr/sbin/nft

.PHONY: help
help: ## Show this list
	@echo 'Usage: make TARGET'
	echo
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	echo
	echo 'Settings: FUZZTIME=20s  BENCH=regexp  PKG=./some/package  TESTFLAGS="-run Name"  COVERMIN=90  ARGS="flags of run, demo and bench"'

# ---- what is needed ---------------------------------------------------------------------------

.PHONY: deps deps-go deps-js deps-browser deps-net deps-clickhouse
deps: deps-go deps-js deps-browser deps-net ## Install once what build and tests need: Go modules, npm packages, Chromium, nft

deps-go: $(TOOLS)/modules.stamp
deps-js: $(JS)/node_modules/.installed
deps-browser: $(CHROMIUM)
deps-net: $(NFT)
ifeq ($(HAVE_CLICKHOUSE),)
deps-clickhouse: deps-js
else
deps-clickhouse:
endif

$(TOOLS)/modules.stamp: go.mod go.sum
	@command -v go >/dev/null || { echo 'make: the go command is missing; install Go (go.mod says which version)' >&2; exit 1; }
	go mod download || { echo 'make: the Go modules could not be had; is the module proxy reachable (go env GOPROXY)?' >&2; exit 1; }
	mkdir -p $(@D)
	touch $@

$(JS)/node_modules/.installed: $(JS)/package-lock.json
	@command -v npm >/dev/null || { echo 'make: npm is missing; install Node.js 20 or newer with npm 10 or newer, or, for the demo alone, a clickhouse binary' >&2; exit 1; }
	npm --prefix $(JS) ci --no-audit --no-fund --loglevel=error ||
		{ echo 'make: the npm packages could not be had; is the npm registry reachable (npm ping)?' >&2; exit 1; }
	touch $@

$(CHROMIUM):
	@echo 'The browser tests need $@: installing the package chromium'
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo 'make: $@ is missing and can be installed only by root on Debian; run: apt-get install chromium' >&2; exit 1
	fi
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null ||
		{ echo 'make: apt-get could not install chromium' >&2; exit 1; }
	test -x $@

$(NFT):
	@echo 'The tests that cut nodes off need $@: installing the packages nftables, iproute2 and e2fsprogs'
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo 'make: $@ is missing and can be installed only by root on Debian; run: apt-get install nftables iproute2 e2fsprogs' >&2; exit 1
	fi
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nftables iproute2 e2fsprogs >/dev/null ||
		{ echo 'make: apt-get could not install nftables, iproute2 and e2fsprogs' >&2; exit 1; }
	test -x $@

# ---- build and run ----------------------------------------------------------------------------

.PHONY: build demo run
build: deps-go ## Build bin/wedsync
	@CGO_ENABLED=0 go build -trimpath -o $(BIN) ./cmd/wedsync

demo: build deps-clickhouse ## Run the three wedding scenes through a real node and count what arrived
	@exec $(BIN) demo $(ARGS)

run: build deps-clickhouse ## Run a node on 127.0.0.1:8080 with its data in ./data
	@exec $(BIN) serve $(ARGS)

# ---- tests ------------------------------------------------------------------------------------

.PHONY: test cover bench bench-edge chaos microbench fuzz
# The end-to-end tests start the binary that WEDSYNC_BINARY names.
test: build deps ## Run every test, unit to browser, with the race detector, and a short chaos campaign; a skipped test fails
	@WEDSYNC_BINARY=$(CURDIR)/$(BIN) go run ./loadtest/gotest test -race -shuffle=on -timeout=20m $(TESTFLAGS) $(PKG)
	if [ '$(PKG)$(TESTFLAGS)' = ./... ]; then
		go run ./loadtest/gotest test -shuffle=on -timeout=10m -run '$(NORACE)' ./cmd/wedsync
		go run ./loadtest/chaos -binary $(BIN) -seed 1 -lenient -faults '$(CHAOS)'
	fi

# Test binaries and the child processes of the end-to-end tests write their counters side by side;
# a block counts as covered when any of them ran it.
cover: deps ## Run every test and print the statement coverage over all packages; fails under COVERMIN
	@rm -rf $(COVER)
	mkdir -p $(COVER)/test $(COVER)/child
	go build -cover -covermode=atomic -coverpkg=./... -o $(COVER)/wedsync ./cmd/wedsync
	WEDSYNC_BINARY=$(CURDIR)/$(COVER)/wedsync GOCOVERDIR=$(CURDIR)/$(COVER)/child \
		go run ./loadtest/gotest test -covermode=atomic -coverpkg=./... -shuffle=on -timeout=20m $(TESTFLAGS) $(PKG) \
		-args -test.gocoverdir=$(CURDIR)/$(COVER)/test
	go build -cover -covermode=atomic -coverpkg=./... -o $(COVER)/chaos ./loadtest/chaos
	GOCOVERDIR=$(CURDIR)/$(COVER)/child $(COVER)/chaos -binary $(COVER)/wedsync -seed 1 -lenient -faults '$(CHAOS)'
	go tool covdata textfmt -i=$(COVER)/test,$(COVER)/child -o $(COVER)/all.out
	go run ./loadtest/gotest cover -min $(COVERMIN) -o $(COVER)/cover.out $(COVER)/all.out
	echo 'by line: go tool cover -html=$(COVER)/cover.out'

bench: build deps-js deps-browser ## Measure a node against its targets and print a table (ARGS="-only latency")
	@exec go run ./loadtest/bench -binary $(BIN) $(ARGS)

bench-edge: build ## Measure what 1,000 to 10,000 WebSocket clients of a node see
	@exec go run ./loadtest/bench -binary $(BIN) -only edge-few,edge-many,edge-crowd,edge-room,edge-steady,edge-storm $(ARGS)

chaos: build deps-net deps-clickhouse ## Break a cluster of three nodes on purpose and check what arrives (ARGS='-faults "kill leader"'; see docs/chaos.md)
	@exec go run ./loadtest/chaos -binary $(BIN) $(ARGS)

microbench: deps-go ## Run the Go benchmarks of the packages (BENCH=regexp, PKG=./package)
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout=30m $(PKG) | grep -v 'no test files'

fuzz: deps-go ## Run every fuzz target for FUZZTIME
	@for pkg in $$(go list $(PKG)); do
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do
			echo "== $$pkg $$target"
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg
		done
	done

# ---- lint -------------------------------------------------------------------------------------

.PHONY: lint fmt generate
lint: $(TOOLS)/golangci-lint-$(GOLANGCI) $(TOOLS)/govulncheck-$(GOVULN) $(TOOLS)/kustomize-$(KUSTOMIZE) generate ## Check style, import direction, generated code, manifests, known defects and vulnerabilities
	@git diff --exit-code --stat -- '*_templ.go' || { echo 'make: the admin page is not as its templates say; commit what "make generate" wrote' >&2; exit 1; }
	$(TOOLS)/golangci-lint-$(GOLANGCI) run $(PKG)
	$(TOOLS)/kustomize-$(KUSTOMIZE) build deploy/kubernetes >/dev/null
	status=0
	$(TOOLS)/govulncheck-$(GOVULN) $(PKG) >$(TOOLS)/govulncheck.out 2>&1 || status=$$?
	if [ $$status = 0 ]; then
		echo 'govulncheck: no vulnerability known'
	elif grep -q 'fetching vulnerabilities' $(TOOLS)/govulncheck.out; then
		echo 'govulncheck: NOT CHECKED, its database cannot be reached from here'
	else
		cat $(TOOLS)/govulncheck.out >&2; exit $$status
	fi

# The generator is of the release that the code is linked with.
generate: deps-go ## Write the Go code of the admin page's templates anew
	@test -x $(TOOLS)/templ-$(TEMPL) || { $(call install,github.com/a-h/templ/cmd/templ@$(TEMPL)); }
	$(TOOLS)/templ-$(TEMPL) fmt -fail=false edge/admin >$(TOOLS)/templ.out 2>&1 && $(TOOLS)/templ-$(TEMPL) generate -path edge/admin >>$(TOOLS)/templ.out 2>&1 ||
		{ cat $(TOOLS)/templ.out >&2; exit 1; }

fmt: $(TOOLS)/gofumpt-$(GOFUMPT) ## Format the Go code
	@$(TOOLS)/gofumpt-$(GOFUMPT) -l -w $$(git ls-files '*.go' ':!*_templ.go')

# Linters are built outside go.mod, each under its version, so that a new version is installed anew.
$(TOOLS)/golangci-lint-$(GOLANGCI):
	@$(call install,github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI))
$(TOOLS)/gofumpt-$(GOFUMPT):
	@$(call install,mvdan.cc/gofumpt@$(GOFUMPT))
$(TOOLS)/govulncheck-$(GOVULN):
	@$(call install,golang.org/x/vuln/cmd/govulncheck@$(GOVULN))
$(TOOLS)/kustomize-$(KUSTOMIZE):
	@$(call install,sigs.k8s.io/kustomize/kustomize/v5@$(KUSTOMIZE))

# The command's name: the last part of its path that is not a major version.
tool = $(notdir $(patsubst %/v5,%,$(firstword $(subst @, ,$(1)))))

define install
mkdir -p $(TOOLS)
echo 'installing $(1)'
GOBIN=$(TOOLS) GOFLAGS= go install $(1) || { echo 'make: $(1) could not be installed; is the module proxy reachable?' >&2; exit 1; }
mv $(TOOLS)/$(call tool,$(1)) $(TOOLS)/$(call tool,$(1))-$(lastword $(subst @, ,$(1)))
endef

# ---- clean ------------------------------------------------------------------------------------

.PHONY: clean
clean: ## Remove what was built and installed here (not ./data)
	@rm -rf bin $(COVER) $(TOOLS) $(JS)/node_modules
	find . \( -path ./.git -o -path ./data \) -prune -o -type f \( -name '*.test' -o -name '*.prof' \) -exec rm -f {} +
