# Lastcopy: one target a task; `make` alone lists them. All paths are relative, so that the folder's own path may hold spaces.

PYTHON ?= python3
RUN := .venv/bin/python
INSTALLED := .venv/installed
SYSTEM := apt-get update && apt-get install -y make python3-venv libmagic1
# The tests that take long run where time is no matter: CI=true, or SLOW=1.
SELECTED := $(if $(filter true 1,$(CI) $(SLOW)),,-m "not slow")
WORKERS ?= auto

.PHONY: help setup demo check format lint types layers sql test chaos spark golden docs screenshots bench clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 16

setup: $(INSTALLED) ## make .venv with Lastcopy and what its tests need (by uv if it is there, else by pip)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Lastcopy needs Python 3.11 or newer: make setup PYTHON=/path/to/python3.11' >&2; exit 1; }
	@command -v uv >/dev/null || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python has no venv here; this line installs it, as root: $(SYSTEM)" >&2; exit 1; }
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libmagic.so.1")' 2>/dev/null || { echo "libmagic is missing; this line installs it, as root: $(SYSTEM)" >&2; exit 1; }
	@echo 'making .venv: a minute with pip, seconds with uv' >&2
	@if command -v uv >/dev/null; then \
	  uv venv --quiet --allow-existing --python "$(PYTHON)" .venv && uv pip install --quiet --python $(RUN) --editable '.[archives,pdf,restic,s3,serve,sftp,smb,spark]' --group dev; \
	else \
	  $(PYTHON) -m venv .venv && $(RUN) -m pip install --quiet --upgrade 'pip>=25.1' && $(RUN) -m pip install --quiet --editable '.[archives,pdf,restic,s3,serve,sftp,smb,spark]' --group dev; \
	fi
	@touch $(INSTALLED)

demo: setup ## build the sample estate, scan it, print coverage, dormant copies and duplicates
	$(RUN) -m lastcopy demo

check: setup ## all that CI runs: what reads the code, side by side, then the tests
	@$(MAKE) --no-print-directory --jobs --output-sync format lint types layers sql
	@$(MAKE) --no-print-directory test

format: setup
	$(RUN) -m ruff format --check .

lint: setup
	$(RUN) -m ruff check .

types: setup
	$(RUN) -m mypy

layers: setup
	.venv/bin/lint-imports

sql: setup
	$(RUN) -m sqlfluff lint --disable-progress-bar --processes 0 catalog scanners reports lifecycle

test: setup ## the tests, on every core; SLOW=1 for the slow ones too
	$(RUN) -m pytest -n $(WORKERS) --dist worksteal $(SELECTED)

chaos: setup ## every fault at every point of every job, and the scorecard; as root, takes hours
	$(RUN) -m tests.lifecycle.chaos

spark: setup ## the tests of clusters against Apache Spark itself, one of whose executors is killed; needs Java 17, installs 0.5 GB
	@test -x .spark/bin/spark-submit || { $(PYTHON) -m venv .spark && .spark/bin/python -m pip install --quiet 'pyspark==4.3.0'; }
	SPARK_HOME="$$(echo "$$PWD"/.spark/lib/python3*/site-packages/pyspark)" $(RUN) -m pytest -q tests/scanners/test_full_spark.py tests/catalog/test_portable.py tests/sample_data/test_cluster.py

golden: setup ## write the golden files anew; read the diff before you commit it
	UPDATE_GOLDEN=1 $(RUN) -m pytest -q -k golden

docs: setup ## write docs/reference from the code
	$(RUN) -m reports.docs
	$(RUN) -m lastcopy.docs

screenshots: setup ## write docs/images from the demo's dashboard; needs chromium
	$(RUN) -m tests.dashboards.screenshots

bench: setup ## measure against peers and floors; takes long
	$(RUN) -m benchmarks

clean: ## remove what was built here
	rm -rf .venv demo benchmarks/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
