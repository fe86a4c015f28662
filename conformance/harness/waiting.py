"""Waiting for something to become true, with a deadline; the only place that lets time pass."""

import threading
import time

STEP_S = 0.02


def eventually(look, what, deadline_s=30.0, step_s=STEP_S):
    """The first true value of look(); past the deadline an error that tells what was missing."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() >= end:
            raise AssertionError(f"not within {deadline_s:g} s: {what} (last seen: {found!r})")
        pause.wait(step_s)


def holds_for(look, seconds, what):
    """look() stays true for so long: for what must not happen."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while time.monotonic() < end:
        assert look(), what
        pause.wait(STEP_S)
