PYTHON ?= python3
PORT ?= 8501
ADDRESS ?= 127.0.0.1
TESTS ?= not thorough
TESTS36 ?= not thorough and not once
# of tests at once: much of a page's test is waiting
PROCESSES ?= 3
PY := .venv/bin/python
PARALLEL := -n $(PROCESSES) --dist loadfile
# "make run PYTHON=python3.13": the interpreter of .venv, which is made anew where it has another
NAMED := $(if $(filter file,$(origin PYTHON)),,--python $(PYTHON))
# no index address in the result, so that any mirror will do; hashes say what it must send
COMPILE := .venv/bin/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help run test test-thorough mutation lint format test-python test-worker36 test-python313 test-python312 benchmark lock image-tx2 check-tx2 setup setup-dev worker36 python313 python312 chromium interpreter clean
.NOTPARALLEL:

help:  ## what there is to make
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup  ## the lab on http://127.0.0.1:8501 (PORT=8502 for another port, ADDRESS=0.0.0.0 for others)
	@$(PY) -m engine assets
	@exec $(PY) serve.py --port $(PORT) --address $(ADDRESS)

# The old interpreter's tests run beside the others, and their words come behind: much of both is waiting.
test: chromium lint worker36  ## lint, types and tests
	@log=$$(mktemp); $(MAKE) --no-print-directory test-worker36 >$$log 2>&1 & old=$$!; \
	$(MAKE) --no-print-directory test-python; new=$$?; \
	wait $$old || new=1; cat $$log; rm -f $$log; exit $$new

test-thorough: chromium setup-dev worker36  ## the whole runs that `make test` leaves out
	$(MAKE) --no-print-directory TESTS=thorough TESTS36="thorough or once" test-python test-worker36

mutation: setup-dev  ## whether tests notice small faults in four modules: within an hour on two cores
	rm -rf mutants
	.venv/bin/mutmut run --max-children 2
	$(PY) -m tools.mutation

lint: setup-dev  ## ruff, mypy, and whether the workers' code is still Python 3.6
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/vermin -q -t=3.6- --no-tips --violations \
	    engine/__init__.py engine/contract engine/worker tests/worker tests/skips.py tools/setup.py

format: setup-dev  ## put the code into its usual form
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

test-python: chromium setup-dev  ## all tests on this Python
	$(PY) -m pytest $(PARALLEL) -m "$(TESTS)"

test-worker36: worker36  ## the workers' tests on Python 3.6 with TensorFlow 2.6, where there is a Python 3.6
	@if [ -e .venv36/lab-setup ]; then .venv36/bin/python -m pytest -c tests/worker/pytest36.ini -m "$(TESTS36)" tests/worker; \
	else echo "NOT TESTED: the workers on Python 3.6. There is no .venv36."; fi

test-python313: python313  ## the engine's and the workers' tests on Python 3.13, where there is one
test-python312: python312  ## the same on Python 3.12
test-python313 test-python312: test-%:
	@if [ -e .venv$(subst python,,$*)/lab-setup ]; then \
	.venv$(subst python,,$*)/bin/python -m pytest $(PARALLEL) -m "$(TESTS) and not once" \
	    tests/engine tests/worker tests/tools; \
	else echo "NOT TESTED: the engine and the workers on $*."; fi

benchmark: setup-dev  ## ours against what one would otherwise run (PHOTOS=folder with one folder a class)
	@for name in bottlenecks race cached accuracy dashboard mnist digits; do $(PY) -m benchmarks $$name $(PHOTOS) || exit 1; done

image-tx2:  ## on a Jetson TX2: the image of Dockerfile.tx2 (docs/tx2.md)
	docker build --file Dockerfile.tx2 --tag bottleneck-lab:tx2 .

check-tx2: chromium setup-dev  ## what can be proved of that image without the board; takes an hour the first time, as root on Debian
	@$(PYTHON) tools/setup.py --worker36
	@$(PYTHON) tools/setup.py --worker37
	@$(PY) -m tools.check_tx2

lock: setup-dev  ## resolve requirements*.in anew into requirements*.txt
	$(COMPILE) --universal --python-version 3.6 requirements-installer.in -o requirements-installer.txt
	$(COMPILE) --universal --python-version 3.11 requirements.in -o requirements.txt
	$(COMPILE) --universal --python-version 3.11 requirements-dev.in -o requirements-dev.txt
	$(COMPILE) --python-platform x86_64-manylinux2014 --python-version 3.6 requirements-worker36.in -o requirements-worker36.txt
	$(COMPILE) --python-platform x86_64-manylinux2014 --python-version 3.7 requirements-worker37.in -o requirements-worker37.txt
	cp requirements.txt requirements-tx2.txt  # versions to keep to, so without --upgrade
	$(subst --upgrade ,,$(COMPILE)) --python-platform aarch64-manylinux_2_28 --python-version 3.11 --only-binary :all: \
	    --excludes requirements-tx2-without.in requirements-tx2.in -o requirements-tx2.txt
	$(COMPILE) --python-platform aarch64-manylinux2014 --python-version 3.6 --only-binary :all: \
	    --no-deps requirements-tx2-worker.in -o requirements-tx2-worker.txt

setup: interpreter
	@$(PYTHON) tools/setup.py $(NAMED)

setup-dev: interpreter
	@$(PYTHON) tools/setup.py --dev $(NAMED)

worker36: interpreter
	@$(PYTHON) tools/setup.py --worker36

python313 python312: python%: interpreter
	@$(PYTHON) tools/setup.py --beside $*

chromium: setup-dev
	@$(PYTHON) tools/setup.py --chromium

interpreter:
	@command -v $(PYTHON) >/dev/null || { \
	    echo "There is no $(PYTHON) here. Install Python 3.11, 3.12 or 3.13 (Debian and Ubuntu: apt-get install python3 python3-venv)."; exit 1; } >&2

clean:  ## forget the environments and caches; runs and photos in .lab stay
	rm -rf .venv .venv36 .venv37 .venv31? .tx2 .mypy_cache .pytest_cache .ruff_cache .hypothesis mutants
	find . -name __pycache__ -prune -exec rm -rf {} +
