# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -I -u …/neural_backend/worker/__main__.py`: a worker on stdin and stdout.

Started by its path, so that the backend beside it is the one that runs, whatever is installed.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from neural_backend.worker.server import main

    sys.exit(main())
