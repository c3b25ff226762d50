# SPDX-License-Identifier: GPL-3.0-or-later
"""A package index on this computer, whose connections can be made to break or to hang."""

import hashlib
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHUNK = 65536


class PackageIndex(ThreadingHTTPServer):
    """Serves a folder of wheels as PyPI would. Files in `breaking` end half-way as often as their
    number says; those in `hanging` stop half-way until `go_on` is set.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, wheels: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wheels = wheels
        self.breaking: Counter[str] = Counter()
        self.hanging: set[str] = set()
        self.hangs = threading.Event()
        self.go_on = threading.Event()
        self.served: Counter[str] = Counter()
        """How often each wheel was sent to its end."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def variables(self) -> dict[str, str]:
        """What makes pip use it. Only trusted indexes are kept in pip's cache."""
        return {
            "PIP_INDEX_URL": f"http://127.0.0.1:{self.server_port}/simple/",
            "PIP_TRUSTED_HOST": "127.0.0.1",
            "PIP_RETRIES": "0",
        }

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed has hung up; that is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: PackageIndex

    def do_GET(self) -> None:
        parts = [part for part in self.path.split("/") if part]
        if parts[0] == "simple":
            self._list(parts[1])
        else:
            self._send(self.server.wheels / parts[1].replace("%2B", "+"))

    def log_message(self, *_: Any) -> None:
        pass

    def _list(self, name: str) -> None:
        found = [
            wheel
            for wheel in self.server.wheels.glob("*.whl")
            if wheel.name.split("-")[0].lower().replace("_", "-") == name
        ]
        if not found:
            return self.send_error(404)
        links = "".join(
            f'<a href="/files/{wheel.name.replace("+", "%2B")}#sha256='
            f'{hashlib.sha256(wheel.read_bytes()).hexdigest()}">{wheel.name}</a>\n'
            for wheel in found
        )
        body = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def _send(self, wheel: Path) -> None:
        body = wheel.read_bytes()
        name = wheel.name.split("-")[0]
        server = self.server
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=365000000, immutable, public")
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        self.wfile.flush()
        if server.breaking[name] > 0:
            server.breaking[name] -= 1
            self.close_connection = True
            return
        if name in server.hanging and not server.go_on.is_set():
            server.hangs.set()
            server.go_on.wait(60)
        self.wfile.write(body[half:])
        server.served[name] += 1
