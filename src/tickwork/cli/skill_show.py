"""``tickwork skill show``."""

from typing import Final

import msgspec
from cyclopts import App

from .output import Output, write_document, write_facts, write_line

EXAMPLES: Final = """Examples:

    tickwork skill show json_transform
    tickwork skill show http_call@1 -o json"""

app = App(name="show", help_epilogue=EXAMPLES)


@app.default
def show(reference: str, /, *, output: Output = "text") -> int:
    """Show what a skill takes and gives, and what is known of it.

    Args:
        reference: NAME, or NAME@VERSION.
    """
    from .skills import class_name, open_registry, skill_document

    with open_registry() as registry:
        found = registry.find(reference)
        given, made = (shape.schema() for shape in found.skill.shapes)
    if output != "text":
        write_document({**skill_document(found), "input": given, "output": made}, output)
        return 0
    traits, cost = found.traits, found.traits.cost
    changes = "something outside the run" if traits.side_effects else "nothing"
    write_facts(
        [
            ("skill", found.reference),
            ("does", traits.description),
            ("class", class_name(traits.effect_class)),
            ("reaches", ", ".join(traits.capabilities) or "nothing"),
            ("changes", changes),
            ("results", "are from outside" if traits.outside else "follow from the parameters"),
            ("approval", f"if {traits.approval}" if traits.approval else "none"),
            ("time", f"{traits.timeout_ms:,} ms"),
            ("cost", f"{cost.per_call_micros:,} micro-dollars a call" if cost.known else "has no bound"),
            ("digest", found.pin.digest.hex()),
        ]
    )
    for name, schema in (("input", given), ("output", made)):
        write_line("")
        write_line(f"{name}:")
        write_line(msgspec.json.format(msgspec.json.encode(schema), indent=2).decode())
    return 0
