# Two commands do all the set-up on a fresh Debian machine: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SERVICES := mosquitto influxdb nats-server libmodbus-dev gcc libc6-dev chromium chromium-driver systemd openssl strace
LOCK := $(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header

.PHONY: demo test check format bench torture services screenshots lock clean help

help: ## Show what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(READY) ## Run a simulated line with everything around it, until Ctrl-C
	$(BIN)/lini demo

test: $(READY) services ## Run all tests; without Debian's services those are skipped, loudly
	$(BIN)/pytest

check: $(READY) ## Check style, types and the layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## Measure speed and memory against their targets (nothing else should run)
	$(BIN)/python -m tests.bench $(ONLY)

torture: SERVICES += rabbitmq-server
torture: $(READY) services ## Run the long tests with faults: SECONDS=600 SEED=1 by default
	LINI_TORTURE_SECONDS=$(or $(SECONDS),600) LINI_TORTURE_SEED=$(or $(SEED),1) \
		$(BIN)/pytest -q --timeout=0 tests/torture

screenshots: $(READY) services ## Take pictures of every page into build/screenshots
	mkdir -p build/screenshots
	LINI_SCREENSHOTS=$(CURDIR)/build/screenshots $(BIN)/pytest -q tests/browser

services: ## Install the real services that tests use (as root; else they are skipped)
	@if [ "$$(id -u)" = 0 ] && [ -x "$$(command -v apt-get)" ]; then \
		dpkg-query -W $(SERVICES) >/dev/null 2>&1 || { \
			apt-get update -q && \
			DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(SERVICES); }; \
	else \
		echo "not root: tests that need one of these are skipped if it is missing: $(SERVICES)"; \
	fi

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Lini needs Python 3.11 or newer: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		[ "$$(id -u)" = 0 ] || { echo "run first: sudo apt-get install python3-venv"; exit 1; }; \
		apt-get update -q && apt-get install -qy --no-install-recommends python3-venv; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install -q --require-hashes -r requirements-dev.lock
	$(BIN)/pip install -q --no-build-isolation --no-deps -e .
	@touch $@

lock: $(READY) ## Write the lock files anew
	$(BIN)/pip install -q uv
	$(LOCK) --all-extras --group dev -o requirements-dev.lock
	$(LOCK) -c requirements-dev.lock -o requirements.lock
	$(LOCK) --extra server -c requirements-dev.lock -o deploy/requirements-sink.lock

clean: ## Remove what was made here
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
