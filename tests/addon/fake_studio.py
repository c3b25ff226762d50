# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that learns nothing and still answers every job; started by tests, never imported."""

import json
import os
import sys
import time
from pathlib import Path

PLY = """ply
format ascii 1.0
element vertex 3
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
element face 1
property list uchar int vertex_indices
end_header
0 0 0 255 0 0
{size} 0 0 255 0 0
0 {size} 0 255 0 0
3 0 1 2
"""


def say(kind, **values):
    sys.stdout.write(json.dumps({"version": 1, "type": kind, **values}) + "\n")
    sys.stdout.flush()


def train(job):
    run = Path(job["run"])
    say("warned", job_id=job["job_id"], message="the fake learns nothing")
    for step in (1, 2):
        say("progress", job_id=job["job_id"], stage="training", done=step, total=2, psnr=20.0)
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(json.dumps(job))
    if job["method"] == "hang":
        return
    if job["method"] == "fail":
        say("job_failed", job_id=job["job_id"], message="No luck.", remedy="Try again.")
    elif job["method"] == "die":
        sys.stderr.write("the sky falls\n")
        sys.stderr.flush()
        os._exit(7)
    else:
        say("trained", run=job["run"], method="nerf", steps=2, seconds=0.1, psnr=21.5,
            job_id=job["job_id"])  # fmt: skip


def extract_mesh(job):
    output = Path(job["run"]) / "outputs" / "mesh.ply"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(PLY.format(size=job["resolution"]))
    say("mesh_ready", output=str(output), num_vertices=3, num_faces=1, level=4.5,
        job_id=job["job_id"])  # fmt: skip


def render_views(job):
    from PIL import Image

    output = Path(job["output"] or Path(job["run"]) / "outputs" / "views")
    output.mkdir(parents=True, exist_ok=True)
    cameras = json.loads(Path(job["cameras"]).read_text())
    frames = [frame["frame"] for frame in cameras["frames"]]
    files = [f"view_{frame:04d}.png" for frame in frames]
    for file in files:
        Image.new("RGBA", (cameras["w"], cameras["h"])).save(output / file)
    say("views_ready", output=str(output), files=[str(output / file) for file in files],
        frames=frames, job_id=job["job_id"])  # fmt: skip


def main():
    say(
        "worker_ready",
        backend_version="0",
        python="3",
        torch="0",
        devices=["cpu"],
        methods=["nerf"],
    )
    for line in sys.stdin:
        job = json.loads(line)
        if job["type"] == "cancel":
            if os.environ.get("FAKE_STUBBORN"):
                continue
            say("job_cancelled", job_id=job["job_id"], run=os.environ.get("FAKE_RUN", ""))
        elif job["type"] == "shutdown":
            return
        else:
            time.sleep(0.02)
            globals()[job["type"]](job)


if __name__ == "__main__":
    main()
