"""A child that does what its script says: `python scripted_child.py SCRIPT ROLE`.

The script is a JSON object: what to do at a frame ("A#3"), a count ("count-A") or a job ("A"):
die, die-once, hang, fail, refuse, slow. It stands in for the real child at its command line, stdin
and stdout.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def say(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


def act(what: str, where: str, folder: Path) -> dict[str, object]:
    if what == "die-once":
        mark = folder / f"died-{where.replace('#', '-')}"
        what = "" if mark.exists() else "die"
        mark.touch()
    if what == "die":
        os.kill(os.getpid(), 9)
    if what == "hang":
        time.sleep(600)
    if what == "slow":
        time.sleep(0.05)
    if what == "chatter":
        print("a library says hello", flush=True)
    if what in ("fail", "refuse"):
        return {"ok": False, "refused": what == "refuse", "reason": f"{what} at {where}"}
    return {}


def main(script_path: Path, role: str) -> None:
    script = json.loads(script_path.read_text())
    folder = script_path.parent
    seen: set[str] = set()
    with (folder / f"starts-{role}").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    for line in sys.stdin:
        task = json.loads(line)
        ended: dict[str, object] = {}
        if task["kind"] == "run-job":
            ended = act(script.get(task["job"], ""), task["job"], folder)
        elif task["kind"] == "count-frames":
            where = f"count-{task['series']}"
            (folder / f"{where}-begun").touch()
            ended = act(script.get(where, ""), where, folder)
        else:
            for frame in task["frames"]:
                where = f"{task['series']}#{frame['tilt_number']}"
                if where in seen:
                    continue
                say({"kind": "working", "section": frame["section"]})
                act(script.get(where, script.get("every-frame", "")), where, folder)
                with (folder / "frames").open("a") as frames:
                    frames.write(where + "\n")
                seen.add(where)
        say({"kind": "ended", **ended})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
