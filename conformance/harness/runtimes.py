"""Which runtimes this machine has, asked of the program itself."""

import functools
import subprocess

import pytest

from harness.server import binary, environment


@functools.cache
def table():
    """Runtime identifier to how near the interpreter is: exact, nearest, missing."""
    done = subprocess.run(
        [binary(), "runtimes"], env=environment(), capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    return {fields[0]: fields[1] for fields in lines if len(fields) > 1}


def managed(prefix):
    """A runtime of a language, preferably with its exact interpreter; without one the test is skipped aloud."""
    known = {name: how for name, how in table().items() if name.startswith(prefix)}
    for wanted in ("exact", "nearest"):
        for name, how in sorted(known.items(), key=lambda item: _version(item[0]), reverse=True):
            if how == wanted:
                return name
    return pytest.skip(f"this machine has no interpreter for {prefix}: install python3 or nodejs")


def _version(name):
    return [int(part) for part in name.strip("abcdefghijklmnopqrstuvwxyz.").split(".") if part.isdigit()]
