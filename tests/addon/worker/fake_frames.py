# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers requests for views: `run` says how. Started by tests, never imported."""

import json
import os
import sys
from pathlib import Path


def say(kind, **values):
    sys.stdout.write(json.dumps({"version": 1, "type": kind, **values}) + "\n")
    sys.stdout.flush()


def main():
    say("worker_ready", backend_version="0", python="3", torch="0", devices=["cpu"], methods=[])
    for line in sys.stdin:
        job = json.loads(line)
        if job["type"] == "shutdown":
            return
        if job["type"] == "cancel":
            say("job_cancelled", job_id=job["job_id"])
        elif job["type"] == "render_frame":
            say("progress", job_id=job["job_id"], stage="rendering", done=0.5, total=1.0)
            if job["run"] == "die":
                os._exit(7)
            if job["run"] == "hang":
                continue
            Path(job["output"]).write_bytes(b"picture")
            say("frame_ready", job_id=job["job_id"], output=job["output"], width=1, height=1,
                seconds=0.1)  # fmt: skip


if __name__ == "__main__":
    main()
