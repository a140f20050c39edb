# SPDX-License-Identifier: GPL-2.0
"""python3 -m mayexec SCRIPT [ARGUMENT]..."""

from . import _run, install

install()
_run()
