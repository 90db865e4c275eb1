"""Parameters of a plan, found in the words of a goal: by its examples, by name, by type. No model, no guess.

A parameter that is not found has its default, or is missing, and then a person is asked: a wrong value would be worse.

Law: what is returned fits its input table.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from ..errors import PlaneError
from ..json_text import read_json
from ..plan_inputs import value_faults
from ..tables import InputTable, PlanTable

MOST_CHARACTERS: Final = 2_000
"""Of a goal that is looked at: parameters stand in its first sentences."""

_PLACE: Final = re.compile(r"\{([a-z][a-z0-9_]{0,63})\}")
_NUMBER: Final = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,15})?(?![\w]|\.\d)")
_QUOTED: Final = re.compile(r"\"([^\"]{1,500})\"|“([^”]{1,500})”|`([^`]{1,500})`")
_ENDS: Final = " \t\n.,;:!?\"'“”`()[]"
_TRUTHS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Extracted(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        values: By name of the input.
        missing: Inputs that have neither a value nor a default. Order: as the plan has them.
        example: The example that the whole goal is an instance of; empty for none.
    """

    values: dict[str, Any]
    missing: tuple[str, ...]
    example: str = ""


def extract(table: PlanTable, goal: str, given: Mapping[str, Any]) -> Extracted:
    """Return the parameters of a plan, as far as a goal tells them; those that were given are left alone."""
    text = " ".join(goal[:MOST_CHARACTERS].split())
    example, values = _by_example(table, text)
    wanted = {name: item for name, item in table.inputs.items() if name not in given and name not in values}
    taken = [str(value) for value in values.values()]
    for name, item in wanted.items():
        for value in (*_by_name(name, item, text), *_by_kind(item, text)):
            values[name] = value
            break
    _by_being_alone({name: item for name, item in wanted.items() if name not in values}, text, taken, values)
    values = {name: value for name, value in values.items() if name not in given}
    missing = [
        name
        for name, item in table.inputs.items()
        if name not in given and name not in values and item.default is None and not item.optional
    ]
    return Extracted(values, tuple(missing), example)


def plain_example(example: str) -> str:
    """Return an example without its parameters, for comparing it with a goal."""
    return " ".join(_PLACE.sub(" ", example).split())


def read_value(item: InputTable, text: str) -> Any:
    """Return a text as a value of an input.

    Raises:
        ValueError: It is none.
    """
    text = text.strip(_ENDS) if item.type not in ("array", "object") else text.strip()
    value: Any = text
    match item.type:
        case "integer":
            value = int(text) if re.fullmatch(r"-?\d{1,15}", text) else _no(text)
        case "number":
            value = float(text) if _NUMBER.fullmatch(text) else _no(text)
        case "boolean":
            value = _TRUTHS[text.lower()] if text.lower() in _TRUTHS else _no(text)
        case "array":
            value = read_json(text) if text.startswith("[") else _listed(text)
        case "object":
            value = read_json(text)
        case _:
            value = next((option for option in item.enum if str(option).lower() == text.lower()), text)
    check_value(item, value)
    return value


def check_value(item: InputTable, value: Any) -> None:
    """Refuse a value that does not fit an input.

    Raises:
        ValueError: It is of another type, not among those that are listed, or out of range.
    """
    if value == "":
        raise ValueError("it is empty")
    try:
        fault = next(value_faults(value, item, ()), None)
    except PlaneError as error:
        raise ValueError(error.what) from error
    if fault is not None:
        raise ValueError(fault.told())


def _no(text: str) -> Any:
    raise ValueError(f"{text!r} is no such value")


def _listed(text: str) -> list[str]:
    return [part.strip(_ENDS) for part in re.split(r",| and ", text) if part.strip(_ENDS)]


def _by_example(table: PlanTable, text: str) -> tuple[str, dict[str, Any]]:
    """Return the example that a goal is an instance of, with its parameters; else the parameters of the best part.

    Of several examples the one with the most words of its own is taken; of as many, the first.
    """
    whole = [(example, _instance(table, example, text, whole=True)) for example in table.examples]
    fitting = [(example, values) for example, values in whole if values is not None]
    if fitting:
        return max(fitting, key=lambda pair: own_words(pair[0]))
    parts = (_instance(table, example, text, whole=False) for example in table.examples)
    nothing: dict[str, Any] = {}
    return "", max((values for values in parts if values is not None), key=len, default=nothing)


def own_words(example: str) -> int:
    """Return how many words of an example are no parameters: the more, the more it says."""
    return len(plain_example(example).split())


def _instance(table: PlanTable, example: str, text: str, *, whole: bool) -> dict[str, Any] | None:
    """Return the parameters where a text reads as an example does; None where it does not.

    Each literal part is looked for once, from where the last one ended, so that no text is slow to look at.
    """
    parts = _PLACE.split(" ".join(example.split()))
    literals, names = parts[0::2], parts[1::2]
    literals[-1] = literals[-1].rstrip(_ENDS)
    text = text.rstrip(_ENDS)
    lowered = text.lower()
    at = _literal(lowered, literals[0].lower(), 0)
    if at < 0 or (whole and at > 0) or (not whole and len(literals[0].split()) < 2):
        return None
    at += len(literals[0])
    values = dict[str, Any]()
    for name, literal in zip(names, literals[1:], strict=True):
        # Half a word is no end of a parameter: the next literal begins with a blank, or the text ends.
        end = lowered.find(literal.lower(), at + 1) if literal else len(text)
        item = table.inputs.get(name)
        if end < 0 or item is None:
            return None
        try:
            values[name] = read_value(item, text[at:end])
        except ValueError:
            return None
        at = end + len(literal)
    return None if whole and at < len(text) else values


def _literal(lowered: str, literal: str, start: int) -> int:
    """Return where a literal stands on its own, and not in the middle of a word; -1 where it does not."""
    at = lowered.find(literal, start)
    while at > 0 and literal[:1].isalnum() and lowered[at - 1].isalnum():
        at = lowered.find(literal, at + 1)
    return at


def _by_name(name: str, item: InputTable, text: str) -> Iterator[Any]:
    """Yield values that stand beside the name of an input: ``days=5``, ``days: 5``, ``5 days``."""
    spelt = re.escape(name).replace("_", "[ _-]")
    found = [match[1] for match in re.finditer(rf"(?i)\b{spelt}\s?[=:]\s?(\"[^\"]{{1,500}}\"|\S{{1,500}})", text)]
    if item.type in ("integer", "number"):
        single = re.escape(name.removesuffix("s")).replace("_", "[ _-]")
        found += [match[1] for match in re.finditer(rf"(?i)(?<![\w.])(-?\d{{1,15}}(?:\.\d+)?)[ -]{single}s?\b", text)]
        found += [match[1] for match in re.finditer(rf"(?i)\b{spelt}\s(-?\d{{1,15}}(?:\.\d+)?)\b", text)]
    yield from _readable(item, found)


def _by_kind(item: InputTable, text: str) -> Iterator[Any]:
    """Yield values that can be told by their looks alone: one of a list, or what has the form of a pattern."""
    if item.enum:
        places = [(_literal(text.lower(), str(option).lower(), 0), option) for option in item.enum]
        yield from (
            option for at, option in sorted(places, key=lambda pair: pair[0]) if at >= 0 and _ends(text, at, option)
        )
    elif item.pattern and item.type == "string":
        yield from _readable(item, [word for word in text.split() if len(word) <= 200])


def _ends(text: str, at: int, option: Any) -> bool:
    """Return whether what was found ends where a word does."""
    end = at + len(str(option))
    return end >= len(text) or not text[end].isalnum()


def _by_being_alone(wanted: Mapping[str, InputTable], text: str, taken: Sequence[str], values: dict[str, Any]) -> None:
    """Give a value that can be nobody else's: the one number to the one that needs a number, the one quotation so."""
    needed = {name: item for name, item in wanted.items() if item.default is None and not item.optional}
    numeric = [name for name, item in needed.items() if item.type in ("integer", "number") and not item.enum]
    numbers = [found for found in _NUMBER.findall(text) if found not in taken]
    if len(numeric) == 1 and len(numbers) == 1:
        values.update((numeric[0], value) for value in _readable(needed[numeric[0]], numbers))
    texts = [name for name, item in needed.items() if item.type == "string" and not item.enum and not item.pattern]
    quoted = ["".join(found) for found in _QUOTED.findall(text)]
    if len(texts) == 1 and len(quoted) == 1:
        values.update((texts[0], value) for value in _readable(needed[texts[0]], quoted))


def _readable(item: InputTable, found: Sequence[str]) -> Iterator[Any]:
    for text in found:
        try:
            yield read_value(item, text)
        except ValueError:
            continue
