#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the add-on on a tour through a real Blender on a virtual screen and pictures every panel.

It builds the zip, installs it into an empty profile, opens the tab and presses Find and Try It by
clicks of a simulated mouse, waits for the result and takes the pictures of the documentation. It
needs Xvfb, xdotool and ImageMagick beside Blender. All may live behind a prefix, such as

    scripts/window_tour.py --prefix "chroot /srv/blender" --shared /srv/blender/exchange=/exchange
"""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import environment
from tour.screen import Screen, SharedFolder, TourError, end, run_inside

ROOT = environment.ROOT
COMPLAINT = re.compile(r"Traceback|Error:|Segmentation fault")


def arguments_of(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--blender", default="blender", help="Blender's program (default: the one on PATH)")
    add("--prefix", default="", help="words before every command, such as those of a chroot")
    add("--shared", help="a folder that Blender sees too, as HERE or HERE=INSIDE")
    add("--python", default=sys.executable, help="the worker's Python, as Blender sees it")
    add("--display", default=":77", help="X display; Xvfb is started where nothing answers there")
    add("--size", default="1600x1000", help="of the window, in pixels")
    add("--output", type=Path, default=ROOT / "docs" / "pictures", help="folder for the pictures")
    add("--stops", default="", help="some stops alone, such as tab,panels (default: all)")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Returns 0 where everything was as it should be, 1 otherwise."""
    options = arguments_of(words)
    environment.enter()
    width, height = (int(number) for number in options.size.split("x"))
    screen = Screen(options.display, (width, height), tuple(shlex.split(options.prefix)))
    with tempfile.TemporaryDirectory(prefix="neural_fields_tour_") as temporary:
        shared = SharedFolder.parse(options.shared or temporary)
        shared.here.mkdir(parents=True, exist_ok=True)
        try:
            screen.start(shared.here / "screen.log")
            install(screen, shared, options.blender)
            faults = visit(screen, shared, options)
        except TourError as error:
            sys.stderr.write(f"The tour ended early: {error}\n")
            faults = [str(error)]
        finally:
            screen.stop()
        log = shared.here / "blender.log"
        if log.is_file():
            complaints = complaints_in(log.read_text(encoding="utf-8", errors="replace"))
            faults += [f"in Blender's log: {line}" for line in complaints]
    sys.stdout.write("\n".join([f"{len(faults)} faults.", *faults]) + "\n")
    return int(bool(faults))


def install(screen: Screen, shared: SharedFolder, blender: str) -> None:
    """Builds the zip and has Blender install it, as from the preferences, into an empty profile."""
    import build_extension

    archive = build_extension.build(shared.here)
    profile = shared.here / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    profile.mkdir()
    screen.variables["BLENDER_USER_RESOURCES"] = shared.name_inside(profile)
    words = ("--command", "extension", "install-file", "-r", "user_default", "--enable")
    run_inside(screen, [blender, *words, shared.name_inside(archive)], timeout_s=120)
    sys.stdout.write(f"Installed {archive.name}\n")


def visit(screen: Screen, shared: SharedFolder, options: argparse.Namespace) -> list[str]:
    """Goes from stop to stop in one window; what was not as it should be."""
    from tour.conversation import Conversation
    from tour.stops import STOPS, Tour

    helper = shared.here / "inside_blender.py"
    for name in (helper.name, "inside_timing.py"):
        shutil.copyfile(Path(__file__).parent / "tour" / name, shared.here / name)
    for name in ("ask.json", "answer.json"):
        (shared.here / name).unlink(missing_ok=True)
    # An activated environment that is not there yet: so the tab begins with Set Up.
    made_later = shared.here / "environment"
    made_later.unlink(missing_ok=True)
    screen.variables["VIRTUAL_ENV"] = shared.name_inside(made_later)
    geometry = ["--window-geometry", "0", "0", *map(str, screen.size)]
    command = [
        options.blender,
        *geometry,
        "--python",
        shared.name_inside(helper),
        "--",
        shared.inside,
    ]
    with (shared.here / "blender.log").open("wb") as log:
        blender = subprocess.Popen(screen.command(*command), stdout=log, stderr=subprocess.STDOUT)
        talk = Conversation(shared.here, lambda: blender.poll() is None)
        tour = Tour(screen, talk, shared, options.output, worker=options.python)
        try:
            about = talk.ask("about", timeout_s=120)
            sys.stdout.write(f"Blender {about['version']}\n")
            time.sleep(2.0)
            for name in options.stops.split(",") if options.stops else STOPS:
                sys.stdout.write(f"{name}: {STOPS[name].__doc__}\n")
                STOPS[name](tour)
        finally:
            end(blender)
    for name, size in tour.made.items():
        sys.stdout.write(f"  {options.output / name}.png  {size / 1000:.0f} kB\n")
    return tour.faults


def complaints_in(log: str) -> list[str]:
    """The lines of Blender's log that tell of something that went wrong."""
    return [line for line in log.splitlines() if COMPLAINT.search(line)]


if __name__ == "__main__":
    sys.exit(main())
