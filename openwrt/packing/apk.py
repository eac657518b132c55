"""Writes .apk of version 3, the packages of apk-tools 3: an ADB, which says everything about the package, and after it
the content of its files. The format is described in apk-v3(5) of apk-tools."""

import hashlib
import struct
import zlib

_INT, _INT32, _INT64 = 0x10000000, 0x20000000, 0x30000000
_BLOB8, _BLOB16, _BLOB32 = 0x80000000, 0x90000000, 0xA0000000
_ARRAY, _OBJECT = 0xD0000000, 0xE0000000
_ADB_BLOCK, _DATA_BLOCK = 0, 2
# Octets of the identity in a package's information.
_IDENTITY = 20


class Adb:
    """A database being written: a value is a tag and a number, or the place where it lies."""

    def __init__(self):
        self.octets = bytearray(8)
        self._places = {}

    def _lay(self, octets, align, share=True):
        place = self._places.get(octets)
        if share and place is not None and place % align == 0:
            return place
        self.octets += bytes(-len(self.octets) % align)
        place = len(self.octets)
        self.octets += octets
        if share:
            self._places[octets] = place
        return place

    def integer(self, number):
        if number < 1 << 28:
            return _INT | number
        if number < 1 << 32:
            return _INT32 | self._lay(struct.pack("<I", number), 4)
        return _INT64 | self._lay(struct.pack("<Q", number), 4)

    def blob(self, octets, share=True):
        if isinstance(octets, str):
            octets = octets.encode()
        if not octets:
            return 0
        if len(octets) < 1 << 8:
            return _BLOB8 | self._lay(bytes([len(octets)]) + octets, 1, share)
        if len(octets) < 1 << 16:
            return _BLOB16 | self._lay(struct.pack("<H", len(octets)) + octets, 2, share)
        return _BLOB32 | self._lay(struct.pack("<I", len(octets)) + octets, 4, share)

    def array(self, values):
        return self._slots(_ARRAY, values)

    def record(self, fields):
        """An object: {number of the field: value}."""
        return self._slots(_OBJECT, [fields.get(number, 0) for number in range(1, max(fields, default=0) + 1)])

    def _slots(self, tag, values):
        values = list(values)
        while values and values[-1] == 0:
            values.pop()
        if not values:
            return 0
        return tag | self._lay(struct.pack(f"<{len(values) + 1}I", len(values) + 1, *values), 4)

    def finish(self, root):
        struct.pack_into("<BBHI", self.octets, 0, 0, 0, 0, root)


_INFO = {
    "name": 1, "version": 2, "description": 4, "arch": 5, "license": 6, "origin": 7, "maintainer": 8, "url": 9,
}  # fmt: skip
_SCRIPTS = {
    "pre-install": 2, "post-install": 3, "pre-deinstall": 4, "post-deinstall": 5, "pre-upgrade": 6, "post-upgrade": 7,
}  # fmt: skip


class Payload:
    """Where the files are, and their content, which packages for several names share."""

    def __init__(self, tree, epoch, deflate):
        self.size = tree.size()
        # (path, mode, [(name, file)]) of each folder, the root first.
        folders = {"": (0o755, {})}
        for path, node in tree.sorted():
            if node.content is None:
                folders[path] = node.mode, {}
            else:
                folder, _, name = path.rpartition("/")
                folders[folder][1][name] = node
        self.folders = [(path, mode, sorted(files.items())) for path, (mode, files) in sorted(folders.items())]
        blocks = []
        for place, (_, _, files) in enumerate(self.folders, 1):
            for number, (_, node) in enumerate(files, 1):
                if node.content:
                    blocks.append(_block(_DATA_BLOCK, struct.pack("<II", place, number) + node.content))
        self.packed = deflate(b"".join(blocks))

    def paths(self, adb, epoch):
        """The array of folders with their files."""

        def acl(mode):
            return adb.record({1: adb.integer(mode), 2: adb.blob("root"), 3: adb.blob("root")})

        def entry(name, node):
            digest = hashlib.sha256(node.content).digest()
            size, time = adb.integer(len(node.content)), adb.integer(epoch)
            return adb.record({1: adb.blob(name), 2: acl(node.mode), 3: size, 4: time, 5: adb.blob(digest)})

        return adb.array([
            adb.record({1: adb.blob(path), 2: acl(mode), 3: adb.array([entry(*file) for file in files])})
            for path, mode, files in self.folders
        ])  # fmt: skip


def build(info, depends, payload, scripts, epoch):
    """The whole package, compressed, without a signature."""
    adb = Adb()
    identity = adb.blob(bytes(_IDENTITY), share=False)
    fields = {number: adb.blob(info.get(name, "")) for name, number in _INFO.items()}
    fields[3] = identity
    fields[0x0B] = adb.integer(epoch)
    # 0 would mean a package that is only a name, whose scripts are not run.
    fields[0x0C] = adb.integer(max(payload.size, 1))
    fields[0x0F] = adb.array([adb.record({1: adb.blob(name)}) for name in sorted(depends)])
    package = {1: adb.record(fields), 2: payload.paths(adb, epoch)}
    package[3] = adb.record({_SCRIPTS[name]: adb.blob(text) for name, text in scripts.items()})
    adb.finish(adb.record(package))

    # The identity is the digest of everything with zeros in its own place.
    at = (identity & 0x0FFFFFFF) + 1
    adb.octets[at : at + _IDENTITY] = hashlib.sha256(adb.octets).digest()[:_IDENTITY]

    # One stream of deflate in two parts: the second does not look back into the first, so each package has the same.
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = packer.compress(b"ADB.pckg" + _block(_ADB_BLOCK, bytes(adb.octets))) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"ADBd" + head + payload.packed


def _block(kind, payload):
    size = 4 + len(payload)
    return struct.pack("<I", kind << 30 | size) + payload + bytes(-size % 8)
