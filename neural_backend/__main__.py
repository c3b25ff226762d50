# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m neural_backend`: the same as the command `neural-fields`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
