# SPDX-License-Identifier: Apache-2.0
# A menu: `make` prints it. Every target first sets up what it needs, and installs nothing twice.
#
#   PYTHON=python3.12   use this interpreter, in an environment of its own (.venv-3.12).
#                       Without it: the first suitable one, in .venv.
#   TESTS=pattern       only the tests whose names match (pytest's -k), stopping at the first failure.

ifdef PYTHON
override VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
else
override VENV := .venv
endif
IN_VENV := $(VENV)/bin/python -m

.PHONY: menu run run-kms bench proof test check format clean set-up
.DEFAULT_GOAL := menu

menu:
	@echo 'make TARGET, where TARGET is'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' Makefile
	@echo 'PYTHON=python3.12 picks the interpreter; TESTS=pattern narrows the tests'

run run-kms: export WITHOUT_NODE_PACKAGES := yes
run: set-up ## qualify two soft tokens, SoftHSM 2 and NSS, with keys made for it; the reports go to out/
	@$(VENV)/bin/python tools/run-qualification softhsm2
	@$(VENV)/bin/python tools/run-qualification nss

run-kms: set-up ## qualify a key in an emulator of AWS KMS, under two profiles; the reports go to out/kms
	@$(VENV)/bin/python tools/run-qualification kms

bench: set-up ## measure beside the bare calls and the peers; tables for docs/performance.md
	@$(IN_VENV) tools.speed_tables

proof: set-up ## planted effects in real time: rotations killed (1 min), soft tokens kept busy (15 min), the gate (45 to 60 min, resumable)
	@$(IN_VENV) tools.rotation_proof
	@$(VENV)/bin/python tools/soak
	@$(IN_VENV) tools.prove_gate

test: set-up ## run all tests, in parallel
	@$(IN_VENV) pytest --numprocesses auto $(if $(TESTS),--exitfirst -k '$(TESTS)')

check: set-up ## lint, formatting, types, layers, and whether README and --help agree
	@$(IN_VENV) ruff check
	@$(IN_VENV) ruff format --check
	@$(IN_VENV) mypy
	@$(IN_VENV) mypy tests tools/check-readme tools/kms-emulator tools/prove_gate tools/run-qualification tools/rotation_proof.py tools/soak tools/speed_tables
	@$(VENV)/bin/lint-imports --no-logo
	@$(VENV)/bin/python tools/check-readme

format: set-up ## lay out the code, and repair what the linter can
	@$(IN_VENV) ruff check --fix
	@$(IN_VENV) ruff format

clean: ## remove what was built or made: environments, soft tokens, reports, caches
	rm -rf .venv .venv-* tests/browser/node_modules .state out build dist src/*.egg-info .coverage .*_cache .hypothesis .benchmarks
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

set-up:
	@tools/set-up $(VENV) $(PYTHON)
