# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line with the tiny method added."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    from neural_backend.cli import main
    from tests import tiny_method

    tiny_method.register()
    sys.exit(main())
