"""Reads what a package consists of from its feed Makefile, so that it is written down once.

Understood are `NAME:=value`, `define NAME ... endef`, and in install recipes INSTALL_DIR, INSTALL_BIN, INSTALL_CONF and
INSTALL_DATA with one file each. Anything else in a recipe is an error: it would be missing from the packages."""

import re
from pathlib import Path

from .tree import Tree

_MODES = {"INSTALL_DIR": 0o755, "INSTALL_BIN": 0o755, "INSTALL_CONF": 0o600, "INSTALL_DATA": 0o644}
_RECIPE = re.compile(r"\t\$\((INSTALL_[A-Z]+)\)(?: -m(0?[0-7]{3}))? (\S+)(?: (\S+))?$")
_SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


class Feed:
    """One Makefile."""

    def __init__(self, makefile):
        self.folder = Path(makefile).parent
        self.path = makefile
        self.variables, self.defines = {}, {}
        name, body = None, []
        for line in Path(makefile).read_text().splitlines():
            if name is None:
                if opened := re.fullmatch(r"define (\S+)", line):
                    name, body = opened[1], []
                elif assigned := re.fullmatch(r"(\w+):=(.*)", line):
                    self.variables[assigned[1]] = assigned[2].strip()
            elif line == "endef":
                self.defines[name], name = body, None
            else:
                body.append(line)
        self.name = self.variables["PKG_NAME"]

    def field(self, name):
        """NAME:= of the package's own section."""
        for line in self.defines.get(f"Package/{self.name}", []):
            key, separator, value = line.strip().partition(":=")
            if separator and key == name:
                return value.strip()
        return ""

    def text(self, part):
        """The lines of Package/.../part as make gives them to the shell."""
        return [line.replace("$$", "$") for line in self.defines.get(f"Package/{self.name}/{part}", [])]

    def version(self, separator):
        return f"{self.variables['PKG_VERSION']}{separator}{self.variables['PKG_RELEASE']}"

    def depends(self, value):
        """Packages, without conditions (@...) and variables of the build."""
        return [word[1:] for word in value.split() if word.startswith("+")]

    def scripts(self):
        found = {part: self.text(part) for part in _SCRIPTS}
        return {part: "\n".join(lines) + "\n" for part, lines in found.items() if lines}

    def tree(self, binary):
        """What is installed; `binary` is what cargo makes."""
        tree = Tree()
        for line in self.defines[f"Package/{self.name}/install"]:
            recipe = _RECIPE.match(line)
            if not recipe:
                raise ValueError(f"{self.path}: this recipe is not understood: {line.strip()}")
            kind, mode, source, target = recipe.groups()
            mode = int(mode, 8) if mode else _MODES[kind]
            if (kind == "INSTALL_DIR") != (target is None) or not (target or source).startswith("$(1)/"):
                raise ValueError(f"{self.path}: this recipe is not understood: {line.strip()}")
            if kind == "INSTALL_DIR":
                tree.directory(source[4:], mode)
                continue
            content = binary if source.startswith("$(PKG_INSTALL_DIR)/") else (self.folder / source).read_bytes()
            tree.file(target[4:], content, mode)
        return tree
