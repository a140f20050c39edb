# SPDX-License-Identifier: GPL-2.0
"""A service in Python that imports from the standard library."""
import json

print("python says " + json.loads('"hello"'))
