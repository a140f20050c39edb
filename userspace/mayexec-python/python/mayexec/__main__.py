# SPDX-License-Identifier: MIT OR Apache-2.0
"""python3 -m mayexec SCRIPT [ARGUMENT]..."""

from . import _run, install

install()
_run()
