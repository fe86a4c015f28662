"""Whole logs and telemetry, compared with those that are kept in `golden/`: what a user reads and a
subscriber gets, to the letter.

Times, durations, ids, dates and memory are masked. `UPDATE_GOLDEN=1` keeps what comes now; read the
difference before it is committed."""

import dataclasses
import json

import pytest

from harness.programs import create
from harness.transcript import compare, lines, rested, told
from harness.waiting import eventually


@dataclasses.dataclass(frozen=True)
class Scene:
    """What is invoked, on what."""

    events: tuple = ({},)
    variables: dict = dataclasses.field(default_factory=dict)
    extensions: tuple = ()
    settings: dict = dataclasses.field(default_factory=dict)
    # How a line begins whose place is not promised: it is shown at the end.
    moving: str | None = None


# By then an extension has subscribed and waits for its first event.
LATER = {"TEST_RUNTIME_AFTER_MS": "200"}


def failing(mode, times, **more):
    """Init fails so many times."""
    variables = {"TEST_RUNTIME_MODE": mode, "TEST_RUNTIME_TIMES": str(times), **LATER}
    return Scene(variables=variables, **more)


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
    "suppressed-init-fails-with-an-extension": failing(
        "exit:1", 2, events=({}, {}), extensions=("ext",), moving="ext SHUTDOWN"
    ),
    "extension": Scene(extensions=("ext",), events=({}, {})),
    "crash-with-an-extension": Scene(
        # By then the extension waits for its next event.
        extensions=("ext",),
        events=({"mode": "exit:1", "after_ms": 300}, {}),
        moving="ext SHUTDOWN",
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
        rested(aws, name)
    return name


@pytest.mark.parametrize("scene", SCENES)
def test_the_log_is_as_it_was(aws, scene):
    acted = SCENES[scene]
    name = play(aws, f"golden-{scene}", acted)
    found = lines(aws, name, len(acted.events), acted.moving or "")
    if acted.moving:
        moving = [line for line in found if line.startswith(acted.moving)]
        found = [line for line in found if line not in moving] + ["--- anywhere:", *moving]
    compare(f"log-{scene}", "\n".join(found))


def test_the_log_of_a_shutdown_with_an_extension_is_as_it_was(aws):
    name = play(aws, "golden-shutdown", Scene(extensions=("ext",)))
    # New code ends the environment of the old one.
    aws.update_code(name, {"bootstrap": "#!/bin/sh\nexit 1\n"})
    compare("log-shutdown", "\n".join(lines(aws, name, 1, last="ext SHUTDOWN")))


# --- Telemetry --------------------------------------------------------------------------------

HEARD = [
    "cold",
    "warm",
    "timeout",
    "crash-with-an-extension",
    "out-of-memory",
    "function-error",
    "init-error",
    "suppressed-init-works",
    "suppressed-init-fails",
]
# The schema that extensions of vendors ask for.
USUAL = "2022-12-13"
READ = {"mode": "read-file", "path": "/tmp/telemetry-ext.jsonl"}


def heard(aws, name, reports):
    """What the subscriber got up to the report of so many invocations."""

    def look():
        # Each look is an invocation itself, and telemetry has come when it runs.
        kept = (aws.invoke(name, READ, tail=False).payload or "").splitlines()
        ends = [at for at, line in enumerate(kept) if json.loads(line)["type"] == "platform.report"]
        return kept[: ends[reports - 1] + 1] if len(ends) >= reports else None

    return eventually(look, f"{reports} reports heard by the extension of {name}")


def subscribed(scene, how, types, schema):
    variables = {
        "TEST_EXTENSION_TELEMETRY": how,
        "TEST_EXTENSION_TYPES": types,
        "TEST_EXTENSION_SCHEMA": schema,
        **LATER,
    }
    return dataclasses.replace(
        scene, variables=scene.variables | variables, extensions=("ext",), moving=None
    )


@pytest.mark.parametrize("scene", HEARD)
def test_the_events_of_the_platform_are_as_they_were(aws, scene):
    acted = SCENES[scene]
    name = play(aws, f"heard-{scene}", subscribed(acted, "http", "platform", USUAL))
    compare(f"telemetry-{scene}", told(heard(aws, name, len(acted.events))))


# The transcript's name, how it is delivered, and the schema.
WAYS = {
    "telemetry by TCP": ("telemetry-cold", "tcp", USUAL),
    "telemetry of 2022-07": ("telemetry-cold-2022-07-01", "http", "2022-07-01"),
    "telemetry of 2025": ("telemetry-cold-2025-01-29", "http", "2025-01-29"),
    "logs by HTTP": ("logs-cold", "logs-http", "2021-03-18"),
    "logs by TCP": ("logs-cold", "logs-tcp", "2021-03-18"),
    "logs of 2020": ("logs-cold-2020-08-15", "logs-http", "2020-08-15"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_and_schema_brings_what_it_brought(aws, way):
    transcript, how, schema = WAYS[way]
    name = f"way-{way.replace(' ', '-')}"
    play(aws, name, subscribed(SCENES["cold"], how, "platform", schema))
    compare(transcript, told(heard(aws, name, 1)))


def test_the_lines_of_the_function_are_events(aws):
    name = play(aws, "function-lines", subscribed(SCENES["warm"], "http", "function", USUAL))

    def look():
        kept = (aws.invoke(name, READ, tail=False).payload or "").splitlines()
        return kept if len(kept) >= 2 else None

    compare("telemetry-function", told(eventually(look, "both lines are heard")[:2]))
