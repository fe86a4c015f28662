"""Packages: small programs as zip files."""

import base64
import hashlib
import io
import stat
import zipfile

ROLE = "arn:aws:iam::000000000000:role/conformance"

ECHO = """
def handler(event, context):
    return event
"""


def package(files, mode=0o644, compression=zipfile.ZIP_DEFLATED):
    """A zip of name to text or bytes; a text that begins with #! is executable."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.compress_type = compression
            executable = 0o755 if data.startswith((b"#!", b"\x7fELF")) else mode
            entry.external_attr = (stat.S_IFREG | executable) << 16
            archive.writestr(entry, data)
    return target.getvalue()


def special(name, kind, content=b"", mode=0o755):
    """A zip with one entry of another kind: a link, a device, a fifo."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
        entry.create_system = 3
        entry.external_attr = (kind | mode) << 16
        archive.writestr(entry, content)
        archive.writestr("app.py", ECHO)
    return target.getvalue()


def digest(zipped):
    """CodeSha256 as Lambda shows it."""
    return base64.b64encode(hashlib.sha256(zipped).digest()).decode()
