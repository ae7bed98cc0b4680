# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/run-scenarios as a module, for other programs that dump and restore scenarios."""

import importlib.machinery
import importlib.util
import os
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def load_runner():
    loader = importlib.machinery.SourceFileLoader("run_scenarios",
                                                  os.path.join(TESTS, "run-scenarios"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module
