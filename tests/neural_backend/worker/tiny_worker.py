# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that knows the tiny method too."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    from neural_backend.worker.server import main
    from tests import tiny_method

    tiny_method.register()
    sys.exit(main())
