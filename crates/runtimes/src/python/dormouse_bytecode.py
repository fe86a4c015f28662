"""Bytecode compiled ahead for code that is read-only and has none of its own.

An archive holds files as in `__pycache__`, one behind the other, then a marshalled dictionary from the
path that each would have to its offset and size, and in the last eight bytes where that begins, lowest
byte first. `dormouse_compile.py` writes them.

Owns: where importlib finds what it looks for in `__pycache__`. Must never: judge it. Whether bytecode fits
the interpreter and its source, importlib checks as ever, and if not compiles.
"""

import marshal
import os
from importlib.machinery import SourceFileLoader

NUMBER_BYTES = 8


def use(directory):
    """From now on modules are found in the archives of a directory too."""
    places = {}
    for name in os.listdir(directory):
        archive = directory + "/" + name
        try:
            places.update(contents(archive))
        except Exception:  # it was not kept well: what it is about is compiled
            pass
    beside_the_source = SourceFileLoader.get_data

    def get_data(self, path):
        place = places.get(path)
        if place is not None:
            try:
                return read(*place)
            except OSError:
                pass
        return beside_the_source(self, path)

    get_data.__qualname__ = beside_the_source.__qualname__
    SourceFileLoader.get_data = get_data


def contents(archive):
    """From paths to where their bytecode is: (archive, offset, size)."""
    size = os.stat(archive).st_size
    begin = int.from_bytes(read(archive, size - NUMBER_BYTES, NUMBER_BYTES), "little")
    index = marshal.loads(read(archive, begin, size - NUMBER_BYTES - begin))
    return {path: (archive, offset, size) for path, (offset, size) in index.items()}


def read(archive, offset, size):
    # Opened each time: user code is to find no descriptor that it did not open.
    descriptor = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)
