"""Give Java packages another name: copy the classes of jars, as shading does.

A class file holds all names in the texts of its constant pool
(https://docs.oracle.com/javase/specs/jvms/se17/html/jvms-4.html#jvms-4.4), so nothing
else of it needs to be understood.
"""

from __future__ import annotations

import struct
import typing as t
import zipfile

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TEXT = 1
# The bytes behind the tag of each other constant.
SIZES = dict.fromkeys((3, 4, 9, 10, 11, 12, 17, 18), 4)
SIZES |= {5: 8, 6: 8, 7: 2, 8: 2, 15: 3, 16: 2, 19: 2, 20: 2}
TWO_SLOTS = (5, 6)
HEADER = 8


def relocate(jars: Iterable[Path], old: str, new: str, into: Path) -> None:
    """Write a jar of the classes below package `old`, now below `new`; with slashes."""
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as made:
        for jar in jars:
            with zipfile.ZipFile(jar) as source:
                for name in source.namelist():
                    if name.startswith(old) and name.endswith(".class"):
                        moved = renamed(source.read(name), old.encode(), new.encode())
                        made.writestr(new + name.removeprefix(old), moved)


def renamed(code: bytes, old: bytes, new: bytes) -> bytes:
    """Return a class file with another package name in all of its texts."""
    (count,) = struct.unpack_from(">H", code, HEADER)
    parts, place, slot = [code[: HEADER + 2]], HEADER + 2, 1
    while slot < count:
        tag, end = code[place], place + 1
        if tag == TEXT:
            (length,) = struct.unpack_from(">H", code, end)
            text = code[end + 2 : end + 2 + length]
            end += 2 + length
            # Both spellings: reflection asks for names with dots.
            text = text.replace(old, new)
            text = text.replace(old.replace(b"/", b"."), new.replace(b"/", b"."))
            parts += [b"\x01", struct.pack(">H", len(text)), text]
        else:
            end += SIZES[tag]
            parts.append(code[place:end])
        place, slot = end, slot + (2 if tag in TWO_SLOTS else 1)
    return b"".join([*parts, code[place:]])
