# SPDX-License-Identifier: GPL-3.0-or-later
"""The exception for what is wrong with the scene or a file and can be put right by the user."""


class SceneError(Exception):
    """What is wrong, with which object or file, and what to do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy
