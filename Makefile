# Hustings. `make run` brings up a live demo, `make test` runs every test; both
# install what they need first and can be run again at any time.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# hraban/opus without libopusfile: Hustings reads Ogg itself.
export GOFLAGS := $(strip $(GOFLAGS) -tags=nolibopusfile)
# build/pkgconfig/opus.pc names the static libopus, so that the program carries it.
export PKG_CONFIG_PATH := $(CURDIR)/build/pkgconfig:$(PKG_CONFIG_PATH)

LISTEN ?= 127.0.0.1:8080
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help run test bench bench-crowd build check pages setup clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s'|'

run: build ## a live demo that can be heard, on http://127.0.0.1:8080 (LISTEN=ADDR for another)
	@exec bin/hustings demo --listen $(LISTEN)

build: pages ## bin/hustings, one program with everything in it
	@mkdir -p bin
	@echo "build: bin/hustings (the first time takes a few minutes)"
	@go mod download
	@go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/hustings ./cmd/hustings

test: ## every check and test
	@scripts/setup test
	@scripts/test

check: pages ## format, vet, staticcheck, floors and the pages' types
	@scripts/check

bench: build ## speed and memory, each beside its yardstick (BENCH=quick for 2 minutes of it)
	@scripts/setup bench
	@BENCH=$(BENCH) scripts/bench

bench-crowd: build ## the largest crowd that this machine carries (CROWD="100000 200000" for sizes)
	@BENCH=$(BENCH) CROWD="$(CROWD)" scripts/bench-crowd

pages: setup
	@scripts/pages

setup:
	@scripts/setup run

clean: ## take away what was built
	@rm -rf bin build ui/dist/* ui/node_modules
