"""Says hello, and counts in the background to show that a frozen environment stands still."""

import threading
import time

ticks = 0


def count():
    global ticks
    while True:
        time.sleep(0.001)
        ticks += 1


# Started in Init, as a connection pool or a metrics agent would be.
threading.Thread(target=count, daemon=True).start()


def handler(event, context):
    ticks_at_start, started = ticks, time.monotonic()
    time.sleep(0.05)
    return {
        "message": f"hello, {event.get('name', 'world')}, from Python",
        "ticks_at_start": ticks_at_start,
        "ticks_at_end": ticks,
        "watched_ms": round((time.monotonic() - started) * 1000),
    }
