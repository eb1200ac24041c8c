# Everything a person or CI runs. `make setup` needs Python 3.11+ and a package registry, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
unexport PYTHONDONTWRITEBYTECODE  # else each of the hundreds of processes that the tests start compiles all of src anew

.PHONY: setup demo test fuzz bench soak lint docs clean
setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[postgres,s3,dask]' --group dev
	touch $@

demo: setup
	$(BIN)/python scripts/demo.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Three files of tests at a time, since each waits a good part of its time, in the order of their names: the long ones,
# which start services and kill them, come early.
test: lint
	$(BIN)/pytest -rf --numprocesses 3 --dist loadfile --no-loadscope-reorder

# The fast pass against the exact one for an hour, on files that no run had before; prints how many records it compared.
FUZZ_SECONDS ?= 3600
FUZZ_SEED ?= $(shell date +%s)
fuzz: setup
	ASSAY_FUZZ_SECONDS=$(FUZZ_SECONDS) ASSAY_FUZZ_SEED=$(FUZZ_SEED) $(BIN)/pytest -s --timeout=0 tests/kernel/test_fast_agrees.py

# The kernel beside other engines and libraries, in an environment of its own; figures and chart in benchmarks/results.
bench: setup $(VENV)/bench/.ready
	$(VENV)/bench/bin/python benchmarks/bench_kernel.py $(BENCH)

$(VENV)/bench/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)/bench
	$(VENV)/bench/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(VENV)/bench/bin/python -m pip install --quiet --disable-pip-version-check --editable . --group bench
	touch $@

# The crash tests at length: 200 kills on one machine, 60 on PostgreSQL, S3 and Dask; about half an hour.
soak: setup
	CRASH_KILLS=200 $(BIN)/pytest -s tests/crash/test_kills.py tests/cluster/test_kills.py

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
