"""Whole logs, compared with those that are kept in `golden/`: what a user reads, to the letter.

Times, durations, ids, dates and memory are masked. `UPDATE_GOLDEN=1` keeps what comes now; read the
difference before it is committed."""

import dataclasses

import pytest

from harness.programs import create
from harness.transcript import compare, lines


@dataclasses.dataclass(frozen=True)
class Scene:
    """What is invoked, on what."""

    events: tuple = ({},)
    variables: dict = dataclasses.field(default_factory=dict)
    extensions: tuple = ()
    settings: dict = dataclasses.field(default_factory=dict)


def failing(mode, times, **more):
    """Init fails so many times."""
    return Scene(variables={"TEST_RUNTIME_MODE": mode, "TEST_RUNTIME_TIMES": str(times)}, **more)


LOG = {"mode": "log", "text": "a line of the function"}
SCENES = {
    "cold": Scene((LOG,)),
    "warm": Scene((LOG, LOG)),
    "timeout": Scene(({"mode": "hang"}, {}), settings={"Timeout": 1}),
    "crash": Scene(({"mode": "exit:1"}, {})),
    "out-of-memory": Scene(({"mode": "out-of-memory"}, {})),
    "function-error": Scene(({"mode": "error"},)),
    "init-error": failing("init-error", 2, events=({}, {})),
    "suppressed-init-works": failing("exit:1", 1),
    "suppressed-init-fails": failing("exit:1", 2, events=({}, {})),
    "extension": Scene(extensions=("ext",), events=({}, {})),
    "crash-with-an-extension": Scene(
        # By then the extension waits for its next event.
        extensions=("ext",),
        events=({"mode": "exit:1", "after_ms": 300}, {}),
    ),
}


@pytest.fixture(scope="module")
def server_flags():
    """The whole CPU, so that nothing but what is meant runs into a second's timeout."""
    return ("--cpu", "full")


def play(aws, name, scene):
    """Invokes all of it; the name of the function."""
    settings = {"Timeout": 10, **scene.settings}
    create(aws, name, scene.extensions, variables=scene.variables, **settings)
    for event in scene.events:
        aws.invoke(name, event)
    return name


@pytest.mark.parametrize("scene", SCENES)
def test_the_log_is_as_it_was(aws, scene):
    name = play(aws, f"golden-{scene}", SCENES[scene])
    compare(f"log-{scene}", "\n".join(lines(aws, name, len(SCENES[scene].events))))


def test_the_log_of_a_shutdown_with_an_extension_is_as_it_was(aws):
    name = play(aws, "golden-shutdown", Scene(extensions=("ext",)))
    # New code ends the environment of the old one.
    aws.update_code(name, {"bootstrap": "#!/bin/sh\nexit 1\n"})
    compare("log-shutdown", "\n".join(lines(aws, name, 1, last="ext SHUTDOWN")))
