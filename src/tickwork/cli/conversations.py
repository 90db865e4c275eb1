"""What was said to a language model and what it said, for people to read: the words as they are, and no JSON."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..driver.shape import is_array, is_table


def conversation(transcript: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield who said what. Order: time.

    What was said before stands in the next request again, and is not told again.
    """
    told = list[tuple[str, str]]()
    for exchange in transcript.get("exchanges", ()):
        request = exchange["request"]
        said = [("system", request["system"])] if "system" in request else []
        said += [(str(turn.get("role")), turn.get("content")) for turn in request.get("messages", ())]
        words = [(who, _words(what)) for who, what in said]
        common = 0
        while common < min(len(words), len(told)) and words[common] == told[common]:
            common += 1
        yield from words[common:]
        told = words
        answer = exchange.get("said")
        if answer is not None:
            who = f"{exchange['provider']}, {exchange['model']} ({answer['finish']})"
            calls = "".join(f"\n{call['name']}({call['arguments']})" for call in answer.get("calls", ()))
            yield who, answer["text"] + calls
            told = [*told, ("assistant", answer["text"])]
        else:
            yield f"{exchange['provider']}, {exchange['model']}", f"[no answer: {exchange['failure']}]"


def _words(content: Any) -> str:
    """Return what a turn says: a text, or the texts of its parts."""
    if is_array(content):
        return "\n".join(str(part["text"]) for part in content if is_table(part) and "text" in part)
    return str(content)
