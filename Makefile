# Every command installs its prerequisites and can be run again at any time.

STACK  ?= dev
FORMAT ?= dotenv
PYTHON ?= python3
ONLY   ?=
ROUNDS ?= $(if $(ONLY),10,1)

BIN   := .venv/bin
# As the command `stackctl`, but always with the code of this checkout, even if .venv is shared.
RUN   := $(BIN)/python -m stackctl
DRY_RUN = $(if $(DRY),--dry)
READY := .venv/.ready
DEV   := .venv/.dev
SITE  := .venv/.site
# The paths in requirements.txt are relative to infra.
INSTALL = @cd infra && PYTHONPATH=.. ../$(BIN)/python -m stackctl.install
CREATE_VENV = $(PYTHON) -m venv .venv || \
	{ echo "error: $(PYTHON) cannot create a virtual environment -> apt-get install python3-venv, then the same command" >&2; exit 1; }
# What `make test` runs without ONLY needs only Python, make and git, and less than ten minutes.
QUICK := unit cloud integration/infra integration/stackctl integration/client/test_queue.py engine/test_life.py
SUITES := unit integration engine cloud aws gcp faults docs migrate doctor clients examples docker operations provider

# A function of awk: prints a name and a text, wrapped at 80 columns.
WRAP := function wrap(line, text, words, i, n) { \
	n = split(text, words, " "); \
	for (i = 1; i <= n; i++) { \
		if (length(line) + length(words[i]) > 78) { print line; line = sprintf("%15s", "") } \
		line = line " " words[i]; \
	} \
	print line \
}

# Recipes read these from the environment: a value pasted into a shell line could be run as a command.
ARGUMENTS := STACK FORMAT JUNIT OUT INTO FROM NODE TO MEMORY SHARDS REPLICAS FOR SET CLOUD ROLE
$(foreach name,$(ARGUMENTS),$(if $(value $(name)),$(eval export $(name))))

.PHONY: help up smoke env backup restore repair rotate failover upgrade scale card cli drill render down policy sdk shell test test-all site lint format bench

help: ## Show this help
	@awk -F ':.*## ' '$(WRAP) /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {wrap(sprintf("  make %-8s", $$1), $$2)}' $(MAKEFILE_LIST)
	@echo
	@echo "  STACK=name selects the stack (dev)."
	@echo "  DRY=1 previews up, restore, repair, rotate, failover, upgrade and scale."
	@echo "  VERBOSE=1 prints all output of Pulumi and the smoke tests."
	@echo "  Suites of ONLY on Python, make and git alone:"
	@echo "    unit integration engine cloud aws gcp faults docs;"
	@echo "  with more (tests/README.md):"
	@echo "    migrate doctor clients examples docker operations provider"
	@echo "  ROUNDS=n repeats random tests, TLS=1 runs clients with TLS."

##@ Stack

up: $(READY) ## Deploy the stack, run the smoke tests and print connection details
	@$(RUN) up --stack "$$STACK" $(DRY_RUN)

smoke: $(READY) ## Run the smoke tests on a deployed stack (JUNIT=file.xml, DISRUPTIVE=1 also restarts the server, ACCEPT=1 accepts fewer keys)
	@$(RUN) smoke --stack "$$STACK" $(if $(ACCEPT),--accept) -- $(if $(JUNIT),--junitxml "$$JUNIT") $(if $(DISRUPTIVE),--disruptive)

env: $(READY) ## Write a stack's URLs to a file and print its path (FORMAT=dotenv|shell|json|k8s, OUT=file, ONLY_VALKEY_URL=1 without REDIS_URL)
	@$(RUN) env --stack "$$STACK" --format "$$FORMAT" $(if $(OUT),--out "$$OUT") $(if $(ONLY_VALKEY_URL),--only-valkey-url)

cli: $(READY) ## Open valkey-cli on the server, or a minimal prompt where it is not installed (ROLE=admin|app|monitor)
	@$(RUN) cli --stack "$$STACK" $(if $(ROLE),--role "$$ROLE")

card: $(READY) ## Print a summary of the stack for the team's wiki, without secrets
	@$(RUN) card --stack "$$STACK"

down: $(READY) ## Destroy a stack; embedded and docker leave a final snapshot
	@$(RUN) down --stack "$$STACK"

##@ Operations

backup: $(READY) ## Back up the data to .valkey/<stack>/backups/<time> and print that path
	@$(RUN) backup --stack "$$STACK"

drill: $(READY) ## Verify the newest backup: load it into a temporary server, print its keys, loading time and age
	@$(RUN) drill --stack "$$STACK"

restore: $(READY) ## Restore a backup into a new stack (INTO=name, FROM=file or folder instead of the newest)
	@$(RUN) restore --stack "$$STACK" --into "$$INTO" $(if $(FROM),--from "$$FROM") $(DRY_RUN)

repair: $(READY) ## Repair a damaged node that has no healthy copy; keeps its files (NODE=node-0, FORCE=1 accepts the loss)
	@$(RUN) repair --stack "$$STACK" --node "$$NODE" $(if $(FORCE),--force) $(DRY_RUN)

rotate: $(READY) ## Rotate passwords; the old ones stay valid until FINISH=1
	@$(RUN) rotate --stack "$$STACK" $(if $(FINISH),--finish) $(if $(FORCE),--force) $(DRY_RUN)

failover: $(READY) ## Fail over every primary and report the impact on clients
	@$(RUN) failover --stack "$$STACK" $(DRY_RUN)

upgrade: $(READY) ## Upgrade to another version of Valkey (TO=9.1)
	@$(RUN) upgrade --stack "$$STACK" --to "$$TO" $(DRY_RUN)

scale: $(READY) ## Change the size (MEMORY=1gb, SHARDS=n, REPLICAS=n)
	@$(RUN) scale --stack "$$STACK" --memory "$$MEMORY" --shards "$$SHARDS" --replicas "$$REPLICAS" $(DRY_RUN)

##@ Configuration and Pulumi

render: $(READY) ## Write a folder that needs no Pulumi (FOR=compose|native, OUT=folder, SET="memory=1gb topology=cluster")
	@set -f; for pair in $$SET; do set -- "$$@" --set "$$pair"; done; $(RUN) render --for "$$FOR" --out "$$OUT" "$$@"

policy: $(READY) infra/policy/.venv/.ready ## Check what `up` would create against the policies of infra/policy
	@$(RUN) policy --stack "$$STACK"

sdk: $(READY) ## Install the Pulumi SDK for a cloud target (CLOUD=aws|gcp)
	$(INSTALL) "the SDK of $$CLOUD" -c ../constraints.txt -e "..[$$CLOUD]"

shell: $(READY) ## Print exports with which `pulumi` works on this project's stacks
	@$(RUN) shell

##@ Development

test: $(DEV) ## Run the tests that need only Python, make and git, or a suite (ONLY=engine, ONLY=engine/test_life.py)
	@$(RUN) shell >/dev/null
	@# PYTEST_ADDOPTS is for these tests, not for the smoke suites that they start.
	ROUNDS=$(ROUNDS) env -u PYTEST_ADDOPTS $(BIN)/python -m pytest $(PYTEST_ADDOPTS) --durations=15 --durations-min=10 $(if $(TLS),--tls) $(addprefix tests/,$(or $(ONLY),$(QUICK)))

test-all: ## Run all suites, which takes hours and what they need: tests/README.md
	@$(MAKE) --no-print-directory test ONLY="$(SUITES)"

lint: $(DEV) ## Run ruff, codespell, mypy and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV) ## Format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

site: $(SITE) ## Build docs/ as a website in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo build/site/index.html

bench: $(DEV) ## Run the benchmarks (ONLY=up|queue|cache|docker|outage|doctor|migrate|cloud); prints a table, writes build/bench/<name>.json
	@$(BIN)/python -m bench $(ONLY)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo "error: Python 3.10 or newer is needed, found $$($(PYTHON) --version 2>&1) -> make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(CREATE_VENV)

$(READY): .venv/bin/python constraints.txt pyproject.toml client/pyproject.toml client/ops/pyproject.toml infra/requirements.txt
	@# Without ensurepip, which Debian has in a package of its own, the environment has no pip.
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(CREATE_VENV)
	$(INSTALL) "Python packages" -r requirements.txt
	@touch $@

infra/policy/.venv/.ready: infra/policy/requirements.txt
	$(PYTHON) -m venv infra/policy/.venv
	infra/policy/.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(DEV): $(READY)
	$(INSTALL) "development packages" -c ../constraints.txt -e '..[dev]'
	@touch $@

$(SITE): $(READY)
	$(INSTALL) "packages for the site" -c ../constraints.txt -e '..[site]'
	@touch $@
