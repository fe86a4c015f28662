"""Runtime API client of the managed python runtimes (3.8 to 3.14, standard library only).

Owns: the connection to the Runtime API, the event/response conversion, the context object, the error
records. Must never: import anything on the way to the first `next` that user code did not ask for
(each module costs Init time; `re`, `json`, `logging` and `traceback` wait until they are needed), or
know whether the process was frozen while it waited.
"""

import _socket
import os
import sys
import time

API = "/2018-06-01/runtime/"
LAYERS = "/opt/python"
# The header is cropped by the platform above this many bytes: a cropped JSON text is of no use.
ERROR_CAUSE_LIMIT_BYTES = 64 * 1024
ONE_SEND_LIMIT_BYTES = 64 * 1024
RECEIVE_BYTES = 64 * 1024
# Open in a process that is started before it is known for which function.
BRIEFING_DESCRIPTOR = 61
# A record of `logging` has these fields anyway: the rest of its dictionary is what the user added.
PLAIN_RECORD_FIELDS = frozenset(
    "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno"
    " funcName created msecs relativeCreated thread threadName processName process"
    " aws_request_id tenant_id".split()
)
# What lies below user code in a traceback.
OWN_FILES = {__file__}
SECONDS_FORMAT = "%Y-%m-%dT%H:%M:%S"

request_id = None
tenant_id = None


class Fault(Exception):
    """An error of the runtime's own making: its type name is not a python class."""

    def __init__(self, error_type, message, trace=()):
        Exception.__init__(self, message)
        self.error_type = error_type
        self.message = message
        self.trace = list(trace)


class ConnectionLost(Exception):
    """The peer closed before the answer was complete."""


# ---------------------------------------------------------------- HTTP/1.1


class Api:
    """One keep-alive connection, one request at a time."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.peer = (host.strip("[]"), int(port))
        self.head = ("Host: %s\r\nUser-Agent: dormouse-python/%d.%d\r\n" % (
            (address,) + tuple(sys.version_info[:2]))).encode()
        self.socket = None
        self.rest = b""

    def call(self, method, path, headers=b"", body=None):
        """Returns (status, headers with lower-case names, body)."""
        request = (method + " " + API + path + " HTTP/1.1\r\n").encode() + self.head + headers
        if body is None:
            request += b"\r\n"
        else:
            request += b"Content-Length: %d\r\n\r\n" % len(body)
        reused = self.socket is not None
        try:
            return self.exchange(request, body or b"")
        except (OSError, ConnectionLost):
            self.close()
            if not reused:
                raise
        # A kept connection may have been closed by the peer while it was idle: one fresh attempt.
        return self.exchange(request, body or b"")

    def exchange(self, request, body):
        if self.socket is None:
            self.connect()
        if len(body) <= ONE_SEND_LIMIT_BYTES:
            self.socket.sendall(request + body)
        else:
            self.socket.sendall(request)
            self.socket.sendall(body)
        while True:
            status, headers = self.read_head()
            if status >= 200:
                break
        answer = self.read_body(status, headers)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, headers, answer

    def connect(self):
        family = _socket.AF_INET6 if ":" in self.peer[0] else _socket.AF_INET
        peer = self.peer
        if not peer[0].replace(".", "").isdigit() and family == _socket.AF_INET:
            peer = _socket.getaddrinfo(peer[0], peer[1], family, _socket.SOCK_STREAM)[0][4]
        self.socket = _socket.socket(family, _socket.SOCK_STREAM)
        self.socket.connect(peer)
        self.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None
        self.rest = b""

    def receive(self):
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionLost("connection closed by the Runtime API")
        return data

    def read_head(self):
        data = self.rest
        end = data.find(b"\r\n\r\n")
        while end < 0:
            data += self.receive()
            end = data.find(b"\r\n\r\n")
        self.rest = data[end + 4:]
        lines = data[:end].split(b"\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            try:
                text = value.decode()
            except UnicodeDecodeError:
                text = value.decode("latin-1")
            headers[name.decode("latin-1").strip().lower()] = text.strip()
        return int(lines[0].split(b" ", 2)[1]), headers

    def read_body(self, status, headers):
        if status in (204, 304):
            return b""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self.read_chunks()
        length = headers.get("content-length")
        if length is not None:
            return self.read_exactly(int(length))
        pieces = [self.rest]
        while True:
            data = self.socket.recv(RECEIVE_BYTES)
            if not data:
                self.close()
                return b"".join(pieces)
            pieces.append(data)

    def read_exactly(self, length):
        rest = self.rest
        if len(rest) >= length:
            self.rest = rest[length:]
            return rest[:length]
        body = bytearray(length)
        body[:len(rest)] = rest
        self.rest = b""
        view = memoryview(body)
        filled = len(rest)
        while filled < length:
            count = self.socket.recv_into(view[filled:])
            if not count:
                raise ConnectionLost("connection closed by the Runtime API")
            filled += count
        return bytes(body)

    def read_line(self):
        while True:
            end = self.rest.find(b"\r\n")
            if end >= 0:
                line, self.rest = self.rest[:end], self.rest[end + 2:]
                return line
            self.rest += self.receive()

    def read_chunks(self):
        pieces = []
        while True:
            size = int(self.read_line().split(b";")[0], 16)
            if size == 0:
                while self.read_line():
                    pass
                return b"".join(pieces)
            pieces.append(self.read_exactly(size))
            self.read_exactly(2)


# ---------------------------------------------------------------- JSON


class ScannerSettings:
    """What the C scanner of `json` reads from its decoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    memo = {}

    @staticmethod
    def parse_constant(name):
        return float(name.replace("Infinity", "inf"))


try:  # private parts of `json`: where they differ, `json` itself does the work
    import _json

    scan = _json.make_scanner(ScannerSettings)
    _json.make_encoder({}, None, _json.encode_basestring, None, ": ", ", ", False, False, True)
except (ImportError, AttributeError, TypeError):
    _json = scan = None


def decode(body):
    """json.loads(body), without importing `json` for a well-formed text."""
    if scan is not None:
        try:
            text = body.decode().strip(" \t\n\r")
            value, end = scan(text, 0)
            if end == len(text):
                return value
        except (StopIteration, ValueError, SystemError):
            pass  # SystemError: the scanner has no error class before `json.decoder` is imported
    import json

    return json.loads(body)


def encode(value, ascii_only=True, fallback=None):
    """JSON text as AWS's runtime writes it: Decimal as number, named tuples as objects."""
    raw = []
    mark = None

    def default(item):
        nonlocal mark
        decimal = sys.modules.get("decimal")
        if decimal is not None and isinstance(item, decimal.Decimal):
            if mark is None:
                mark = "@" + os.urandom(12).hex() + ":"
            raw.append("NaN" if item.is_nan() else str(item))
            return mark + str(len(raw) - 1)
        if callable(getattr(item, "_asdict", None)):
            return item._asdict()
        if fallback is not None:
            return fallback(item)
        if isinstance(item, bytes):  # AWS's encoder takes bytes for UTF-8 text
            return item.decode()
        raise TypeError("Object of type %s is not JSON serializable" % type(item).__name__)

    if has_named_tuple(value):
        value = without_named_tuples(value)
    text = encode_plain(value, default, ascii_only)
    if mark is None:
        return text
    pieces = text.split('"' + mark)
    # What follows each mark is its number and the closing quote.
    for i in range(1, len(pieces)):
        number, _, tail = pieces[i].partition('"')
        pieces[i] = raw[int(number)] + tail
    return "".join(pieces)


def encode_plain(value, default, ascii_only):
    if _json is not None:
        quote = _json.encode_basestring_ascii if ascii_only else _json.encode_basestring
        encoder = _json.make_encoder({}, default, quote, None, ": ", ", ", False, False, True)
        return "".join(encoder(value, 0))
    import json

    return json.dumps(value, default=default, ensure_ascii=ascii_only)


def has_named_tuple(value):
    """Whether a named tuple is anywhere inside: the C encoder would write it as an array."""
    seen = set()
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            inner = item.values()
        elif isinstance(item, (list, tuple)):
            if isinstance(item, tuple) and callable(getattr(item, "_asdict", None)):
                return True
            inner = item
        else:
            continue
        if id(item) not in seen:
            seen.add(id(item))
            stack.extend(inner)
    return False


def without_named_tuples(value, parents=()):
    if id(value) in parents:
        raise ValueError("Circular reference detected")
    if isinstance(value, tuple) and callable(getattr(value, "_asdict", None)):
        value = value._asdict()
    if isinstance(value, dict):
        inside = parents + (id(value),)
        return {key: without_named_tuples(item, inside) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        inside = parents + (id(value),)
        return [without_named_tuples(item, inside) for item in value]
    return value


def escapes_non_ascii():
    """AWS writes UTF-8 from python3.12 on and escapes before."""
    _, _, minor = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("python3.")
    return int(minor) < 12 if minor.isdigit() else sys.version_info < (3, 12)


# ---------------------------------------------------------------- context


class CognitoIdentity:
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __repr__(self):
        return describe(self, self.__slots__)


class Client:
    __slots__ = (
        "installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")

    def __repr__(self):
        return describe(self, self.__slots__)


class ClientContext:
    __slots__ = ("custom", "env", "client")

    def __repr__(self):
        return describe(self, self.__slots__)


class LambdaContext:
    """What the handler gets as its second argument."""

    def __init__(self, headers, deadline_ms, client_context, identity):
        variable = os.environ.get
        self.aws_request_id = headers.get("lambda-runtime-aws-request-id")
        self.log_group_name = variable("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = variable("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = variable("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = variable("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        self.client_context = filled(ClientContext, client_context)
        if self.client_context is not None:
            self.client_context.client = filled(Client, self.client_context.client)
        identity = identity or {}
        self.identity = CognitoIdentity()
        self.identity.cognito_identity_id = identity.get("cognitoIdentityId")
        self.identity.cognito_identity_pool_id = identity.get("cognitoIdentityPoolId")
        self._epoch_deadline_time_in_ms = deadline_ms

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def log(self, message):
        sink.write(str(message))

    def __repr__(self):
        return describe(self, (
            "aws_request_id", "log_group_name", "log_stream_name", "function_name",
            "memory_limit_in_mb", "function_version", "invoked_function_arn", "client_context",
            "identity", "tenant_id"))


def describe(item, names):
    fields = ",".join("%s=%s" % (name, getattr(item, name)) for name in names)
    return "%s([%s])" % (type(item).__name__, fields)


def filled(kind, fields):
    if fields is None:
        return None
    item = kind()
    for name in kind.__slots__:
        setattr(item, name, fields.get(name))
    return item


def make_context(headers):
    return LambdaContext(
        headers,
        int(headers.get("lambda-runtime-deadline-ms", "0")),
        header_json(headers, "lambda-runtime-client-context", "Client Context"),
        header_json(headers, "lambda-runtime-cognito-identity", "Cognito Identity"),
    )


def header_json(headers, name, label):
    text = headers.get(name)
    if not text:
        return None
    try:
        return decode(text.encode())
    except Exception as error:
        raise Fault("Runtime.LambdaContextUnmarshalError",
                    "Unable to parse %s JSON: %s" % (label, error))


# ---------------------------------------------------------------- logs


class StdoutSink:
    """Log text goes where print() goes."""

    line_end = "\r"  # one record stays one line of the stream

    def write(self, text):
        sys.stdout.write(text)

    def write_record(self, text, level, as_json):
        # A traceback behind the message leaves the record without its line end.
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def write_error(self, lines, as_json):
        sys.stdout.write(self.line_end.join(lines) + "\n")


class FrameSink:
    """Log text goes to the platform's telemetry descriptor, one frame a record."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def write(self, text):
        self.write_record(text, 0, False)

    def write_record(self, text, level, as_json):
        message = text.encode("utf-8", "backslashreplace")
        kind = 0xA55A0002 if as_json else 0xA55A0003
        kind |= {10: 0x8, 20: 0xC, 30: 0x10, 40: 0x14, 50: 0x18}.get(level, 0)
        micros = time.time_ns() // 1000
        frame = memoryview(kind.to_bytes(4, "big") + len(message).to_bytes(4, "big")
                           + micros.to_bytes(8, "big") + message)
        while frame:
            frame = frame[os.write(self.descriptor, frame):]

    def write_error(self, lines, as_json):
        self.write_record("\n".join(lines), 40, as_json)


sink = StdoutSink()
json_logs = False
log_level = ""


def prepare_logs():
    """Line-buffered output, the sink, and the hook that sets `logging` up when it is imported."""
    global sink, json_logs, log_level
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    descriptor = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
    if descriptor is not None:
        sink = FrameSink(int(descriptor))
        os.set_inheritable(sink.descriptor, False)
    json_logs = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
    log_level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    log_level = "DEBUG" if log_level == "TRACE" else log_level
    if "logging" in sys.modules:
        set_logging_up()
    else:
        sys.meta_path.insert(0, LoggingFinder)


class LoggingFinder:
    """Finds `logging` as everyone else would and sets the root logger up once it is loaded."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(cls)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                spec.loader = LoggingLoader(spec.loader)
                return spec
        return None


class LoggingLoader:
    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        set_logging_up()


def set_logging_up():
    logging = sys.modules["logging"]

    class LambdaLoggerHandler(logging.Handler):
        log_sink = sink

        def emit(self, record):
            level = min(50, max(0, record.levelno)) // 10 * 10
            framed = level if json_logs or log_level else 0
            self.log_sink.write_record(self.format(record), framed, json_logs)

    class LambdaLoggerFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = request_id or ""
            record.tenant_id = tenant_id
            return True

    class JsonFormatter(logging.Formatter):
        def format(self, record):
            return encode(record_fields(self, record), False, str) + "\n"

    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    if json_logs:
        handler.setFormatter(JsonFormatter(datefmt=SECONDS_FORMAT + "Z"))
    else:
        handler.setFormatter(logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n",
            SECONDS_FORMAT))
    handler.addFilter(LambdaLoggerFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    if log_level in logging._nameToLevel:
        root.setLevel(log_level)


def record_fields(formatter, record):
    """The fields of one JSON log record, in AWS's order, without those that are None."""
    logging = sys.modules["logging"]
    error = record.exc_info or (None, None, None)
    stack = None
    if error[0] is not None:
        import traceback

        stack = traceback.format_tb(error[2])
    fields = {
        "timestamp": formatter.formatTime(record, formatter.datefmt),
        "level": logging.getLevelName(min(50, max(0, record.levelno)) // 10 * 10),
        "message": record.msg if isinstance(record.msg, dict) and not record.args
        else record.getMessage(),
        "logger": record.name,
        "stackTrace": stack,
        "errorType": error[0].__name__ if error[0] is not None else None,
        "errorMessage": str(error[1]) if error[0] is not None else None,
        "requestId": record.aws_request_id,
        "location": "%s:%s:%s" % (record.pathname, record.funcName, record.lineno)
        if error[0] is not None else None,
        "tenantId": record.tenant_id,
    }
    for name, value in record.__dict__.items():
        if name not in PLAIN_RECORD_FIELDS and name not in fields:
            fields[name] = value
    return {name: value for name, value in fields.items() if value is not None}


def log_error(error):
    if json_logs:
        stamp = time.strftime(SECONDS_FORMAT + "Z", time.gmtime())
        record = dict({"timestamp": stamp, "level": "ERROR"}, **error)
        sink.write_error([encode(record, escapes_non_ascii())], True)
        return
    first = "[ERROR]"
    if error["errorType"]:
        first += " " + error["errorType"] + (":" if error["errorMessage"] else "")
    if error["errorMessage"]:
        first += " " + error["errorMessage"]
    lines = [first, "Traceback (most recent call last):"]
    for entry in error["stackTrace"]:
        for line in entry.splitlines() or [""]:
            # The log viewer drops leading blanks, no-break spaces survive.
            bare = line.lstrip(" ")
            lines.append("\u00a0" * (len(line) - len(bare)) + bare)
    sink.write_error(lines, False)


# ---------------------------------------------------------------- errors


def error_record(error, for_request):
    """(error JSON object, X-Ray cause object) of an exception or a Fault."""
    if isinstance(error, Fault):
        record = (error.error_type, error.message, error.trace)
        cause = ("LambdaValidationError", error.message, [])
    else:
        import traceback

        frames = [(frame.filename, frame.lineno, frame.name, frame.line)
                  for frame in traceback.extract_tb(error.__traceback__)]
        while frames and frames[0][0] in OWN_FILES:
            frames.pop(0)
        record = (type(error).__name__, str(error), traceback.format_list(frames))
        cause = (type(error).__name__, str(error), frames)
    stack = [{"label": name, "path": path, "line": line} for path, line, name, _ in cause[2]]
    return {
        "errorMessage": record[1],
        "errorType": record[0],
        "requestId": for_request,
        "stackTrace": record[2],
    }, {
        "working_directory": os.getcwd(),
        "exceptions": [{"message": cause[1], "type": cause[0], "stack": stack}],
        "paths": sorted(set(frame[0] for frame in cause[2])),
    }


def to_bytes(text):
    # Half of a surrogate pair has no UTF-8: escaped it is still JSON.
    return text.encode("utf-8", "backslashreplace")


def error_headers(error_type, cause):
    name = error_type.encode("ascii", "replace")
    headers = b"Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: " + name
    if cause is not None:
        text = encode(cause).encode()
        if len(text) < ERROR_CAUSE_LIMIT_BYTES:
            headers += b"\r\nLambda-Runtime-Function-XRay-Error-Cause: " + text
    return headers + b"\r\n"


# ---------------------------------------------------------------- Init and the loop


def restore_site_builtins():
    """What `site` adds: it is not run, so that the host's packages stay invisible."""
    import _sitebuiltins
    import builtins

    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.copyright = _sitebuiltins._Printer("copyright", sys.copyright)
    builtins.credits = _sitebuiltins._Printer("credits", "See https://www.python.org for credits.")
    builtins.license = _sitebuiltins._Printer(
        "license", "See https://www.python.org/psf/license/")
    builtins.help = _sitebuiltins._Helper()


def run_sitecustomize(runtime_dir):
    """The one thing of `site` that instrumentation layers count on: sitecustomize on PYTHONPATH."""
    entries = os.environ.get("PYTHONPATH", "").split(":")
    if not any(entry and entry != runtime_dir and os.path.exists(entry + "/sitecustomize.py")
               for entry in entries):
        return
    try:
        __import__("sitecustomize")
    except Exception as error:  # as `site` does: said, and no reason to stop
        sys.stderr.write("Error in sitecustomize:\n%s: %s\n" % (type(error).__name__, error))


def prepare_path(task_root, runtime_dir):
    """Task, layers, then what PYTHONPATH said, then the standard library."""
    own = "%d.%d" % sys.version_info[:2]
    asked = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("python")[2] or own
    first = [task_root]
    for version in (asked, own):  # they differ when the nearest interpreter stands in
        packages = LAYERS + "/lib/python" + version + "/site-packages"
        if packages not in first:
            first.append(packages)
    first.append(LAYERS)
    here = __file__.rpartition("/")[0]
    rest = [entry for entry in sys.path if entry not in first and entry != here]
    listed = [entry for entry in os.environ.get("PYTHONPATH", "").split(":") if entry in rest]
    if runtime_dir not in listed:
        listed.append(runtime_dir)
    sys.path[:] = first + listed + [entry for entry in rest if entry not in listed]


def use_bytecode(directory):
    """What was compiled ahead, if anything was."""
    if os.listdir(directory):
        import dormouse_bytecode

        dormouse_bytecode.use(directory)


def find_handler(handler):
    module_name, dot, function_name = handler.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName",
                    "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % handler)
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict",
                    "Cannot use built-in module %s as a handler module" % module_name)
    name = module_name.replace("/", ".")
    try:
        __import__(name)
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError",
                    "Unable to import module '%s': %s" % (module_name, error))
    except SyntaxError as error:
        raise Fault("Runtime.UserCodeSyntaxError",
                    "Syntax error in module '%s': %s" % (module_name, error),
                    ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)])
    try:
        return getattr(sys.modules[name], function_name)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound",
                    "Handler '%s' missing on module '%s'" % (function_name, module_name))


def wait_for_briefing():
    """Where this process was started ahead: waits, with a connection open, until it is told for which
    function, and returns the connection."""
    try:
        os.fstat(BRIEFING_DESCRIPTOR)
    except OSError:
        return None
    import dormouse_ahead

    api = Api(os.environ["AWS_LAMBDA_RUNTIME_API"])
    dormouse_ahead.wait(api, BRIEFING_DESCRIPTOR)
    del sys.modules["dormouse_ahead"]
    return api


def main():
    api = wait_for_briefing() or Api(os.environ["AWS_LAMBDA_RUNTIME_API"])
    handler = initialise(api)
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        import dormouse_snapstart

        dormouse_snapstart.pass_restore_point(api)
    while True:
        invoke(api, handler)


def initialise(api):
    """Makes this process what the variables say, and returns its handler."""
    prepare_logs()
    runtime_dir = os.environ.get("LAMBDA_RUNTIME_DIR", "/var/runtime")
    use_bytecode(__file__.rpartition("/")[0] + "/bytecode")
    restore_site_builtins()
    run_sitecustomize(runtime_dir)
    prepare_path(os.environ.get("LAMBDA_TASK_ROOT", "/var/task"), runtime_dir)
    try:
        return find_handler(os.environ.get("_HANDLER", ""))
    except Exception as error:
        give_up(api, error, "init/error", 1)


def give_up(api, error, path, code, error_type=None):
    """Says why this process cannot go on, and ends it."""
    record, _ = error_record(error, "")
    log_error(record)
    sys.stdout.flush()
    body = to_bytes(encode(record, escapes_non_ascii()))
    api.call("POST", path, error_headers(error_type or record["errorType"], None), body)
    sys.exit(code)


def stop(message):
    sys.stderr.write(message + "\n")
    sys.exit(1)


def invoke(api, handler):
    """One turn: waits for an event (perhaps frozen meanwhile), runs the handler, posts what it gave."""
    global request_id, tenant_id
    status, headers, body = api.call("GET", "invocation/next")
    if status != 200:
        stop("the Runtime API answered next with %d: %s" % (status, body.decode()))
    request_id = headers["lambda-runtime-aws-request-id"]
    tenant_id = headers.get("lambda-runtime-aws-tenant-id")
    trace = headers.get("lambda-runtime-trace-id")
    if trace:
        os.environ["_X_AMZN_TRACE_ID"] = trace
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    try:
        kind, answer, answer_headers = "response", *run(handler, headers, body)
    except Exception as error:
        record, cause = error_record(error, request_id)
        log_error(record)
        kind = "error"
        answer = to_bytes(encode(record, escapes_non_ascii()))
        answer_headers = error_headers(record["errorType"], cause)
    attempt = headers.get("lambda-runtime-invocation-id")
    if attempt:
        answer_headers += b"Lambda-Runtime-Invocation-Id: " + attempt.encode() + b"\r\n"
    sys.stdout.flush()
    path = "invocation/" + request_id + "/" + kind
    status, _, text = api.call("POST", path, answer_headers, answer)
    if status >= 300:
        # The platform has already told the caller why (too large, too late): the loop goes on.
        sys.stderr.write("[ERROR] the Runtime API refused the %s with %d: %s\n" % (
            kind, status, text.decode("utf-8", "replace").strip()))


def run(handler, headers, body):
    """(response bytes, its headers) of one event."""
    context = make_context(headers)
    event = body
    if headers.get("content-type", "application/json") == "application/json":
        try:
            event = decode(body)
        except Exception as error:
            raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
    result = handler(event, context)
    if isinstance(result, bytes):
        return result, b"Content-Type: application/unknown\r\n"
    try:
        text = encode(result, escapes_non_ascii())
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)
    return to_bytes(text), b"Content-Type: application/json\r\n"
