"""Functions and layers made of the test runtime and the test extension (`conformance/programs`)."""

import functools
import os
from pathlib import Path

from harness.code import package
from harness.server import ROOT

BUILD = "cargo build --release -p conformance-programs --target x86_64-unknown-linux-musl"
RUNTIME = "provided.al2023"


@functools.cache
def directory():
    """Where the programs lie: DORMOUSE_TEST_PROGRAMS, or the newest that cargo has built."""
    given = os.environ.get("DORMOUSE_TEST_PROGRAMS")
    target = ROOT.parent / "target"
    places = [Path(given)] if given else [
        *target.glob("*-musl/release"),
        *target.glob("*-musl/debug"),
        target / "release",
        target / "debug",
    ]
    built = [place for place in places if (place / "test-runtime").is_file()]
    if not built:
        where = given or target
        raise RuntimeError(
            f"no test-runtime below {where}: run `{BUILD}` (without --target where rustup has no "
            "musl) or set DORMOUSE_TEST_PROGRAMS"
        )
    return max(built, key=lambda place: (place / "test-runtime").stat().st_mtime)


@functools.cache
def runtime_zip():
    """A package whose runtime is the test runtime."""
    return package({"bootstrap": (directory() / "test-runtime").read_bytes()})


@functools.cache
def extensions_zip(*names):
    """A layer with the test extension under each of the names."""
    program = (directory() / "test-extension").read_bytes()
    return package({f"extensions/{name}": program for name in names})


def layer_of(aws, *names):
    """Publishes such a layer; its ARN."""
    layer = f"extensions-{len(names)}-{names[0]}"
    published = aws.functions.publish_layer_version(
        LayerName=layer, Content={"ZipFile": extensions_zip(*names)}
    )
    return published["LayerVersionArn"]


def create(aws, name, extensions=(), layers=(), variables=None, **settings):
    """Creates a function of the test runtime, with test extensions of these names."""
    if extensions:
        layers = [*layers, layer_of(aws, *extensions)]
    if variables:
        settings["Environment"] = {"Variables": variables}
    if layers:
        settings["Layers"] = list(layers)
    settings = {"Timeout": 10, "MemorySize": 256, **settings}
    return aws.create(name, runtime_zip(), RUNTIME, handler="any.thing", **settings)
