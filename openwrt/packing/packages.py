"""The packages themselves: what each format adds to the feed's files and scripts."""

import hashlib

from . import apk, ipk
from .feed import Feed
from .tree import Tree

# OpenWrt's own functions do what every package needs: users, uci-defaults, enabling and starting. Where there is only a
# folder instead of a router they may be missing.
_FUNCTIONS = """\
[ -s "${IPKG_INSTROOT}/lib/functions.sh" ] || exit 0
. "${IPKG_INSTROOT}/lib/functions.sh"
"""
_NO_SCRIPT = '[ "${IPKG_NO_SCRIPT}" = 1 ] && exit 0\n'


class OpenWrt:
    """A package of the feed, once its files are known."""

    def __init__(self, feed, tree, depends, section, architecture_free):
        self.feed, self.depends, self.section = feed, depends, section
        self.architecture_free = architecture_free
        self.name = feed.name
        self.version = feed.version("-r")
        self.description = _description(feed)
        self.user = feed.field("USERID")
        self.kept = [line for line in feed.text("conffiles") if line]
        self.tree = _kept(self.name, tree, self.kept)

    def compress(self, epoch, deflate):
        """What takes long, and is the same for each architecture's name."""
        tree = self.tree.copy()
        self._notes_for_openwrt(tree)
        self.ipk_payload, self.apk_payload = ipk.Payload(self.tree, epoch, deflate), apk.Payload(tree, epoch, deflate)
        return self

    def outputs(self, architecture, epoch):
        """Names of files, and what is in them."""
        return {
            f"{self.name}_{self.version}_{architecture}.ipk": self.ipk(architecture, epoch),
            f"{self.name}-{self.version}.apk": self.apk(architecture, epoch),
        }

    def ipk(self, architecture, epoch):
        scripts = {}
        for part, text in self.feed.scripts().items():
            scripts[part if part in ("preinst", "postrm") else f"{part}-pkg"] = text
        scripts["postinst"] = f'#!/bin/sh\n{_NO_SCRIPT}{_FUNCTIONS}default_postinst "$0" "$@"\n'
        scripts["prerm"] = f'#!/bin/sh\n{_FUNCTIONS}default_prerm "$0" "$@"\n'
        fields = _control(self, "all" if self.architecture_free else architecture, self.version, epoch)
        files = [path for path in self.kept if path.strip("/") in dict(self.tree.files())]
        return ipk.build(fields, self.description, self.ipk_payload, files, scripts, epoch)

    def apk(self, architecture, epoch):
        own = self.feed.scripts()
        head = f'export root="${{IPKG_INSTROOT}}"\nexport pkgname="{self.name}"\n'
        install = f"{_NO_SCRIPT}{_FUNCTIONS}{head}add_group_and_user\ndefault_postinst\n{_body(own, 'postinst')}"
        scripts = {
            "post-install": "#!/bin/sh\n" + install,
            "post-upgrade": "#!/bin/sh\nexport PKG_UPGRADE=1\n" + install,
            "pre-deinstall": f"#!/bin/sh\n{_FUNCTIONS}{head}default_prerm\n{_body(own, 'prerm')}",
        }
        if "preinst" in own:
            scripts["pre-install"] = own["preinst"]
            scripts["pre-upgrade"] = "#!/bin/sh\nexport PKG_UPGRADE=1\n" + _body(own, "preinst")
        if "postrm" in own:
            scripts["post-deinstall"] = own["postrm"]
        info = {
            "name": self.name,
            "version": self.version,
            "description": " ".join(self.description),
            "arch": "noarch" if self.architecture_free else architecture,
            "license": self.feed.variables["PKG_LICENSE"],
            "origin": self.name,
            "maintainer": self.feed.variables["PKG_MAINTAINER"],
        }
        return apk.build(info, self.depends, self.apk_payload, scripts, epoch)

    def _notes_for_openwrt(self, tree):
        """What opkg keeps in its own database, OpenWrt's scripts find in /lib/apk/packages with apk."""
        at = f"lib/apk/packages/{self.name}"
        if self.user:
            tree.file(f"{at}.rusers", f"{self.user}\n".encode(), 0o644)
        listed = "".join(f"/{path}\n" for path, _ in tree.files())
        tree.file(f"{at}.list", listed.encode(), 0o644)
        if self.kept:
            tree.file(f"{at}.conffiles", "".join(f"{path}\n" for path in self.kept).encode(), 0o644)
            files = dict(tree.files())
            sums = [(path, files[path[1:]].content) for path in self.kept if path[1:] in files]
            text = "".join(f"{path} {hashlib.sha256(content).hexdigest()}\n" for path, content in sums)
            tree.file(f"{at}.conffiles_static", text.encode(), 0o644)


class Entware:
    """A package for /opt: its scripts are run as they are."""

    def __init__(self, feed, tree):
        self.feed, self.tree = feed, tree
        self.name, self.section, self.user, self.depends = feed.name, feed.field("SECTION"), "", []
        self.version = feed.version("-")

    def compress(self, epoch, deflate):
        """As of OpenWrt's packages."""
        self.payload = ipk.Payload(self.tree, epoch, deflate)
        return self

    def outputs(self, architecture, epoch):
        """As of OpenWrt's packages."""
        fields = _control(self, architecture, self.version, epoch)
        conffiles = [line for line in self.feed.text("conffiles") if line]
        octets = ipk.build(fields, _description(self.feed), self.payload, conffiles, self.feed.scripts(), epoch)
        return {f"{self.name}_{self.version}_{architecture}.ipk": octets}


def latchkey(openwrt, binary):
    """The daemon with this binary, as a package of OpenWrt."""
    feed = Feed(openwrt / "latchkey/Makefile")
    return OpenWrt(feed, feed.tree(binary), feed.depends(feed.field("DEPENDS")), feed.field("SECTION"), False)


def latchkey_for_entware(openwrt, binary):
    """The daemon with this binary, as a package of Entware."""
    feed = Feed(openwrt.parent / "entware/latchkey/Makefile")
    return Entware(feed, feed.tree(binary))


def luci_app(openwrt):
    """The LuCI app: htdocs goes to /www, root to /, as luci.mk does it."""
    feed = Feed(openwrt / "luci-app-latchkey/Makefile")
    tree = Tree()
    for source, target in (("htdocs", "www"), ("root", "")):
        folder = feed.folder / source
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                tree.file(f"{target}/{path.relative_to(folder)}", path.read_bytes(), mode)
    return OpenWrt(feed, tree, feed.depends(feed.variables["LUCI_DEPENDS"]), "luci", True)


def _description(feed):
    lines = feed.text("description") or [feed.variables["LUCI_DESCRIPTION"]]
    title = feed.field("TITLE") or feed.variables["LUCI_TITLE"]
    return [title + "."] + [line.strip() for line in lines]


def _control(package, architecture, version, epoch):
    variables = package.feed.variables
    return [
        ("Package", package.name),
        ("Version", version),
        ("Depends", ", ".join(package.depends)),
        ("SourceName", package.name),
        ("License", variables["PKG_LICENSE"]),
        ("Section", package.section),
        ("Require-User", package.user),
        ("SourceDateEpoch", str(epoch)),
        ("Maintainer", variables["PKG_MAINTAINER"]),
        ("Architecture", architecture),
    ]


def _kept(name, tree, paths):
    """sysupgrade keeps conffiles by itself; of what is no file of the package it has to be told."""
    files = dict(tree.files())
    others = [path for path in paths if path.strip("/") not in files]
    if others:
        tree.file(f"lib/upgrade/keep.d/{name}", "".join(f"{path}\n" for path in others).encode(), 0o644)
    return tree


def _body(scripts, part):
    return "".join(line + "\n" for line in scripts.get(part, "").splitlines() if not line.startswith("#!"))
