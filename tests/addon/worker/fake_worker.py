# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker of few words: what it does is its one argument. Started by tests, never imported."""

import json
import os
import signal
import sys
import time

VERSION = 1


def say(version=VERSION, **values):
    sys.stdout.write(json.dumps({"version": version, **values}) + "\n")
    sys.stdout.flush()


def ready(version=VERSION):
    say(
        version,
        type="worker_ready",
        backend_version="0",
        python="3",
        torch="0",
        devices=["cpu"],
        methods=["nerf"],
    )


def answer(job):
    say(type="progress", job_id=job["job_id"], stage="reading", done=1, total=1)
    say(type="inspected", job_id=job["job_id"], lines=[os.environ.get("GLIBC_TUNABLES", "")])


def main(mode):
    if mode == "mute":
        time.sleep(60)
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mode == "noisy":
        sys.stdout.write("Hello from sitecustomize\n")
    ready(version=99 if mode == "newer" else VERSION)
    if mode == "garbled":
        sys.stdout.write('{"half": \n')
        sys.stdout.flush()
    for line in sys.stdin:
        job = json.loads(line)
        if job["type"] == "shutdown" and mode != "deaf":
            break
        if job["type"] == "inspect" and mode == "mortal":
            sys.stderr.write("warming up\nout of cheese\n")
            sys.stderr.flush()
            os._exit(3)
        if job["type"] == "inspect" and mode in ("normal", "noisy"):
            answer(job)
    if mode == "deaf":
        time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1])
