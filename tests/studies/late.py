"""Cells of a module that takes longer to import than a cell may take."""

import os
import time

if os.environ.get("DYNLOOP_TEST_SLOW_IMPORT"):
    time.sleep(float(os.environ["DYNLOOP_TEST_SLOW_IMPORT"]))


def quick(x):
    return {"value": x}
