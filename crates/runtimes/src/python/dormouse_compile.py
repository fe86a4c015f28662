"""Compiles all python source below a directory and writes an archive of it to standard output: see
dormouse_bytecode.py. Runs in a sandbox of its own, and never runs what it compiles.

Left out is what importlib would not use or users would miss: source with a file in `__pycache__`, source that
does not compile, and source that a warning is given for, which belongs into the log of each Init.
"""

import marshal
import os
import py_compile
import sys
import warnings
from importlib.util import cache_from_source

import dormouse_bytecode

COMPILED = "/tmp/compiled.pyc"


def main(root, archive):
    warnings.simplefilter("error")
    index, end = {}, 0
    for source in sources(root):
        kept_at = cache_from_source(source)
        bytecode = None if os.path.lexists(kept_at) else compiled(source)
        if bytecode is not None:
            archive.write(bytecode)
            index[kept_at] = end, len(bytecode)
            end += len(bytecode)
    archive.write(marshal.dumps(index))
    archive.write(end.to_bytes(dormouse_bytecode.NUMBER_BYTES, "little"))
    archive.flush()


def sources(root):
    for directory, inside, files in os.walk(root):
        inside.sort()
        for name in sorted(files):
            if name.endswith(".py"):
                yield directory + "/" + name


def compiled(source):
    try:
        py_compile.compile(
            source, COMPILED, doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
        with open(COMPILED, "rb") as file:
            return file.read()
    except Exception:  # whatever is wrong with it is told to who imports it
        return None


main(sys.argv[1], sys.stdout.buffer)
