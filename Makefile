# Everything from nothing with Python 3.11 and pip alone: each target sets up the virtual environment first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BENCH ?=
PYTEST ?=
# Test files side by side, one on each core; JOBS=0 runs one after the other.
JOBS ?= auto

BIN := $(VENV)/bin
READY := $(VENV)/.dulcet-ready

# For the long proofs: seconds for each fuzz target and of the soak, seeds of the simulation, kills of the server.
SECONDS ?= 60
SEEDS ?= 0:10000
KILLS ?= 10000

.PHONY: help setup demo test coverage check format mutants fuzz simulate crash soak halts docs bench peers clean

help:
	@echo 'make setup     the virtual environment $(VENV) with dulcet and its tools'
	@echo 'make demo      two application entities on this machine, talking, no PACS needed'
	@echo 'make test      the tests (PYTEST="tests/ul -x" chooses some)'
	@echo 'make coverage  the tests, and the proof that every branch of ul/ and dimse/ ran'
	@echo 'make check     lint, format and types'
	@echo 'make format    put the sources into the format that make check wants'
	@echo 'make mutants   change the state table in every way, and count what the tests notice'
	@echo 'make fuzz      the decoders under atheris (SECONDS=60 for each target)'
	@echo 'make simulate  senders and a server on a wire and a disk that go wrong (SEEDS=0:10000)'
	@echo 'make crash     kill the server while it receives, and all that has to do with the queue (KILLS=10000)'
	@echo 'make soak      a server at work, and what it uses as it goes on (SECONDS=3600)'
	@echo 'make halts     the tests, while their processes stand still now and then (PYTEST="tests/hostile" chooses some)'
	@echo 'make docs      build the documentation: docs/_build/html/index.html'
	@echo 'make peers     install DCMTK, Orthanc, tshark and pynetdicom to test against (Debian)'
	@echo 'make bench     dulcet beside its peers (BENCH="--quick" for a short look)'
	@echo 'make clean     remove the virtual environment and what the tools left'

setup: $(READY)

# Written last, so an installation that broke off is done again; so is one that is older than pyproject.toml.
$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(READY)

demo: $(READY)
	$(BIN)/dulcet demo

test: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST)

coverage: $(READY)
	$(BIN)/python -m coverage run -m pytest $(PYTEST)
	$(BIN)/python -m coverage report --include='ul/*,dimse/*' --show-missing --skip-covered --fail-under=100

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p dulcet -p benchmarks

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The proofs at length: what `make test` does in a minute, for as long as one likes.
mutants: $(READY)
	$(BIN)/python tests/ul/mutants.py

fuzz: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS)

simulate: $(READY)
	$(BIN)/python tests/simulation/simulate.py $(SEEDS)

crash: $(READY)
	$(BIN)/python tests/crash/kill_loop.py --kills $(KILLS) --durability fsync
	$(BIN)/python tests/crash/kill_loop.py --kills $(KILLS) --durability batch
	$(BIN)/python tests/crash/queue_kills.py --kills $(KILLS)

soak: $(READY)
	$(BIN)/python tests/soak/soak.py --seconds $(SECONDS)

halts: $(READY)
	$(BIN)/python tests/halts/halts.py -- $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST)

docs: $(VENV)/.dulcet-docs-ready
	$(BIN)/python -m sphinx -W -E --keep-going --quiet -b html docs docs/_build/html
	@echo docs/_build/html/index.html

$(VENV)/.dulcet-docs-ready: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

peers:
	bash conformance/peers/install.sh

bench: $(READY)
	$(BIN)/python -m benchmarks.run $(BENCH)

clean:
	rm -rf $(VENV) build dist docs/_build *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
