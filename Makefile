# Set-up and work in one: each target brings what it needs, and does nothing where that is there.
PREFIX ?= $(if $(filter 0,$(shell id -u)),/usr/local,$(HOME)/.local)
SEEDS ?= 100000

.DEFAULT_GOAL := help
.PHONY: help run test bench soak image install

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## engine, agent, image and a first workspace
	@scripts/run.sh

test: ## every test, with a real Docker engine
	@scripts/engine.sh
	@PERRY_BIN=$$(scripts/build.sh) && export PERRY_BIN && \
	scripts/image.sh "$$PERRY_BIN" --if-missing --variant slim && \
	scripts/image.sh "$$PERRY_BIN" --if-missing && \
	cargo test

bench: ## measurements on a real Docker engine, next to what they are to be compared with
	@scripts/engine.sh
	@PERRY_BIN=$$(scripts/build.sh) && export PERRY_BIN && \
	scripts/image.sh "$$PERRY_BIN" --if-missing && \
	cargo bench --bench '*'

soak: ## simulation over many seeds, for hours: SEEDS=100000
	PERRY_SIM_SEEDS=$(SEEDS) cargo test --release --test sim -- --nocapture
	PERRY_SEEDS=1000 cargo test --release --test rpc proxy_that_cuts
	PERRY_STALL=600 PERRY_BYTES=100000000 cargo test --release --test terminals -- flow:: restore::

image: ## build the workspace image anew
	@scripts/engine.sh
	@perry=$$(scripts/build.sh) && scripts/image.sh "$$perry"

install: ## perry into PREFIX/bin (/usr/local for root, else ~/.local)
	@perry=$$(scripts/build.sh) && mkdir -p "$(DESTDIR)$(PREFIX)/bin" && \
	install -m 755 "$$perry" "$(DESTDIR)$(PREFIX)/bin/perry" && echo "installed $(DESTDIR)$(PREFIX)/bin/perry"
