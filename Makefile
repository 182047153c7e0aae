# The text behind "##" is what `make help` prints.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/bin:$(PATH)

ROW ?= [A-Z][0-9][0-9]
COUNT ?= 20
FUZZTIME ?= 1m
PKG ?= ./...

NEEDS_COMPOSE = docker compose version >/dev/null 2>&1 || { echo \
	"this needs docker with its compose plugin; 'go run ./cmd/cereus dev' runs etcd and NATS without" >&2; exit 1; }

.PHONY: help
help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  Variables: PKG=./cluster/... for test and race, ROW=E18 and COUNT=20 for rows, FUZZTIME=1m for fuzz."

.PHONY: test
test: ## run the tests
	go test $(PKG)

.PHONY: race
race: ## run the tests in random order under the race detector
	go test -race -shuffle=on $(PKG)

.PHONY: rows
rows: ## run the tests of the fault rows, long forms, 20 times under the race detector
	@grep -rqE --include='*_test.go' '^func Test([A-Z][0-9]{2}_)*$(ROW)_' . || { echo "no test of a row $(ROW): docs/faults.md has the rows" >&2; exit 1; }
	CEREUSTEST_ROWS=long go test -race -count=$(COUNT) -timeout=2h -run '^Test([A-Z][0-9]{2}_)*$(ROW)_' $(PKG)

.PHONY: fuzz
fuzz: ## run every fuzz target for a minute
	.ci/fuzz $(FUZZTIME)

.PHONY: js
js: ## run the tests of the JavaScript client
	cd client/js && node --test

.PHONY: bench
bench: ## measure, beside the limits of the machine
	go run ./bench

.PHONY: tools
tools: ## install the pinned tools into ./bin
	.ci/tools

.PHONY: lint
lint: ## run vet and the linters
	go vet ./...
	golangci-lint run

.PHONY: fmt
fmt: ## format the Go code
	gofmt -w $$(git ls-files --cached --others --exclude-standard '*.go')

.PHONY: generate
generate: ## make generated code and documents anew; needs protoc and `make tools`
	go generate ./...

.PHONY: drift
drift: ## fail when generated code or documents are not up to date
	.ci/drift

.PHONY: chat
chat: ## run the chat example; it prints the addresses to open
	go run ./examples/chat

.PHONY: cluster
cluster: ## run the smallest cluster, one process per server
	examples/cluster/run

.PHONY: up
up: ## start etcd and NATS in containers
	@$(NEEDS_COMPOSE)
	docker compose up --detach --wait

.PHONY: down
down: ## stop the containers; their data stays
	@$(NEEDS_COMPOSE)
	docker compose down

.PHONY: ci
ci: ## run everything that must hold before a change is good
	.ci/run
