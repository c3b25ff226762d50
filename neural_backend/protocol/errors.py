# SPDX-License-Identifier: GPL-3.0-or-later
"""The exceptions whose texts are meant for the user."""


class JobError(Exception):
    """Something the user can put right: what is wrong, with which file, and what to do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy


def is_a(error: BaseException, kind: str) -> bool:
    """Whether the error is of a class of this name, whose module need not be imported for it."""
    return any(known.__name__ == kind for known in type(error).__mro__)


class ProtocolError(Exception):
    """A line that is no message: what is wrong with it, and the job it named, if it named one."""

    def __init__(self, message: str, job_id: str = "") -> None:
        super().__init__(message)
        self.job_id = job_id
