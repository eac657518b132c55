# The pages of LuCI in a browser, against the daemon itself; included by the Makefile.

CARGO ?= cargo

.PHONY: luci-test
luci-test: ## Lints of the LuCI pages, and every page in a browser
	@.ci/setup browser
	@cd tests/luci && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent; }
	cd tests/luci && npm run --silent lint
	$(CARGO) build --locked
	cd tests/luci && LATCHKEY="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/debug/latchkey" npm test --silent
