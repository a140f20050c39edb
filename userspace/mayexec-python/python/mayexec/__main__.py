# SPDX-License-Identifier: MIT OR Apache-2.0
"""python3 -m mayexec SCRIPT [ARGUMENT]..."""

import sys

from . import _run, install

install()
_beside = not getattr(sys.flags, "safe_path", sys.flags.isolated)
if _beside:
    # Of -m: the working directory.
    del sys.path[0]
_run(_beside)
