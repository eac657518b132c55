"""Makes OpenWrt packages without OpenWrt's SDK. Standard library only."""
