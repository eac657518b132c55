# The simulated access point; included by the Makefile.

CARGO ?= cargo

.PHONY: rig
rig: ## Install the simulated access point (Debian 12; root or sudo), quick when it is there
	@tests/rig/install.sh

# With the dev profile, in which the dependencies are optimised: that is where the time goes. The release profile's link-time
# optimisation would take minutes and show nothing more.
.PHONY: demo
demo: rig ## Devices join over simulated Wi-Fi, each with its own key; ends with a table
	$(CARGO) build --locked
	@tests/rig/demo.sh "$${CARGO_TARGET_DIR:-target}/debug/latchkey"
