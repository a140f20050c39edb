# SPDX-License-Identifier: GPL-2.0
"""setup.py STDLIB HOOK (DIRECTORY MODE)...: code for ways.py in each directory, and in
STDLIB the part of the standard library that this program has loaded, executable.
"""

import ctypes  # not for this program, but for its copy
import os
import pkgutil  # the package mayexec needs it, and thus its copy
import py_compile
import runpy
import shutil
import site
import sys
import sysconfig
import zipfile

RAN = "import builtins\nbuiltins.ran = {!r}\n"


def write(path, text, mode):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def compile_to(text, path, mode):
    write("/tmp/text.py", text, 0o600)
    # A cached file that does not depend on the times of its source.
    how = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile("/tmp/text.py", path, doraise=True, invalidation_mode=how)
    os.chmod(path, mode)


def fill(place, mode, hook):
    os.makedirs(f"{place}/package")
    os.makedirs(f"{place}/__pycache__")
    for name in ["script", "module", "package/__init__"]:
        write(f"{place}/{name}.py", RAN.format(name), mode)
    compile_to(RAN.format("sourceless"), f"{place}/sourceless.pyc", mode)
    write(f"{place}/cached.py", RAN.format("source"), 0o755)
    cached = f"{place}/__pycache__/cached.{sys.implementation.cache_tag}.pyc"
    compile_to(RAN.format("cached"), cached, mode)
    with zipfile.ZipFile(f"{place}/archive.zip", "w") as archive:
        archive.writestr("zipped.py", RAN.format("zipped"))
    os.chmod(f"{place}/archive.zip", mode)
    shutil.copyfile(hook, f"{place}/_hook.abi3.so")
    os.chmod(f"{place}/_hook.abi3.so", mode)


def copy_stdlib(to):
    stdlib = sysconfig.get_path("stdlib")
    os.makedirs(f"{to}/lib-dynload")
    for module in list(sys.modules.values()):
        for path in [getattr(module, "__file__", None), getattr(module, "__cached__", None)]:
            if path and path.startswith(f"{stdlib}/") and os.path.exists(path):
                copy = to + path.removeprefix(stdlib)
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copy2(path, copy)
                os.chmod(copy, 0o755)
    print(stdlib)


stdlib, hook, *places = sys.argv[1:]
for place, mode in zip(places[::2], places[1::2]):
    fill(place, int(mode, 8), hook)
copy_stdlib(stdlib)
