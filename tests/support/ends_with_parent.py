# SPDX-License-Identifier: Apache-2.0
"""Run a module as ``python -m`` does, and end when standard input does: with whoever started this, however that ended.

``python -P ends_with_parent.py MODULE ARGUMENT...``, with a pipe as standard input. The kernel closes the pipe's other
end even where the parent was killed.
"""

import os
import runpy
import sys
import threading


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_input, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
