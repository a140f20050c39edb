# SPDX-License-Identifier: GPL-2.0
"""ways.py DIRECTORY: tries each way to run the code in it, and prints what came of it."""

import builtins
import importlib
import io
import runpy
import sys

# Nothing else is imported: the standard library need not be executable.
place = sys.argv[1]


def load(name, path=place):
    sys.path.insert(0, path)
    importlib.import_module(name)
    del sys.path[0]


def extension():
    load("_hook")
    builtins.ran = "extension"


def data():
    with open(f"{place}/module.py") as file:
        exec(file.read())


def code():
    with io.open_code(f"{place}/module.py") as file:
        exec(file.read())


WAYS = {
    "import": lambda: load("module"),
    "import of a package": lambda: load("package"),
    "import of a .pyc": lambda: load("sourceless"),
    "import with a cached .pyc": lambda: load("cached"),
    "import from a zip": lambda: load("zipped", f"{place}/archive.zip"),
    "import of a .so": extension,
    "runpy": lambda: runpy.run_path(f"{place}/script.py"),
    "exec of io.open_code": code,
    "exec of open": data,
    "exec of a string": lambda: exec("builtins.ran = 'string'"),
}

for name, way in WAYS.items():
    builtins.ran = "nothing"
    try:
        way()
    except (PermissionError, ImportError):
        print(f"{name}: refused")
    else:
        print(f"{name}: {builtins.ran}")
