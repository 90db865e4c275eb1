"""A skill of this example's own: for each text the one of some known texts that is nearest, by embeddings.

The vectors are of hashed n-grams, so that it needs no model and gives the same everywhere.
"""

from collections.abc import Mapping
from typing import Any

import pydantic

from tickwork.infer.embeddings import HashedNgrams, cosine
from tickwork.kinds import EffectClass
from tickwork.plane.skills.shapes import ModelShape
from tickwork.plane.skills.skill import CallContext, Traits


class Known(pydantic.BaseModel):
    """A text that is known, and what it is called."""

    id: str
    text: str


class Given(pydantic.BaseModel):
    """What goes in."""

    texts: list[str] = pydantic.Field(max_length=500)
    known: list[Known] = pydantic.Field(min_length=1, max_length=500)
    least: float = pydantic.Field(default=0.3, description="Likeness below which a text is like none of them.")


class Near(pydantic.BaseModel):
    """What a text is like; no id where it is like none."""

    id: str | None
    likeness: float


class Nearest:
    """The skill."""

    shapes = (ModelShape(Given), ModelShape(list[Near]))
    traits = Traits("nearest", "1", "Say which of some known texts each text is most like.", EffectClass.PURE)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Nearest":
        """Return the skill; there is nothing to configure."""
        return cls()

    def call(self, given: Given, context: CallContext) -> list[dict[str, Any]]:
        """Return a likeness for each text. Order: as given."""
        embedder = HashedNgrams()
        known = embedder.embed([one.text for one in given.known])
        found = list[dict[str, Any]]()
        for vector in embedder.embed(given.texts):
            likeness, place = max((round(cosine(vector, other), 4), -index) for index, other in enumerate(known))
            id = given.known[-place].id if likeness >= given.least else None
            found.append({"id": id, "likeness": likeness})
        return found
