"""Names of people: when two spellings are one person."""

import unicodedata


def person_key(name: str) -> str:
    """Return what is the same of every spelling of a person's name: of letters, accents, blanks and the invisible.

    Law: ``person_key(person_key(name)) == person_key(name)``; empty for a name that is nobody's.
    """
    plain = unicodedata.normalize("NFKC", name)
    shown = "".join(" " if letter.isspace() else letter for letter in plain)
    shown = "".join(letter for letter in shown if unicodedata.category(letter) not in ("Cc", "Cf"))
    # To fold letters may take a text apart that normalizing has put together, and the other way round.
    for _ in range(3):
        shown = unicodedata.normalize("NFKC", shown.casefold())
    return " ".join(shown.split())
