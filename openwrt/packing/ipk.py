"""Writes .ipk, the packages of opkg: a gzipped tar of debian-binary, data.tar.gz and control.tar.gz."""

import io
import tarfile

from .tree import Tree, gzip


def tar(tree, epoch):
    """A GNU tar of the tree, owned by root, sorted, every path with ./ before it; not compressed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, "./", 0o755, None, epoch)
        for path, node in tree.sorted():
            _add(archive, "./" + path, node.mode, node.content, epoch)
    return out.getvalue()


def _add(archive, name, mode, content, epoch):
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = mode, epoch
    if content is None:
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
    else:
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


class Payload:
    """data.tar.gz, which packages for several names share."""

    def __init__(self, tree, epoch, deflate):
        plain = tar(tree, epoch)
        self.installed_size = len(plain)
        self.packed = gzip(plain, deflate)


def build(fields, description, payload, conffiles, scripts, epoch):
    """The whole package. `fields` are (name, value) in order, without Installed-Size and Description."""
    lines = [f"{name}: {value}" for name, value in fields if value]
    lines.append(f"Installed-Size: {payload.installed_size}")
    lines.append("Description: " + "\n ".join(description))
    control = Tree()
    control.file("control", ("\n".join(lines) + "\n").encode(), 0o644)
    if conffiles:
        control.file("conffiles", "".join(f"{path}\n" for path in conffiles).encode(), 0o644)
    for name, text in scripts.items():
        control.file(name, text.encode(), 0o755)
    outer = io.BytesIO()
    with tarfile.open(fileobj=outer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, "./debian-binary", 0o644, b"2.0\n", epoch)
        _add(archive, "./data.tar.gz", 0o644, payload.packed, epoch)
        _add(archive, "./control.tar.gz", 0o644, gzip(tar(control, epoch)), epoch)
    return gzip(outer.getvalue())
