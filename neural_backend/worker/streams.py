# SPDX-License-Identifier: GPL-3.0-or-later
"""The two pipes to the process that started the worker."""

import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

from ..protocol.errors import ProtocolError
from ..protocol.lines import MAX_LINE_CHARACTERS, from_line, to_line
from ..protocol.messages import Message


def claim_streams() -> tuple[BinaryIO, BinaryIO]:
    """The process's stdin and stdout, kept for messages alone.

    Whatever else prints goes to stderr, and whatever else reads, child processes included, finds
    nothing: one stray line would be taken for a message.
    """
    commands = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout.flush()
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = io.TextIOWrapper(os.fdopen(os.dup(2), "wb", buffering=0), write_through=True)
    return commands, messages


class MessageWriter:
    """Says messages, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def say(self, message: Message) -> None:
        """Raises BrokenPipeError where nobody listens any more."""
        line = to_line(message).encode()
        with self._lock:
            self._stream.write(line)
            self._stream.flush()


def read_messages(stream: BinaryIO) -> Iterator[Message | ProtocolError]:
    """The messages that come, and what is wrong with the lines that are none, until the end."""
    while line := stream.readline(MAX_LINE_CHARACTERS + 1):
        if len(line) > MAX_LINE_CHARACTERS:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE_CHARACTERS)
            yield ProtocolError(f"a line is longer than {MAX_LINE_CHARACTERS} bytes")
            continue
        if not line.strip():
            continue
        try:
            yield from_line(line.decode())
        except ProtocolError as error:
            yield error
        except UnicodeDecodeError as error:
            yield ProtocolError(f"a line is not UTF-8 text: {error}")
