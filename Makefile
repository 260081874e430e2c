# `make demo` and `make test` need Python 3.11+ and make, nothing else.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
READY := .venv/.ready

.PHONY: demo test lint bench accuracy flip-check soak screenshots schema clean

demo: $(READY)
	$(BIN)/dualtilt demo

test: lint
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks

# hours: simulated data sets of the paper's scale against their truth; docs/accuracy.md
accuracy: $(READY)
	$(BIN)/python -m tests.accuracy.alignment
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.accuracy fcc multi-grain disordered --seeds 20
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.accuracy

# half an hour: the flip check on a hundred correct and a hundred wrong flips
flip-check: $(READY)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.flip_check

# what takes too long for the tests: kills, random faults, attacks; prints its figures
soak: $(READY)
	$(BIN)/python -m tests.soak

# of the README, from a scripted session
screenshots: $(READY)
	$(BIN)/python -m docs.screenshots

schema: $(READY)
	$(BIN)/dualtilt config schema > config/protocol.schema.json

clean:
	rm -rf .venv

# uv where there is one (seconds), else venv and pip
$(READY): pyproject.toml
	@echo "installing into .venv: a minute or two, once"
	@if command -v uv >/dev/null 2>&1; then \
	    uv venv --quiet --allow-existing --python $(PYTHON) .venv && uv pip install --quiet --python $(BIN)/python -e '.[test]'; \
	else \
	    $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'; \
	fi
	@touch $@
