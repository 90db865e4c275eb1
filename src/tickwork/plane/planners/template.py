"""The planner that needs no network and no model: the goal is compared with plans that people wrote.

The plan whose goal, description or examples lie closest to the goal is taken, with the parameters that the goal names.

Law: the same goal and the same plans give the same plan, in whatever order the plans were read; ties go by name.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ...infer.embeddings import Embedder, HashedNgrams, cosine
from ..errors import PlannerFailed
from ..tables import PlanTable
from .extract import Extracted, extract, own_words, plain_example
from .planner import Desk, Draft, Task

NAME: Final = "template"

NEAR: Final = 0.35
"""Likeness from which on a plan is for a goal. Over goals and plans of the tests, and with either embedder, goals that
are meant for a plan lie from 0.38 on, and goals that have nothing to do with it up to 0.32."""

_FUNCTION_WORDS: Final = frozenset(
    "a all an and any are as at be by can do does for from get give have how i in into is it its let me my of on or "
    "our please show so some tell that the their them then there these this those to us want was we what when where "
    "which who why will with would you your".split()
)
"""Words that every goal has. An embedder that knows words by their letters alone would find goals alike for them."""

SHOWN: Final = 5
"""Near plans that an error names."""

MOST_INPUT_CHARACTERS: Final = 200


class Match(msgspec.Struct, frozen=True):
    """A plan beside a goal.

    Attributes:
        likeness: From -1 to 1, rounded to six decimals; 1 where the goal is an instance of one of its examples.
        text: What of the plan was closest.
    """

    likeness: float
    table: PlanTable
    text: str
    extracted: Extracted


class TemplatePlanner:
    """Takes the nearest plan.

    Args:
        plans: Plans by name.
        embedder: Makes vectors of texts; the hashed n-grams need no model.
    """

    def __init__(self, plans: Mapping[str, PlanTable], embedder: Embedder | None = None) -> None:
        self._plans = plans
        self._embedder = embedder or HashedNgrams()

    def propose(self, task: Task, desk: Desk) -> Draft:
        """Return the nearest plan, with the parameters that the goal names.

        Raises:
            PlannerFailed: TW7016, there is none near, or a parameter that it needs is not in the goal; the nearest
                plans are named.
        """
        allowed = desk.settings.plans
        plans = [table for name, table in sorted(self._plans.items()) if not allowed or name in allowed]
        if not plans:
            raise PlannerFailed(
                "there are no plans to choose from",
                why="the template planner takes a plan that somebody wrote",
                fix="put plans into .tickwork/plans, or let a language model plan: planner = llm",
            )
        matches = self.rank(task, plans)
        desk.notes |= {
            "embedder": self._embedder.name,
            "near": [
                {"plan": match.table.name, "likeness": match.likeness, "text": match.text} for match in matches[:SHOWN]
            ],
        }
        best = matches[0]
        if best.likeness < NEAR:
            raise PlannerFailed(
                f"no plan is for this goal; the nearest is {_shown(best)}",
                where=f"goal: {task.goal[:MOST_INPUT_CHARACTERS]}",
                why=f"a likeness of {NEAR:g} is needed; near are {', '.join(map(_shown, matches[:SHOWN]))}",
                fix="name a plan's own words, add a plan to .tickwork/plans, or run one: tickwork plan run FILE",
            )
        if best.extracted.missing:
            raise _missing(best, task)
        desk.notes["parameters"] = best.extracted.values
        return Draft(best.table, best.extracted.values)

    def rank(self, task: Task, plans: Sequence[PlanTable]) -> list[Match]:
        """Return plans by how near they are to a goal.

        Order: nearest first; of goals' instances those whose example says more; ties by name.
        """
        texts = [_texts(table) for table in plans]
        told = [task.goal, *(text for said in texts for text in said)]
        if isinstance(self._embedder, HashedNgrams):
            told = [_content(text) for text in told]
        vectors = self._embedder.embed(told)
        goal, rest = vectors[0], iter(vectors[1:])
        matches = list[Match]()
        for table, said in zip(plans, texts, strict=True):
            near = [(round(cosine(goal, next(rest)), 6), text) for text in said]
            likeness, text = max(near, key=lambda pair: pair[0], default=(0.0, ""))
            extracted = extract(table, task.goal, task.inputs)
            if extracted.example:
                likeness, text = 1.0, extracted.example
            matches.append(Match(likeness, table, text, extracted))
        return sorted(matches, key=_order)


def _order(match: Match) -> tuple[float, int, str]:
    return -match.likeness, -own_words(match.extracted.example), match.table.name


def _texts(table: PlanTable) -> list[str]:
    said = [table.goal, table.description, *map(plain_example, table.examples), table.name.replace("_", " ")]
    return [text for text in dict.fromkeys(said) if text]


def _content(text: str) -> str:
    words = [word for word in text.split() if word.lower().strip(".,;:?!") not in _FUNCTION_WORDS]
    return " ".join(words) or text


def _shown(match: Match) -> str:
    return f"{match.table.name} ({match.likeness:.2f})"


def _missing(match: Match, task: Task) -> PlannerFailed:
    table, missing = match.table, match.extracted.missing
    told = [
        f"{name} ({table.inputs[name].type}): {table.inputs[name].description or 'no description'}" for name in missing
    ]
    plural = "s" if len(missing) > 1 else ""
    options = " ".join(f"--input {name}=..." for name in missing)
    example = f"; it is asked for as: {table.examples[0]}" if table.examples else ""
    return PlannerFailed(
        f"the plan {table.name} needs the parameter{plural} {', '.join(missing)}, which the goal does not name",
        where=f"goal: {task.goal[:MOST_INPUT_CHARACTERS]}",
        why="; ".join(told) + example,
        fix=f"say it in the goal, or give {options}",
    )
