"""The files of a package, and how they are compressed: the same input gives the same octets."""

import struct
import subprocess
import tempfile
import zlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """A regular file, or a directory when there is no content. Everything belongs to root."""

    mode: int
    content: bytes | None


class Tree:
    """Paths without a leading slash; directories are there for each path."""

    def __init__(self):
        self.nodes = {}

    def copy(self):
        other = Tree()
        other.nodes = dict(self.nodes)
        return other

    def directory(self, path, mode=0o755):
        path = path.strip("/")
        self._parents(path)
        if path:
            self.nodes[path] = Node(mode, None)

    def file(self, path, content, mode):
        path = path.strip("/")
        if path in self.nodes:
            raise ValueError(f"/{path} is installed twice")
        self._parents(path)
        self.nodes[path] = Node(mode, content)

    def _parents(self, path):
        parent = path.rpartition("/")[0]
        if parent and parent not in self.nodes:
            self.directory(parent)

    def sorted(self):
        """A directory comes before what is in it."""
        return sorted(self.nodes.items(), key=lambda item: item[0].split("/"))

    def files(self):
        return [(path, node) for path, node in self.sorted() if node.content is not None]

    def size(self):
        return sum(len(node.content) for _, node in self.files())


def quick(octets):
    """Raw deflate (RFC 1951) at the best level of zlib."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(octets) + packer.flush()


def thorough(octets):
    """Raw deflate by zopfli: a thirtieth smaller, a hundred times slower."""
    with tempfile.NamedTemporaryFile() as plain:
        plain.write(octets)
        plain.flush()
        command = ["zopfli", "--i5", "--deflate", "-c", plain.name]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def gzip(octets, deflate=quick):
    """RFC 1952 without time and name, as `gzip -n9` writes it."""
    header = b"\x1f\x8b\x08\x00" + b"\0\0\0\0" + b"\x02\x03"
    return header + deflate(octets) + struct.pack("<II", zlib.crc32(octets), len(octets) & 0xFFFFFFFF)
