"""What a function registers to be run before a snapshot of its process is taken and after each restore.

The names and what they do are those of AWS's package of this name; a function that brings its own copy
uses that. Owns: the two lists. Must never: run anything; that is the bootstrap's (dormouse_snapstart).
"""

__all__ = ["register_before_snapshot", "register_after_restore"]

_before_snapshot = []
_after_restore = []


def register_before_snapshot(func, *args, **kwargs):
    """Has func(*args, **kwargs) run before the snapshot, the last registered first. A decorator too."""
    _before_snapshot.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """Has func(*args, **kwargs) run after each restore, the first registered first. A decorator too."""
    _after_restore.append((func, args, kwargs))
    return func


def get_before_snapshot():
    """What is to be run before the snapshot, as (func, args, kwargs): the list itself."""
    return _before_snapshot


def get_after_restore():
    """What is to be run after a restore, as (func, args, kwargs): the list itself."""
    return _after_restore
