# make docs: the documentation in docs/_build/html, warnings as errors;  make docs-fast: the gallery is not run.
.PHONY: docs docs-fast docs-clean

docs:
	$(MAKE) -C docs html

docs-fast:
	$(MAKE) -C docs fast

docs-clean:
	$(MAKE) -C docs clean
