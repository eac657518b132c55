# The simulated Wi-Fi: included by the Makefile.
#
#   make rig     installs what it needs (Debian 12; root or sudo for packages), quick when all is there
#   make demo    builds latchkey and shows real hostapd and wpa_supplicant with it, in both modes

.PHONY: rig demo

rig:
	@tests/rig/install.sh

# An unoptimised latchkey would do, but not in the emulator, where it runs ten times slower; the release profile's link-time
# optimisation takes minutes and shows nothing here. The dev profile optimises the dependencies: that is where the time goes.
demo: rig
	@cargo build --locked
	@tests/rig/demo.sh "$${CARGO_TARGET_DIR:-target}/debug/latchkey"
