"""What models put around an answer although they were asked not to."""

import re
from typing import Final

_FENCED: Final = re.compile(r"```(?:json)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)


def unfenced(text: str) -> str:
    """Return what stands between the fences of Markdown, where a text is one fenced block and nothing else."""
    found = _FENCED.fullmatch(text.strip())
    return found[1] if found else text
