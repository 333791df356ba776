# Every target sets up .venv by itself: Python 3.11 or newer and make are all it takes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# As many processes as processors: some tests watch time-outs, and want their share. One that crashes
# is told as a failure of the test it ran.
PROCESSES ?= $(shell getconf _NPROCESSORS_ONLN)
SPREAD = --numprocesses $(PROCESSES) --dist loadgroup --max-worker-restart 0
READY := $(VENV)/.ready
# Tests start hundreds of processes: none is to compile what another one has compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all formal chaos kills simulate servers lint proto vendor format bench bench-peers screenshots docs ci lock clean

help:  ## Show what there is.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "osqueue needs Python 3.11 or newer; say which: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)  ## Index the standard library with two brokers and two workers.
	$(BIN)/osqueue demo $(DEMO)

# These reach every corner of the core in little time; to measure the others takes half as long again.
MEASURED := tests/unit tests/traces
PYTEST := $(BIN)/python -m pytest $(SPREAD)

define run_all
	$(BIN)/python -m coverage erase
	$(PYTEST) $(1) --cov --cov-report= $(MEASURED)
	$(BIN)/python -m coverage report --fail-under=95
	$(PYTEST) $(1) $(addprefix --ignore=,$(MEASURED))
endef

run_tests = $(if $(TESTS),$(PYTEST) $(1) $(TESTS),$(run_all))

test: $(READY)  ## Run the tests that PyPI suffices for, with coverage of the core; PROCESSES=1 for fewer at once.
	$(call run_tests)

test-all: servers  ## Run these and the tests on Ceph, on azurite and in a browser, which it installs.
	$(call run_tests,-m '')

formal: servers  ## Look at every state of the model of commit and election; FORMAL=--large for more.
	$(BIN)/python -m tests.formal.checker $(FORMAL)

chaos: servers  ## Prove failover in full, on a disk and on Ceph: about two hours.
	$(BIN)/python -m tests.e2e.chaos --store file $(CHAOS)
	$(BIN)/python -m tests.e2e.chaos --store ceph $(CHAOS)

simulate: $(READY)  ## Run SEEDS=300 worlds in which everything goes wrong, and check every step.
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),300) $(SIMULATE)

kills: $(READY)  ## Kill workers 200 times under load, and look what has become of their jobs.
	$(BIN)/python -m tests.e2e.kills $(KILLS)

servers: $(READY)  ## Install what the tests want and PyPI does not have: Debian packages, npm.
	$(BIN)/python -m tests.integration.servers.install

lint: $(READY)  ## Check style, types and the direction of imports.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

proto: $(READY)  ## Generate the messages of the wire anew.
	$(BIN)/python -m tests.proto src/osqueue/wire/gen

vendor: servers  ## Take the newest versions of the libraries that the dashboard brings along.
	$(BIN)/python -m tests.vendor update

format: $(READY)  ## Lay the code out.
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: servers  ## Print figures, as JSON lines.
	@for part in model rest lists websocket rpc clients observers dashboard browser auth worker latency slow_store stall payloads failover embedded ceph; do $(BIN)/python bench/$$part.py || exit 1; done

bench-peers: $(READY)  ## Measure osqueue beside other job queues, which it installs; PEERS='rq' for some.
	-$(BIN)/python bench/peers/install.py
	$(BIN)/python bench/side_by_side.py $(PEERS)

screenshots: servers  ## Take the pictures of the dashboard that the documentation shows.
	$(BIN)/python -m tests.browser.screenshots docs/images

docs: $(READY)  ## Build the documentation, strictly.
	$(BIN)/mkdocs build --strict --quiet

ci: lint docs test-all  ## What the continuous integration runs.

lock:  ## Take the newest allowed versions into constraints.txt.
	$(PYTHON) -m venv --clear $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet -e '.[dev]'
	{ sed -n 1p constraints.txt; $(VENV)/lock/bin/python -m pip freeze --exclude-editable; } > constraints.new
	mv constraints.new constraints.txt

clean:  ## Remove what the targets made.
	rm -rf $(VENV) .servers site .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
