# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that knows the analytic fields; started by tests, never imported."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from neural_backend.worker.server import main
    from tests import analytic, analytic_motion

    analytic.register()
    analytic_motion.register()
    sys.exit(main())
