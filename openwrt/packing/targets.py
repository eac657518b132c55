"""Which binary is for which of the names that package managers know processors by.

opkg and apk install a package only when it names the router's own architecture, and that name is as much about how the
distribution was compiled (aarch64_cortex-a53) as about what runs. Our binaries are static: one runs on all processors
of its family. So the same binary is packed once for each name. "all" would be wrong: it would be installed anywhere.
"""

AARCH64 = "aarch64-unknown-linux-musl"
# Soft float: it runs on every ARMv7, and some of those below have no floating point unit.
ARMV7 = "armv7-unknown-linux-musleabi"
MIPSEL = "mipsel-unknown-linux-musl"
X86_64 = "x86_64-unknown-linux-musl"

# Name of OpenWrt: triple. Which name a router has, say `opkg print-architecture` (the line with the highest number) and
# /etc/apk/arch.
OPENWRT = {
    "aarch64_cortex-a53": AARCH64,  # mediatek filogic, qualcommax, mvebu, bcm27xx ...
    "aarch64_cortex-a72": AARCH64,
    "aarch64_cortex-a76": AARCH64,
    "aarch64_generic": AARCH64,  # rockchip, layerscape, armsr
    "arm_cortex-a5_vfpv4": ARMV7,
    "arm_cortex-a7": ARMV7,  # en7523, mt7629
    "arm_cortex-a7_neon-vfpv4": ARMV7,  # ipq40xx, mt7623, sunxi, Raspberry Pi 2
    "arm_cortex-a7_vfpv4": ARMV7,
    "arm_cortex-a8_vfpv3": ARMV7,
    "arm_cortex-a9": ARMV7,  # bcm53xx: no floating point unit
    "arm_cortex-a9_neon": ARMV7,
    "arm_cortex-a9_vfpv3-d16": ARMV7,  # mvebu: Linksys WRT
    "arm_cortex-a15_neon-vfpv4": ARMV7,  # ipq806x
    "mipsel_24kc": MIPSEL,  # ramips: mt7621, mt76x8
    "mipsel_74kc": MIPSEL,
    "x86_64": X86_64,
}

# Name of Entware (configs/*.config of its sources, CONFIG_TARGET_ARCH_PACKAGES): triple.
ENTWARE = {
    "aarch64-3.10": AARCH64,
    "armv7-3.2": ARMV7,
    "mipsel-3.4": MIPSEL,
    "x64-3.2": X86_64,
}
