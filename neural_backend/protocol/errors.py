# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception whose text is meant for the user."""


class JobError(Exception):
    """Something the user can put right: what is wrong (with which file), and what to do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy
