"""An OCI registry of its own on this machine, for tests that push and pull."""

import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.support import need

CONFIG = """version: 0.1
log: {{level: info, formatter: text}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:0"}}
"""


@contextmanager
def running_registry(folder: Path) -> Generator[str]:
    """Yield the address of a registry that is empty."""
    program = need("docker-registry")
    config = folder / "config.yml"
    config.write_text(CONFIG.format(root=folder / "content"), encoding="utf-8")
    with subprocess.Popen(
        [program, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "listening on" in line)
        drain = threading.Thread(target=process.stderr.read)
        drain.start()
        yield "127.0.0.1:" + line.split("listening on 127.0.0.1:")[1].split('"')[0].split()[0]
        process.terminate()
        drain.join()
