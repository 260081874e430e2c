# `make demo` and `make test` need Python 3.11+ and make, nothing else.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
READY := .venv/.ready
DOCS_READY := .venv/.docs-ready

.PHONY: demo test lint coverage docs bench accuracy calibration calibration-rule odd-specimens wrong-inputs flip-check geometry-check structure-check soak screenshots schema clean

demo: $(READY)
	$(BIN)/dualtilt demo

# three workers on two cores, since tests often wait for a clock or another process; one that is
# done takes tests over from the end of another's list, so that the tests of a module stay together
# and its fixtures are made once. `pytest FILE` uses one process.
# Compiled files are kept: without them each of the many processes compiles all modules again
test: export PYTHONDONTWRITEBYTECODE :=
test: lint
	$(BIN)/python -m pytest -n 3 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# the lines that the tests run, child processes included; a page of each file in build/coverage
coverage: $(READY)
	rm -rf build/coverage
	$(BIN)/python -m coverage run -m pytest -n 2 --dist worksteal
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage html --quiet
	$(BIN)/python -m coverage report --skip-covered --sort=cover

# these documents and the API reference as a site; a warning is an error
docs: $(DOCS_READY)
	$(BIN)/python -m sphinx -b html -q -W --keep-going -j auto -c docs -d build/doctrees . build/docs
	@echo "build/docs/docs/index.html"

bench: $(READY)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks

# hours: simulated data sets of the paper's scale against their truth; docs/accuracy.md
accuracy: $(READY)
	$(BIN)/python -m tests.accuracy.alignment
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.accuracy fcc multi-grain disordered --seeds 20
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.accuracy

# half an hour of one core: confidences and intervals against the truth; docs/calibration.md.
# The paper's size, an hour of one core for each seed: python -m tests.calibration --size 165 --jobs N
calibration: $(READY)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.calibration

# 100 minutes of one core, six where the series are stored: the rule of wrong places in one series,
# fitted, and tested on specimens that are left out; docs/decisions/0030
calibration-rule: $(READY)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.calibration.fit

# ten minutes: inputs that must not be trusted, and ones that must; docs/wrong-inputs.md
wrong-inputs: $(READY)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.wrong_inputs

# twenty minutes: simulated series with one fault each, and sparse ones; docs/odd-specimens.md
odd-specimens: $(READY)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.odd_specimens --jobs 2

# series that end early, against the complete ones; docs/ending-early.md
ending-early: $(READY)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.ending_early --jobs 2

# two minutes: right angles and axes are left alone, wrong ones found
geometry-check: $(READY)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.geometry_check

# two minutes: structure from disturbed positions against that of the true ones; docs/structure.md
structure-check: $(READY)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.structure_check

# half an hour: the flip check on a hundred correct and a hundred wrong flips
flip-check: $(READY)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.flip_check

# what takes too long for the tests: kills, random faults, attacks; prints its figures
# The first parts measure times; the others share the cores
soak: $(READY)
	$(BIN)/python -m tests.soak load flood network
	$(BIN)/python -m tests.soak kills sessions & \
	$(BIN)/python -m tests.soak flips failures sequences registrations; status=$$?; \
	wait $$! && exit $$status

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

$(DOCS_READY): $(READY)
	@echo "installing what the site needs into .venv, once"
	@if command -v uv >/dev/null 2>&1; then \
	    uv pip install --quiet --python $(BIN)/python -e '.[docs]'; \
	else \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'; \
	fi
	@touch $@
