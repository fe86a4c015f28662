"""The restore point of a function with SnapStart: between Init and the first `next`.

A snapshot of the process may be taken while it waits here, and then it goes on here in many
sandboxes. Whether one was taken it cannot know: it waits for the answer to `restore/next`, and where
its connection is gone it asks again. Must never: leave a descriptor or a thread open across that wait
but the standard ones, the records' and the connection itself.
"""

import os
import sys
import time

import dormouse_runtime as runtime

runtime.OWN_FILES.add(__file__)

# How the process ends where a hook fails, and the error's type (AWS's client).
BEFORE_SNAPSHOT = (64, "Runtime.BeforeSnapshotError")
AFTER_RESTORE = (65, "Runtime.AfterRestoreError")
# Ten seconds in all, as long as a restore may take. Counted, since a clock may jump in a restore.
ATTEMPTS = 5000
PAUSE_SECONDS = 0.002


def pass_restore_point(api):
    """Runs what was registered, waits at the restore point, runs what was registered for after it."""
    # A function that has not imported it has registered nothing.
    hooks = sys.modules.get("snapshot_restore_py")
    try:
        if hooks is not None:
            run_before_snapshot(hooks)
    except BaseException as error:  # as in AWS's client, where even sys.exit() is a failed hook
        runtime.give_up(api, error, "init/error", *BEFORE_SNAPSHOT)
    leave_nothing_behind(api)
    wait_for_release(api)
    renew_chance()
    try:
        if hooks is not None:
            run_after_restore(hooks)
    except BaseException as error:
        runtime.give_up(api, error, "restore/error", *AFTER_RESTORE)


def run_before_snapshot(hooks):
    registered = hooks.get_before_snapshot()
    while registered:
        func, args, kwargs = registered.pop()
        func(*args, **kwargs)


def run_after_restore(hooks):
    for func, args, kwargs in hooks.get_after_restore():
        func(*args, **kwargs)


def leave_nothing_behind(api):
    """What a snapshot should not hold: output that each restored process would write, garbage, and
    a connection that none of them has."""
    sys.stdout.flush()
    sys.stderr.flush()
    import gc

    if gc.isenabled():
        gc.collect()
    api.close()


def wait_for_release(api):
    for attempt in range(ATTEMPTS):
        try:
            status, _, body = api.call("GET", "restore/next")
        except (OSError, runtime.ConnectionLost):
            # The first loss is the restore itself, which is to be fast.
            if attempt > 0:
                time.sleep(PAUSE_SECONDS)
            continue
        if status != 200:
            text = body.decode()
            runtime.stop("the Runtime API answered restore/next with %d: %s" % (status, text))
        return
    runtime.stop("the Runtime API cannot be reached at the restore point")


def renew_chance():
    """All processes restored from one snapshot would draw the same from OpenSSL's generator. The
    kernel's, which is behind os.urandom() and secrets, is in no snapshot."""
    openssl = sys.modules.get("_ssl")
    if openssl is not None:
        fresh = os.urandom(32)
        openssl.RAND_add(fresh, float(len(fresh)))
