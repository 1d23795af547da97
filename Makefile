# A stamp file for each: what the dashboard, the lessons, the tests and linters, and the documentation need.
PYTHON ?= python3
PORT ?= 8866
ADDRESS ?= 127.0.0.1
SETTINGS ?=
LESSON ?=
BROWSER ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LAB := $(VENV)/.installed-lab
DEV := $(VENV)/.installed-dev
DOCS := $(VENV)/.installed-docs
MARK :=# arguments for pytest, like MARK="-m 'not browser'"
WORKERS ?= 2
INSTALL := PYTHON="$(PYTHON)" VENV="$(VENV)" sh .ci/venv.sh

.DEFAULT_GOAL := help
.PHONY: help venv dev dashboard lesson class lab test lint docs notebooks bench clean

help: ## list the targets
	@echo "make dashboard and make test are all that is needed; each installs what it lacks into $(VENV)."
	@sed -n 's/^\([a-z]*\):.*## /  \1|/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-12s%s\n", $$1, $$2 }'

$(STAMP): pyproject.toml constraints.txt
	@$(INSTALL) onnx
	@touch $@

$(LAB): pyproject.toml constraints.txt
	@$(INSTALL) onnx,lab
	@touch $(STAMP) $@

$(DEV): pyproject.toml constraints.txt
	@$(INSTALL) dev
	@touch $(STAMP) $(LAB) $@

$(DOCS): pyproject.toml constraints.txt
	@$(INSTALL) onnx,lab,docs
	@touch $(STAMP) $(LAB) $@

venv: $(STAMP) ## install what the dashboard needs
	@:

dev: $(DEV) ## install the tools for tests and linting too
	@:

dashboard: $(STAMP) ## open the dashboard (PORT=9000, BROWSER=none)
	@$(BIN)/python -m workbench.app.server.serve --port "$(PORT)" $(if $(filter none,$(BROWSER)),--no-browser)

lesson: $(STAMP) ## open lesson 0: ten minutes, no code
	@$(BIN)/python -m workbench.app.server.serve --lesson --port "$(PORT)" $(if $(filter none,$(BROWSER)),--no-browser)

class: $(STAMP) ## serve the dashboard to many (ADDRESS=0.0.0.0, SETTINGS=folder with a voila.json), or with LESSON=yes lesson 0
	@$(BIN)/python -m workbench.app.server.serve --class $(if $(SETTINGS),"$(SETTINGS)") $(if $(LESSON),--lesson) \
		--port "$(PORT)" --address "$(ADDRESS)"

lab: $(LAB) ## open JupyterLab on the notebooks (BROWSER=none)
	@$(BIN)/jupyter lab --notebook-dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root) $(if $(filter none,$(BROWSER)),--no-browser)

test: lint ## lint, then run the tests (MARK="tests/kernels", WORKERS=0)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(MARK)

lint: $(DEV) ## run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DOCS) ## build the documentation site in build/site
	$(BIN)/mkdocs build --strict

notebooks: $(DOCS) ## execute the notebooks into offline HTML pages in build/notebooks
	$(BIN)/python docs/site/lessons.py

bench: $(DEV) ## run every benchmark, for hours; results in build/benchmarks
	@mkdir -p build/benchmarks
	@for name in $(basename $(notdir $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py)))); do \
		$(BIN)/python -m benchmarks.$$name --json build/benchmarks/$$name.json || failed="$$failed $$name"; done; \
		test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

clean: ## remove .venv and build
	rm -rf $(VENV) build
