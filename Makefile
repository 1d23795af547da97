# The two commands: make dashboard, make test. All others are parts of them or for developers.
PYTHON ?= python3
PORT ?= 8866
ADDRESS ?= 127.0.0.1
SETTINGS ?=
BROWSER ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MARK :=# arguments for pytest, like MARK="-m 'not browser'"
WORKERS ?= 2

.PHONY: venv dashboard class lab test lint api notebooks bench clean

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh .ci/venv.sh
	@touch $@

dashboard: $(STAMP)
	@$(BIN)/python -m workbench.app.server.serve --port "$(PORT)" $(if $(filter none,$(BROWSER)),--no-browser)

# For many: docs/operators.md. SETTINGS is a folder with a voila.json, which goes over deploy/class/voila.json.
class: $(STAMP)
	@$(BIN)/python -m workbench.app.server.serve --class $(if $(SETTINGS),"$(SETTINGS)") \
		--port "$(PORT)" --address "$(ADDRESS)"

lab: $(STAMP)
	@$(BIN)/jupyter lab --notebook-dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root) $(if $(filter none,$(BROWSER)),--no-browser)

test: lint
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup $(MARK)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What the pages in docs take from the code.
api: $(STAMP)
	$(BIN)/python docs/api.py

# Every notebook, executed, as a page of HTML with its pictures that needs nothing else, in build/notebooks. The
# dashboard is nothing without its kernel.
notebooks: $(STAMP)
	$(BIN)/jupyter nbconvert --to html --execute --template walkthrough --TemplateExporter.extra_template_basedirs=docs \
		--output-dir build/notebooks $(filter-out notebooks/dashboard.ipynb,$(wildcard notebooks/*.ipynb))

# Every benchmark; the results as JSON in build/benchmarks.
bench: $(STAMP)
	@mkdir -p build/benchmarks
	@for name in $(basename $(notdir $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py)))); do \
		$(BIN)/python -m benchmarks.$$name --json build/benchmarks/$$name.json || exit 1; done

clean:
	rm -rf $(VENV) build
