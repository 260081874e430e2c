"""A scripted child process: `python scripted_child.py SCRIPT ROLE`.

The script is a JSON object: the action at a frame ("A#3"), a count ("count-A") or a job ("A").
Actions: die, die-once, hang, fail, refuse, slow, chatter. Command line, stdin and stdout are those
of the real child.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def say(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


def act(action: str, where: str, folder: Path) -> dict[str, object]:
    if action == "die-once":
        mark = folder / f"died-{where.replace('#', '-')}"
        action = "" if mark.exists() else "die"
        mark.touch()
    if action == "die":
        os.kill(os.getpid(), 9)
    if action == "hang":
        time.sleep(600)
    if action == "slow":
        time.sleep(0.05)
    if action == "chatter":
        print("a library says hello", flush=True)
    if action in ("fail", "refuse"):
        return {"ok": False, "refused": action == "refuse", "reason": f"{action} at {where}"}
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
            for event in script.get(f"events-{task['job']}", []):
                say({"kind": "published", "event": event})
        elif task["kind"] == "count-frames":
            where = f"count-{task['series']}"
            (folder / f"{where}-begun").touch()
            ended = act(script.get(where, ""), where, folder)
            for event in script.get(f"events-{len(task['frames'])}", []):
                say({"kind": "published", "event": event})
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
