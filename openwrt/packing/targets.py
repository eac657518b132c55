"""Which binary is for which of the names that package managers know processors by.

opkg and apk install a package only when it names the router's own architecture, and that name is as much about how the
distribution was compiled (aarch64_cortex-a53) as about what runs. Our binaries are static: one runs on all processors
of its family. So the same binary is packed once for each name. "all" would be wrong: it would be installed anywhere.
"""

AARCH64 = "aarch64-unknown-linux-musl"
ARMV7_SOFT = "armv7-unknown-linux-musleabi"
ARMV7_HARD = "armv7-unknown-linux-musleabihf"
MIPSEL = "mipsel-unknown-linux-musl"
X86_64 = "x86_64-unknown-linux-musl"

# Processors whose name has no floating point unit in it may have none: there only soft float runs.
_ANY_ARM = (ARMV7_SOFT, ARMV7_HARD)
_SOFT_ARM = (ARMV7_SOFT,)

# Name of OpenWrt: triples that run there, the best first. Where to find which name a router has:
# `opkg print-architecture` (the line with the highest number) or /etc/apk/arch.
OPENWRT = {
    "aarch64_cortex-a53": (AARCH64,),  # mediatek filogic, qualcommax, mvebu, bcm27xx ...
    "aarch64_cortex-a72": (AARCH64,),
    "aarch64_cortex-a76": (AARCH64,),
    "aarch64_generic": (AARCH64,),  # rockchip, layerscape, armsr
    "arm_cortex-a5_vfpv4": _ANY_ARM,
    "arm_cortex-a7": _SOFT_ARM,  # airoha en7523, mediatek mt7629
    "arm_cortex-a7_neon-vfpv4": _ANY_ARM,  # ipq40xx, mt7623, sunxi
    "arm_cortex-a7_vfpv4": _ANY_ARM,
    "arm_cortex-a8_vfpv3": _ANY_ARM,
    "arm_cortex-a9": _SOFT_ARM,  # bcm53xx: no floating point unit
    "arm_cortex-a9_neon": _ANY_ARM,
    "arm_cortex-a9_vfpv3-d16": _ANY_ARM,  # mvebu: Linksys WRT
    "arm_cortex-a15_neon-vfpv4": _ANY_ARM,  # ipq806x
    "mipsel_24kc": (MIPSEL,),  # ramips: mt7621, mt76x8
    "mipsel_74kc": (MIPSEL,),
    "x86_64": (X86_64,),
}

# Name of Entware (configs/*.config of its sources, CONFIG_TARGET_ARCH_PACKAGES). Its ARM is soft float.
ENTWARE = {
    "aarch64-3.10": (AARCH64,),
    "armv7-3.2": _SOFT_ARM,
    "mipsel-3.4": (MIPSEL,),
    "x64-3.2": (X86_64,),
}
