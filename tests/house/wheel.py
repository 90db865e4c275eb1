"""Looks at an installed wheel as a user would; run by ``./ci wheel`` with the environment's folder.

python tests/house/wheel.py ENVIRONMENT
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

UNSUPPORTED = -8

AUDIT = """
import sys, threading
import tickwork
from pathlib import Path
where = Path(tickwork.__file__).resolve()
assert "site-packages" in where.parts or "Lib" in where.parts, where
assert (where.parent / "py.typed").exists()
assert threading.active_count() == 1
foreign = {"apsw", "cryptography", "cyclopts", "rich", "wasmtime"} & set(sys.modules)
assert not foreign, foreign
print(tickwork.__version__)
"""


def main() -> int:
    """Return 0 if the wheel's program, package and demo work away from the checkout."""
    home = Path(sys.argv[1]).resolve()
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    with tempfile.TemporaryDirectory() as folder:
        version = _run([scripts / "python", "-I", "-c", AUDIT], folder).strip()
        said = _run([scripts / "tickwork", "--version"], folder).strip()
        assert said == f"tickwork {version}", said
        doctor = _run([scripts / "tickwork", "doctor"], folder)
        assert doctor
        demo = _run([scripts / "tickwork", "demo", "--ticks", "200", "-o", "json"], folder)
        document = json.loads(demo)
        assert document["equal"] is True, document
        assert document["forecast"]["refusal"] == UNSUPPORTED, "nothing that runs models is installed here"
        begun = json.loads(_run([scripts / "tickwork", "agent", "new", "c", "starter", "-o", "json"], folder))
        assert any(name.endswith("agent.toml") for name in begun["files"]), begun
    print(f"wheel: tickwork {version}, demo of 200 ticks, head {document['head']}")
    return 0


def _run(command: list[str | Path], folder: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TICKWORK"))}
    result = subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        sys.exit(f"{command} exited {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result.stdout


if __name__ == "__main__":
    sys.exit(main())
