"""Records a new golden journal: python tests/golden/record.py NAME

NAME is one of ``WORLDS``. A journal that exists is never written again: what it proves is that later versions still
read it.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

GOLDEN = Path(__file__).resolve().parent
ROOT = GOLDEN.parent.parent

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402

from tests.laws.corpus import listener, options, wasm, world  # noqa: E402
from tests.laws.everything import everything  # noqa: E402
from tickwork import codec  # noqa: E402
from tickwork.clock import SteppedClock  # noqa: E402
from tickwork.driver.resolve import World  # noqa: E402
from tickwork.driver.run import run  # noqa: E402
from tickwork.records import FeedSpec, Limits, Supervision, TaskSpec  # noqa: E402

SIGNING_KEY = bytes(range(32))


def golden_world() -> World:
    """Return a world with modules, a native agent, failures, tasks, timers, a feed, effects and spawning."""
    names = ("g0", "g1", "g2")
    gossips = tuple(
        wasm(name, "gossip", {"peers": 3, "fanout": 2}, send=names, publish=("heard", "rumour"), subscribe=("rumour",))
        for name in names
    )
    child = wasm("child", "spawner", {"children": 1, "generations": 1, "life": 3}, publish=("born",), spawn=("child",))
    rogue = wasm(
        "rogue",
        "rogue",
        {"act": "trap", "at": 6, "every": 5, "publish": 1},
        publish=("talk",),
        limits=Limits(mailbox_messages=2, overflow="drop_old"),
        supervision=Supervision("restart", 0),
    )
    agents = (
        *gossips,
        rogue,
        wasm("clock", "timers", {"period": 4}, publish=("time",)),
        wasm("worker", "tasks", {"plan": 1}, send=("worker",), publish=("done",)),
        wasm("echo", "echo", {}, send=("*",), subscribe=("rows",)),
        child,
        listener(subscribe=("heard", "rumour", "talk", "time", "done", "born")),
    )
    rows = b"hour,value\n" + b"".join(b"%d,%d\n" % (index, index * index) for index in range(12))
    return world(
        "golden",
        24,
        agents,
        rows,
        policy="dag",
        checkpoint_every=8,
        templates=(child,),
        tasks=(TaskSpec("first", "worker", 1, 0, b"1"), TaskSpec("second", "echo", 0, 0, b"2", (0,))),
        feeds=(FeedSpec("rows", codec.digest(rows), "rows", True, "hour"),),
    )


def moving_world() -> World:
    """Return a world of modules with windows, denials, grants, models, swaps across languages and a snapshot."""
    whole = everything()
    header = msgspec.structs.replace(
        whole.header,
        name="moving",
        agents=tuple(spec for spec in whole.header.agents if spec.kind == "wasm"),
        windows=tuple(
            msgspec.structs.replace(window, readers=tuple(name for name in window.readers if name == "reader"))
            for window in whole.header.windows
            if window.name != "notes"
        ),
    )
    inputs = tuple(planned for planned in whole.inputs if planned[1].target not in ("peer", "second"))
    return msgspec.structs.replace(whole, header=header, inputs=inputs, natives={})


WORLDS: Final[Mapping[str, Callable[[], World]]] = {"first": golden_world, "moving": moving_world}


def main() -> int:
    """Record the journal and print its line of heads.txt."""
    path = GOLDEN / f"{sys.argv[1]}.twk"
    with tempfile.TemporaryDirectory() as cache:
        chosen = options(Path(cache), clock=SteppedClock(), signing_key=SIGNING_KEY)
        steady = chosen.performers["artifact.write"]
        performers = {**chosen.performers, "work": steady, "infer:brain": steady}
        chosen = msgspec.structs.replace(chosen, performers=performers)
        # The folder is written into the journal as a hint; the root is on every machine.
        made = msgspec.structs.replace(WORLDS[path.stem](), folder=Path("/"))
        done = run(made, journal=path, options=chosen)
    sys.stdout.write(f"{path.stem} {done.head.hex()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
