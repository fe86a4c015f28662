"""Entry point of the python runtimes: kept to a few lines, since a script is compiled at each start.

The client itself is a module beside this file, so that its byte code can be kept on disk.
"""

import sys

_here = __file__.rpartition("/")[0]
if _here not in sys.path:  # PYTHONSAFEPATH leaves the script's directory out
    sys.path.insert(0, _here)

import dormouse_runtime  # noqa: E402

dormouse_runtime.main()
