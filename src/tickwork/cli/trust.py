"""``tickwork trust``: whom this machine believes."""

import shlex
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..clock import SystemClock
from ..errors import UsageFault
from ..packages.editing import Rights, add_key, approve, find_keys, remove_key, revoke
from ..packages.identity import PublicKey, read_public_key
from ..packages.package import read_package
from ..packages.rights import beyond, joined, listed, parse_capability
from ..packages.seen import Asked, Seen, all_seen
from ..packages.times import FOREVER, format_time
from ..packages.trust import Key, Trust, load_trust
from ..sandbox.manifest import Capabilities
from .config import load_settings, trust_folder
from .output import Output, write_document, write_facts, write_line
from .parcels import read_file

EXAMPLES: Final = """Examples:

    tickwork trust list
    tickwork trust add publisher.key.pub --publisher Acme --names 'acme-*'
    tickwork trust revoke 5f1e0c7a --reason 'stolen in May'
    tickwork trust approve acme-trader

The file is trust.toml in the folder that TICKWORK_TRUST names, else in your
settings folder."""

app = App(name="trust", help_epilogue=EXAMPLES)

Which = Annotated[str, Parameter(help="A key's id, at least its first 8 digits, or its publisher.")]


@app.command(name="list", help_epilogue="Examples:\n\n    tickwork trust list\n    tickwork trust list -o json")
def list_trust(*, output: Output = "text") -> int:
    """Show the keys this machine believes, what is revoked, and which updates wait for approval."""
    trust = load_trust(_folder())
    seen = list(all_seen(trust.folder)) if trust.folder is not None else []
    if output == "text":
        _tell(trust, seen)
    else:
        document = {
            "folder": str(trust.folder),
            "version": trust.version,
            "keys": [_key_document(key, trust) for key in trust.keys],
            "revoked": [{"digest": digest.hex(), "reason": reason} for digest, reason in trust.revoked.items()],
            "packages": [_seen_document(one) for one in seen],
        }
        write_document(document, output)
    return 0


@app.command(
    help_epilogue="""Examples:

    tickwork trust add publisher.key.pub --publisher Acme --names 'acme-*'
    tickwork trust add 5f1e0c7a --capability 'skills=artifact.*' --capability clock
    tickwork trust add next.key.pub

A key may give messages (publish, subscribe, send) unless --capability says
otherwise. A key that is trusted already gets what is named beside what it has.
One that follows a trusted key has that one's rights."""
)
def add(
    key: Annotated[str, Parameter(help="A .pub file, a public key in hexadecimal, or a key trusted already.")],
    /,
    *,
    publisher: Annotated[str, Parameter(help="Who holds the key.")] = "",
    names: Annotated[
        list[str] | None, Parameter(negative="", help="Pattern of package names it may sign; may be repeated.")
    ] = None,
    capability: Annotated[
        list[str] | None,
        Parameter(negative="", help="KIND=PATTERN, or clock: the most its packages may ask for; may be repeated."),
    ] = None,
    not_before: Annotated[str, Parameter(help="First day or moment it is valid, as 2026-05-31.")] = "",
    not_after: Annotated[str, Parameter(help="First day or moment it is valid no more.")] = "",
    output: Output = "text",
) -> int:
    """Believe a key for some names and capabilities."""
    folder = _folder()
    given = _capabilities(capability) if capability else None
    rights = Rights(publisher, tuple(names or ()), given, not_before, not_after)
    entry = add_key(folder, _public_key(key, load_trust(folder)), rights, SystemClock().now_us())
    trust = load_trust(folder)
    added = next(one for one in trust.keys if one.public_key.hex() == entry.public_key)
    if output == "text":
        _tell_key(added, trust)
    else:
        write_document(_key_document(added, trust), output)
    return 0


@app.command(help_epilogue="Examples:\n\n    tickwork trust remove 5f1e0c7a")
def remove(key: Which, /, *, output: Output = "text") -> int:
    """Believe a key no more; what it signed may still run by another key, or with --allow-unsigned."""
    folder = _folder()
    trust = load_trust(folder)
    found = _one_key(key, trust)
    remove_key(folder, found)
    return _tell_change("removed", found.id.hex(), output)


@app.command(
    name="revoke",
    help_epilogue="""Examples:

    tickwork trust revoke 5f1e0c7a --reason 'stolen in May'
    tickwork trust revoke broken.wasm --reason 'loses orders'

What is revoked runs in no run of this machine, whoever signed it and also with
--allow-unsigned.""",
)
def revoke_one(
    what: Annotated[str, Parameter(help="A package's file or digest, or a key's id or publisher.")],
    /,
    *,
    reason: Annotated[str, Parameter(help="What is told to whoever meets it.")] = "",
    output: Output = "text",
) -> int:
    """Refuse a key or a package from now on."""
    folder = _folder()
    keys = find_keys(load_trust(folder), what)
    if keys:
        digest = _one_key(what, load_trust(folder)).id.hex()
    elif len(what) == 64 and set(what) <= set("0123456789abcdef"):
        digest = what
    else:
        digest = read_package(read_file(Path(what)), name=what).content.hex()
    revoke(folder, digest, reason)
    return _tell_change("revoked", digest, output)


@app.command(name="approve", help_epilogue="Examples:\n\n    tickwork trust approve acme-trader")
def approve_one(
    name: Annotated[str, Parameter(help="The name of a package whose update was refused (TW3207, TW3208).")],
    /,
    *,
    output: Output = "text",
) -> int:
    """Let the refused update of a package run: its version, and what it asks for beside what was approved before."""
    done = approve(_folder(), name)
    if done is None:
        raise UsageFault(
            f"no update of {name!r} waits for approval",
            why="an update waits once a run has refused it",
            fix="run it first; `tickwork trust list` shows what waits",
        )
    before, now = done
    added = list(beyond(now.capabilities, before.capabilities))
    if output == "text":
        write_facts(
            [
                ("package", name),
                ("version", f"{now.version}, before {before.version}"),
                ("may also", ", ".join(added) or "nothing more"),
            ]
        )
    else:
        document = {"name": name, "version": now.version, "version_before": before.version, "added": added}
        write_document(document, output)
    return 0


def _folder() -> Path:
    return trust_folder(load_settings())


def _one_key(words: str, trust: Trust) -> Key:
    found = find_keys(trust, words)
    if len(found) == 1:
        return found[0]
    what = "several keys are" if found else "no key is"
    raise UsageFault(f"{what} called {words!r}", fix="name a key's id; `tickwork trust list` shows them")


def _public_key(words: str, trust: Trust) -> PublicKey:
    if len(words) == 64 and set(words) <= set("0123456789abcdef") and not find_keys(trust, words):
        return PublicKey(words)
    if Path(words).is_file():
        return read_public_key(Path(words))
    return PublicKey(_one_key(words, trust).public_key.hex())


def _capabilities(words: list[str]) -> Capabilities:
    given = Capabilities()
    for word in words:
        try:
            given = joined(given, parse_capability(word))
        except ValueError as error:
            raise UsageFault(f"--capability {word} is not understood", why=str(error), fix="see its --help") from error
    return given


def _tell(trust: Trust, seen: list[Seen]) -> None:
    write_facts([("folder", trust.folder), ("version", trust.version)])
    for key in trust.keys:
        write_line("")
        _tell_key(key, trust)
    for digest, reason in trust.revoked.items():
        write_line("")
        write_facts([("revoked", digest.hex()), ("reason", reason or "none given")])
    for one in seen:
        write_line("")
        facts: list[tuple[str, object]] = [("package", one.name), ("version", one.version)]
        facts.append(("approved", ", ".join(listed(one.capabilities)) or "nothing"))
        if one.asked is not None:
            facts.append(("waits", f"version {one.asked.version}, {_asked_text(one.asked, one)}"))
            facts.append(("fix", f"tickwork trust approve {shlex.quote(one.name)}"))
        write_facts(facts)


def _asked_text(asked: Asked, seen: Seen) -> str:
    return ", ".join(beyond(asked.capabilities, seen.capabilities)) or "nothing more"


def _tell_key(key: Key, trust: Trust) -> None:
    document = _key_document(key, trust)
    write_facts(
        [
            ("key", document["key"]),
            ("publisher", f"{key.publisher} ({key.origin})"),
            ("names", ", ".join(key.names) or "none"),
            ("may give", ", ".join(listed(key.capabilities)) or "nothing"),
            ("valid", f"{document['not_before'] or 'always'} to {document['not_after'] or 'always'}"),
            *([("revoked", trust.revoked.get(key.id) or "yes")] if document["revoked"] else []),
        ]
    )


def _key_document(key: Key, trust: Trust) -> dict[str, object]:
    return {
        "key": key.id.hex(),
        "public_key": key.public_key.hex(),
        "publisher": key.publisher,
        "origin": key.origin,
        "names": list(key.names),
        "capabilities": list(listed(key.capabilities)),
        "not_before": format_time(key.not_before_us) if key.not_before_us else "",
        "not_after": format_time(key.not_after_us) if key.not_after_us != FOREVER else "",
        "revoked": key.revoked or key.id in trust.revoked,
    }


def _seen_document(seen: Seen) -> dict[str, object]:
    asked = seen.asked
    return {
        "name": seen.name,
        "version": seen.version,
        "approved": list(listed(seen.capabilities)),
        "asked_version": asked.version if asked is not None else "",
        "asked": list(beyond(asked.capabilities, seen.capabilities)) if asked is not None else [],
    }


def _tell_change(what: str, digest: str, output: Output) -> int:
    if output == "text":
        write_facts([(what, digest)])
    else:
        write_document({what: digest}, output)
    return 0
