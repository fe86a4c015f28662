"""A runtime and an extension that do everything wrong, one thing at a time.

One table: what the function is sent, what the caller gets, what the log says; and after each, the
next invocation works. The modes are those of `programs/`."""

import concurrent.futures
import dataclasses
import re
import typing

import pytest

from harness.programs import create
from harness.transcript import PLATFORM, lines, messages, rested

TIMEOUT = "Sandbox.Timedout"
EXIT = "Runtime.ExitError"
INIT_START = (
    "INIT_START Runtime Version: provided:al2023\t"
    "Runtime Version ARN: arn:aws:lambda:us-east-1::runtime:<hash>"
)
START = "START RequestId: <request 1> Version: $LATEST"
END = "END RequestId: <request 1>"


@dataclasses.dataclass(frozen=True)
class Case:
    """One misbehaviour and what must come of it."""

    # The mode of the event, and what else is in it.
    mode: str = ""
    event: dict = dataclasses.field(default_factory=dict)
    # The answer: a value, bytes, a check, or the type and message of an error of the platform.
    payload: object = None
    error: tuple | None = None
    # What the runtime and the extension wrote until all was over, in any order; None is anything.
    told: tuple | None = ()
    # The platform's lines about it: each INIT_REPORT, and what is between START and END.
    before: tuple = ()
    within: tuple = ()
    # The end of the REPORT line.
    report: str = ""
    # Modes of init, extensions and other variables.
    variables: dict = dataclasses.field(default_factory=dict)
    extensions: tuple = ()
    settings: dict = dataclasses.field(default_factory=dict)


def failed(mode, error_type, message, **more):
    """The platform's own error, told to the caller and in the log."""
    line = f"RequestId: <request 1> Error: {message}"
    return Case(
        mode,
        error=(error_type, message),
        within=(line, error_type),
        **{"report": f"Status: error\tError Type: {error_type}", **more},
    )


def timed_out(mode, **more):
    message = "Task timed out after 1.00 seconds"
    return Case(
        mode,
        error=(TIMEOUT, message),
        within=(f"<time> <request 1> {message}", ""),
        report="Status: timeout",
        **{"settings": {"Timeout": 1}, **more},
    )


def of_runtime(mode, case, times=2):
    """A case that begins with so many bad starts."""
    variables = {"TEST_RUNTIME_MODE": mode, "TEST_RUNTIME_TIMES": str(times)}
    return dataclasses.replace(case, variables=variables)


def of_extension(mode, case, names=("ext",), times=None, **variables):
    """A case with extensions that behave so."""
    variables = {"TEST_EXTENSION_MODE": mode, **variables}
    if times is not None:
        variables["TEST_EXTENSION_TIMES"] = str(times)
    return dataclasses.replace(case, variables=variables, extensions=names)


def init_reports(status, *phases):
    return tuple(
        f"INIT_REPORT Init Duration: <ms>\tPhase: {phase}\tStatus: {status}" for phase in phases
    )


def failed_init(error_type, message, told="", reported=None):
    """Two bad starts: during Init, and again within the first invocation."""
    reported = reported or error_type
    return failed(
        "",
        error_type,
        message,
        before=init_reports(f"error\tError Type: {reported}", "init", "invoke"),
        report=f"Status: error\tError Type: {reported}",
        told=(told, told) if told else (),
    )


ENDS = {
    "exit:0": "Runtime exited without providing a reason",
    "exit:1": "Runtime exited with error: exit status 1",
    "exit:255": "Runtime exited with error: exit status 255",
    "segv": "Runtime exited with error: signal: segmentation fault",
    "abort": "Runtime exited with error: signal: aborted",
    "kill": "Runtime exited with error: signal: killed",
}
KILLED = ENDS["kill"]
OUT_OF_MEMORY = "Runtime.OutOfMemory"
INIT_ERROR = {"errorMessage": "no init today", "errorType": "Function.NoInit"}
TOO_LARGE = {
    "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    "errorType": "Function.ResponseSizeTooLarge",
}
MINE = {"errorType": "Function.Mine", "errorMessage": "mine"}


class Error(typing.NamedTuple):
    """An error that is not in the platform's usual wrapping."""

    payload: object


def told_type(error_type):
    return lambda got: isinstance(got, dict) and got.get("errorType") == error_type


RUNTIME = {
    "echo": Case(event={"hello": 1}, payload={"hello": 1}),
    # Ends while an invocation runs.
    **{f"invoke {end}": failed(end, EXIT, message) for end, message in ENDS.items()},
    "invoke out-of-memory": failed(
        "out-of-memory", EXIT, KILLED, report=f"Status: error\tError Type: {OUT_OF_MEMORY}"
    ),
    "invoke hang": timed_out("hang"),
    "invoke hang, deaf to SIGTERM": timed_out(
        "hang", variables={"TEST_RUNTIME_MODE": "ignore-sigterm"}
    ),
    # Ends before the first event, twice.
    **{
        f"init {end}": of_runtime(end, failed_init(EXIT, message, f"init: {end}"))
        for end, message in ENDS.items()
    },
    "init out-of-memory": of_runtime(
        "out-of-memory", failed_init(EXIT, KILLED, "init: out-of-memory", OUT_OF_MEMORY)
    ),
    "init hang": of_runtime(
        "hang",
        timed_out(
            "",
            before=init_reports("timeout", "init", "invoke"),
            told=("init: hang", "init: hang"),
        ),
    ),
    "init/error and exit": of_runtime(
        "init-error",
        Case(
            payload=Error(INIT_ERROR),
            before=init_reports("error\tError Type: Function.NoInit", "init", "invoke"),
            within=("Unknown application error occurred", "Function.NoInit"),
            report="Status: error\tError Type: Function.NoInit",
            told=("init: init-error", "init/error: 202") * 2,
        ),
    ),
    "init/error and stay": of_runtime(
        "init-error-and-stay",
        Case(
            payload=Error(INIT_ERROR),
            before=init_reports("error\tError Type: Function.NoInit", "init", "invoke"),
            within=("Unknown application error occurred", "Function.NoInit"),
            report="Status: error\tError Type: Function.NoInit",
            told=("init: init-error-and-stay", "init/error: 202", "next: 403 InvalidStateTransition") * 2,
        ),
    ),
    "init fails once": of_runtime(
        "exit:1",
        Case(
            event={"hello": 2},
            payload={"hello": 2},
            before=init_reports(f"error\tError Type: {EXIT}", "init"),
            told=("init: exit:1",),
        ),
        times=1,
    ),
    "response before next": of_runtime(
        "response-before-next",
        Case(
            event={"hello": 3},
            payload={"hello": 3},
            told=("init: response-before-next", "response: 403 InvalidStateTransition"),
        ),
        times=1,
    ),
    # Answers of the wrong kind, number or moment.
    "never calls next again": Case(
        "answer-and-hang",
        payload="answered",
        within=("<time> <request 1> Task timed out after 1.00 seconds", ""),
        report="Status: timeout",
        settings={"Timeout": 1},
    ),
    "double response": Case(
        "double-response",
        payload="first",
        told=("first response: 202", "second response: 400 InvalidRequestID"),
    ),
    "response to a wrong id": Case(
        "wrong-id",
        payload="right",
        told=(
            "response to nobody: 400 InvalidRequestID",
            "error to nobody: 400 InvalidRequestID",
            "response: 202",
        ),
    ),
    "response after an error": Case(
        "response-after-error",
        payload=Error(MINE),
        told=("error: 202", "response: 400 InvalidRequestID"),
    ),
    # Without extensions nobody lives past the deadline: the late response is never sent.
    "late response": timed_out("late-response"),
    # With one, the runtime has a moment to end in: long enough to be told that it is too late.
    "late response, deaf to SIGTERM": of_extension(
        "", timed_out("late-response", told=("late response: 400 InvalidRequestID", 'ext SHUTDOWN "timeout"')),
        TEST_RUNTIME_MODE="ignore-sigterm",
    ),
    "init/error after init": Case(
        "init-error-late",
        payload="after init/error",
        told=("init/error: 403 InvalidStateTransition",),
    ),
    "next twice": Case("next-twice", payload={"status": 200, "same": True}),
    # Our own limit of connections closes some; whoever is answered gets the same event.
    "a thousand next at once": Case(
        "parallel-next",
        payload=lambda got: sum(got.values()) == 1000
        and set(got) <= {"same event", "closed"}
        and got["same event"] >= 1,
        settings={"Timeout": 30},
    ),
    # One of them brings the next event. The others wait on and take the places: what it asks for
    # later may be refused, which ends it.
    "a thousand next at once, idle": Case("parallel-next-idle", payload="asking", told=None),
    # Bodies.
    "byte by byte": Case("slow-body", payload="one byte after the other", told=("response: 202",)),
    "truncated body": Case(
        "truncated-body",
        payload=Error(told_type("Runtime.TruncatedResponse")),
        told=("response: 400 TruncatedHTTPRequest",),
    ),
    "truncated chunks": Case(
        "truncated-chunks",
        payload=Error(told_type("Runtime.TruncatedResponse")),
        told=("response: 400 TruncatedHTTPRequest",),
    ),
    "too large": Case(
        "too-large", payload=Error(TOO_LARGE), told=("response: 413 RequestEntityTooLarge",)
    ),
    "no JSON": Case("raw", {"body": "{'not': JSON"}, payload=b"{'not': JSON", told=("response: 202",)),
    "nothing": Case("raw", {"body": ""}, payload=b"", told=("response: 202",)),
    "error with a type of its own": Case(
        "error",
        {"type": "Anything.At.All"},
        payload=Error({"errorType": "Mine", "errorMessage": "mine", "more": 1}),
        told=("error: 202",),
    ),
    "wrong response mode": Case(
        "wrong-response-mode",
        payload=Error(told_type("Runtime.InvalidResponseModeHeader")),
        told=("response: 400 InvalidFunctionResponseMode",),
    ),
    "streamed": Case("streamed", payload="first, second, third", told=("response: 202",)),
    # What went wrong in the middle of a stream does not change what was sent.
    "streamed, with an error in the trailers": Case(
        "streamed-error", payload="first, second, third", told=("response: 202",)
    ),
    # The wire.
    "garbage instead of HTTP": Case("garbage", payload="after garbage", told=("garbage: 400",)),
    "huge headers": Case(
        # The refusal may be lost: the connection is closed while most of them are on the way.
        "huge-headers",
        payload="after huge headers",
        told=(re.compile("huge headers: (431|no answer)"),),
    ),
    # It has asked for more before it can tell: that may be when it is frozen already.
    "pipelined": Case("pipelined", payload="pipelined", told=None),
    # Resources.
    "fork bomb": Case(
        "fork-bomb",
        payload=lambda got: 700 <= got["processes"] <= 1024,
        settings={"MemorySize": 1024, "Timeout": 30},
    ),
    "threads without end": Case(
        "threads", payload=lambda got: 700 <= got["threads"] <= 1024, settings={"Timeout": 30}
    ),
    "a child that stays": Case("leave-child", payload=lambda got: "process" in got),
}


CRASH = "Extension.Crash"
EXTENSION_ENDS = {
    "exit:0": "exit code 0",
    "exit:1": "exit code 1",
    "segv": "signal: segmentation fault",
}
ECHO = Case(event={"hello": 1}, payload={"hello": 1})
# Long enough for an extension to end meanwhile.
LONG = {"mode": "wait", "ms": 5_000}
TRIGGER = {"mode": "write-file", "path": "/tmp/end-of-extension", "wait_ms": 5_000}

# By then an extension waits for its next event.
TOLD_OF_A_CRASH = failed(
    "exit:1", EXIT, ENDS["exit:1"], event={"after_ms": 200}, told=('ext SHUTDOWN "failure"',)
)

EXTENSION = {
    "normal": of_extension("", ECHO),
    "register late": of_extension("register-late 300", ECHO),
    "register twice": of_extension(
        "register-twice",
        dataclasses.replace(ECHO, told=("second register: 403 Extension.InvalidExtensionState",)),
    ),
    "next before register": of_extension(
        "next-before-register",
        dataclasses.replace(ECHO, told=("next: 403 Extension.MissingExtensionIdentifier",)),
    ),
    "wrong identifier": of_extension(
        "wrong-identifier",
        dataclasses.replace(
            ECHO,
            told=(
                "next of no one: 403 Extension.InvalidExtensionIdentifier",
                "next of a stranger: 403 Extension.UnknownExtensionIdentifier",
            ),
        ),
    ),
    **{
        f"registers for {events or 'nothing'}": of_extension(
            "", ECHO, TEST_EXTENSION_EVENTS=events
        )
        for events in ("INVOKE", "SHUTDOWN", "")
    },
    "ten of them": of_extension("", ECHO, names=tuple(f"ext{n}" for n in range(10))),
    "never registers": of_extension(
        "before-register hang", timed_out("", before=init_reports("timeout", "init", "invoke")), times=2
    ),
    # Any end before the shutdown is a crash, also one that says that all is well.
    **{
        f"{end} {moment}": of_extension(f"{moment} {end}", failed_init(CRASH, message), times=2)
        for moment in ("before-register", "after-register")
        for end, message in EXTENSION_ENDS.items()
    },
    **{
        f"{end} when invoked": of_extension(
            f"invoked {end}", failed("", CRASH, message, event=LONG), times=1
        )
        for end, message in EXTENSION_ENDS.items()
    },
    **{
        f"{end} in next": of_extension(
            f"waiting {end}", failed("", CRASH, message, event=TRIGGER), times=1, TEST_EXTENSION_EVENTS="SHUTDOWN"
        )
        for end, message in EXTENSION_ENDS.items()
    },
    "init/error": of_extension(
        "init-error",
        dataclasses.replace(
            failed_init("Extension.InitError", "exit code 1"), told=None
        ),
        times=2,
    ),
    "exit/error": of_extension(
        "exit-error",
        dataclasses.replace(
            failed_init("Extension.ExitError", "exit code 1"), told=None
        ),
        times=2,
    ),
    # The caller has the answer; the environment has not come to its end.
    "hangs when invoked": of_extension(
        "invoked hang",
        Case(
            event={"hello": 1},
            payload={"hello": 1},
            within=("<time> <request 1> Task timed out after 1.00 seconds", ""),
            report="Status: timeout",
            settings={"Timeout": 1},
        ),
        times=1,
    ),
    "told of a crash": of_extension("", TOLD_OF_A_CRASH),
    "told of a crash when it is done": of_extension("slow 400", TOLD_OF_A_CRASH),
    "told of a timeout": of_extension("", timed_out("hang", told=('ext SHUTDOWN "timeout"',))),
    # Two seconds later it is killed.
    "deaf to SIGTERM and SHUTDOWN": of_extension("ignore-the-end", TOLD_OF_A_CRASH),
}
# Known faults. Recorded from AWS is how such an extension's process ended, not what it had said.
# Init is given up after ten seconds: these are begun before the others.
SLOW = {"init hang": RUNTIME, "never registers": EXTENSION}


@pytest.fixture(scope="module")
def server_flags():
    """The whole CPU, so that nothing but a misbehaviour runs into a second's timeout."""
    return ("--cpu", "full")


@pytest.fixture(scope="module")
def begun(aws, request):
    """The slow cases that are to be tested, running beside the others."""
    # A client is made by one thread.
    assert aws.functions and aws.logs
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    tested = {spec.params.get("case") for spec in specs if spec}
    with concurrent.futures.ThreadPoolExecutor(len(SLOW)) as pool:
        yield {
            case: pool.submit(check, aws, named(case), table[case])
            for case, table in SLOW.items()
            if case in tested
        }


def named(case):
    return "case-" + re.sub(r"\W+", "-", case)


def check(aws, name, case):
    settings = {"Timeout": 10, **case.settings}
    create(aws, name, case.extensions, variables=case.variables, **settings)
    answer = aws.invoke(name, {"mode": case.mode, **case.event} if case.mode else case.event)
    assert answer.status == 200 and answer.version == "$LATEST"
    check_payload(answer, case)
    # It is over: the next one is as good as any.
    rested(aws, name)
    again = aws.invoke(name, {"again": True})
    assert (again.error, again.payload) == (None, {"again": True})
    check_lines(lines(aws, name, 2), case)


def check_payload(answer, case):
    expected = case.payload
    if case.error:
        error_type, message = case.error
        message = f"RequestId: {answer.request_id} Error: {message}"
        expected = Error({"errorType": error_type, "errorMessage": message})
    wanted = expected.payload if isinstance(expected, Error) else expected
    assert answer.error == ("Unhandled" if isinstance(expected, Error) else None), answer
    if callable(wanted):
        assert wanted(answer.payload), answer
    elif isinstance(wanted, bytes):
        assert answer.body == wanted
    else:
        assert answer.payload == wanted


def check_lines(found, case):
    """The platform's lines up to the first REPORT, and what was said until the second."""
    platform = [line for line in found if PLATFORM.match(line)]
    if case.told is not None:
        assert_same([line for line in found if line not in platform], case.told)
    if not case.before:
        events = case.variables.get("TEST_EXTENSION_EVENTS", "INVOKE,SHUTDOWN").replace(",", ", ")
        ready = [f"EXTENSION\tName: {name}\tState: Ready\tEvents: [{events}]" for name in case.extensions]
        assert platform[1 : platform.index(START)] == ready
    end = next(n for n, line in enumerate(platform) if line.startswith("REPORT "))
    platform = [line for line in platform[: end + 1] if not line.startswith("EXTENSION\t")]
    assert platform == expected(case)


def expected(case):
    """The platform's lines but those about extensions."""
    inits = [INIT_START]
    for report in case.before:
        inits += [report, INIT_START]
    if any("Phase: invoke" in report for report in case.before):
        inits.pop()
    memory = case.settings.get("MemorySize", 256)
    init = "" if case.before else "Init Duration: <ms>\t"
    status = f"{case.report}\t" if case.report else ""
    return [
        *inits,
        START,
        *case.within,
        END,
        "REPORT RequestId: <request 1>\tDuration: <ms>\tBilled Duration: <ms>\t"
        f"Memory Size: {memory} MB\tMax Memory Used: <MB>\t{init}{status}",
    ]


def assert_same(found, told):
    """Lines of programs, whose order between two pipes is nobody's promise."""
    left = list(found)
    for wanted in told:
        fits = wanted.fullmatch if isinstance(wanted, re.Pattern) else wanted.__eq__
        hit = next((line for line in left if fits(line)), None)
        assert hit is not None, f"{wanted!r} is not in {left}"
        left.remove(hit)
    assert not left, f"nobody expected {left}"


def cases(table):
    """The cases of a table, slow ones last."""
    return sorted(table, key=lambda case: case in SLOW)


@pytest.mark.parametrize("case", cases(RUNTIME))
def test_a_runtime_that_misbehaves(aws, begun, case):
    begun[case].result() if case in begun else check(aws, named(case), RUNTIME[case])


@pytest.mark.parametrize("case", cases(EXTENSION))
def test_an_extension_that_misbehaves(aws, begun, case):
    begun[case].result() if case in begun else check(aws, named(case), EXTENSION[case])


def test_the_eleventh_extension_is_one_too_many(aws):
    name = create(aws, "eleven", [f"ext{n:02}" for n in range(11)])
    for _ in range(2):
        answer = aws.invoke(name, {})
        assert answer.error == "Unhandled"
        assert answer.payload["errorType"] == "Extension.LaunchError", answer
    reports = [line for line in lines(aws, name, 2) if "Status:" in line]
    assert all("\tStatus: error\tError Type: Extension.LaunchError" in line for line in reports)


def test_a_line_without_an_end_becomes_events_of_the_largest_size(aws):
    name = create(aws, "endless")
    answer = aws.invoke(name, {"mode": "log-endless-line", "bytes": 1 << 20})
    assert (answer.error, answer.payload) == (None, 1 << 20)
    assert answer.log.endswith("\t\n") and "REPORT" in answer.log and len(answer.log) <= 4096
    pieces = [text for text in messages(aws, name, 1) if text.startswith("e")]
    # 256 KiB less what CloudWatch counts beside the text.
    assert [len(text) for text in pieces] == [262_118] * 4 + [(1 << 20) - 4 * 262_118]
    assert aws.invoke(name, {}).payload == {}


def test_a_flood_of_lines_is_cut_and_the_cut_is_told(aws):
    count = 200_000
    name = create(aws, "flood", Timeout=60)
    answer = aws.invoke(name, {"mode": "log-flood", "lines": count})
    assert (answer.error, answer.payload) == (None, count)
    # What is told may come later than the report: when there is room.
    aws.invoke(name, {})
    found = messages(aws, name, 2)
    kept = sum(text.startswith("flood ") for text in found)
    told = [re.match(r"\[dormouse\] (\d+) log lines", text) for text in found]
    dropped = sum(int(notice.group(1)) for notice in told if notice)
    assert kept and dropped and kept + dropped == count
    assert aws.invoke(name, {}).payload == {}


def test_bytes_that_are_no_text_are_replaced(aws):
    name = create(aws, "binary")
    answer = aws.invoke(name, {"mode": "log-garbage"})
    assert (answer.error, answer.payload) == (None, "written")
    line = next(text for text in messages(aws, name, 1) if "\ufffd" in text)
    assert line.count("\ufffd") == 128 and "~}|{zyx" in line
    assert aws.invoke(name, {}).payload == {}
