"""AWS's runtime clients for Node and Rust, as npm and crates.io have them (`conformance/clients`).

Owns where they are kept below `target/`. What they must do is the tests' to say."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.clients import FENCE
from harness.server import ROOT, environment

CLIENTS = ROOT / "clients"
KEPT = ROOT.parent / "target" / "clients"
# npm's aws-lambda-ric compiles curl and a part of its own when it is installed.
NODE_TOOLS = ("npm", "cmake", "g++", "make", "python3", "xz")
RUST_BUILD = f"cargo build --locked --manifest-path {CLIENTS}/rust/Cargo.toml --target-dir {KEPT}/rust"


@functools.cache
def node_modules():
    """The installed packages of `clients/node`, by their place in a function's package."""
    place = KEPT / "node"
    lock = CLIENTS / "node" / "package-lock.json"
    installed = place / lock.name
    if not installed.is_file() or installed.read_bytes() != lock.read_bytes():
        _install_node(place, lock)
    # Only the client itself is needed when it runs; the rest compiled it.
    client = place / "node_modules" / "aws-lambda-ric"
    wanted = [client / "package.json", client / "index.mjs", client / "rapid-client.node"]
    return {str(path.relative_to(place)): path.read_bytes() for path in wanted}


def _install_node(place, lock):
    missing = [tool for tool in NODE_TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(
            f"aws-lambda-ric cannot be compiled, missing: {', '.join(missing)}; install them with: "
            "apt-get install npm cmake g++ make python3 xz-utils"
        )
    unfinished = place.with_name(f"{place.name}.{os.getpid()}")
    shutil.rmtree(place, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        shutil.copy(lock.with_name("package.json"), unfinished)
        shutil.copy(lock, unfinished)
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"],
            cwd=unfinished, env=_npm_environment(), capture_output=True, text=True, check=False,
        )
        assert done.returncode == 0, f"npm ci: {done.stdout[-2000:]}{done.stderr[-5000:]}"
        unfinished.rename(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _npm_environment():
    """npm is no client of a server: it is let out through the fence that those have. Names Node's headers
    to node-gyp where they lie beside Node: without that it downloads them."""
    prefix = Path(shutil.which("node") or "/usr/bin/node").resolve().parent.parent
    found = (prefix / "include/node/common.gypi").is_file()
    outside = {key: value for key, value in environment().items() if FENCE.get(key) != value}
    return outside | ({"npm_config_nodedir": str(prefix)} if found else {})


def rust(name):
    """A program of `clients/rust`; where none is built, the test is skipped aloud."""
    given = os.environ.get("DORMOUSE_TEST_CLIENTS")
    places = [Path(given)] if given else [*KEPT.glob("rust/*-musl/debug"), KEPT / "rust" / "debug"]
    built = [place / name for place in places if (place / name).is_file()]
    if not built:
        pytest.skip(f"functions of lambda_runtime are not built: `cargo xtask test` does, or `{RUST_BUILD}`")
    return max(built, key=lambda path: path.stat().st_mtime).read_bytes()
