# Every target runs alone from a fresh clone: it first makes what it needs.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/
READY := $(VENV)/.ready
SCHEMAS := $(shell find proto -name '*.proto')
SIZE ?= quick
SEEDS ?= 0..2000

.PHONY: setup proto lint type test sim demo up bench check clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml setup.py $(SCHEMAS)
	test -x $(RUN)python || $(PYTHON) -m venv $(VENV)
	$(RUN)python -m pip install --quiet --require-hashes -r requirements.lock
	$(RUN)python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

proto: setup
	$(RUN)python -c "import setup; setup.generate()"

lint: setup
	$(RUN)ruff check .
	$(RUN)ruff format --check .

type: setup
	$(RUN)mypy

# Two files at a time. What starts processes of its own has times to keep: it does not run beside what only computes.
test: setup
	$(RUN)pytest -n 2 --dist loadfile tests/hub tests/replication tests/simulator tests/test_imports.py
	$(RUN)pytest -n 2 --dist loadfile tests/processes tests/benchmarks

sim: setup
	$(RUN)python -m simulator.world --seeds $(SEEDS)

demo: setup
	$(RUN)python -m simulator.drill.demo

up: setup
	$(RUN)cityhub up

bench: setup
	for name in exchange rows bulk seed scan registry failover query city load catalogue risk; do $(RUN)python -m benchmarks run $$name --size $(SIZE) --json - || exit 1; done

check: lint type test

clean:
	rm -rf $(VENV) build dist *.egg-info city-data .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find proto hub replication simulator benchmarks tests -name __pycache__ -prune -exec rm -rf {} +
	find hub replication -name '*_pb2*.py*' -delete
