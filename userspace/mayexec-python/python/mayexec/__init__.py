# SPDX-License-Identifier: MIT OR Apache-2.0
"""Python opens the code that it loads from files with the library mayexec."""

import io
import os
import pkgutil  # runpy would import it under the policy
import runpy
import sys
from importlib.machinery import SourcelessFileLoader


def install():
    """Everything that is imported from now on is opened under the policy."""
    from . import _hook

    _hook.install()
    _cover_sourceless()


def _cover_sourceless():
    """The one loader of importlib that reads code without io.open_code."""

    def get_data(self, path):
        with io.open_code(path) as file:
            return file.read()

    SourcelessFileLoader.get_data = get_data


def _fail(message):
    """Says what is wrong, and ends as python3 does where it cannot start a script."""
    print(f"mayexec: {message}", file=sys.stderr)
    sys.exit(2)


def _run(beside):
    """Runs the script that the arguments name as python3 SCRIPT does; beside: modules are looked
    for in its directory."""
    del sys.argv[0]
    if not sys.argv or sys.argv[0].startswith("-"):
        _fail("the first argument must be a script: there are no options")
    script = sys.argv[0]
    # For a directory or an archive, runpy changes sys.path.
    if beside and pkgutil.get_importer(script) is None:
        sys.path.insert(0, os.path.dirname(os.path.realpath(script)))
    try:
        runpy.run_path(script, run_name="__main__")
    except OSError as error:
        frame = error.__traceback__
        while frame and frame.tb_frame.f_code.co_filename != script:
            frame = frame.tb_next
        # What the script itself has not caught is shown with its lines.
        if frame or error.filename != os.path.abspath(script):
            raise
        reason = error.strerror
    else:
        return
    _fail(f"{script}: {reason}")
