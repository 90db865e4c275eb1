"""Which skills there are: what is shipped, what installed packages bring, and what a machine makes of them.

A skill is found by the name that plans use. ``.tickwork/skills.toml`` says what a name stands for, where it is not the
skill that is shipped or installed under it: ``[skills.NAME]`` with ``kind`` and the kind's own keys, and
``[servers.NAME]`` for a server whose skills are called ``NAME.SKILL``.

Invariants:
    * Nothing is imported, opened or started before somebody asks for it by name.
    * A name stands for one skill for as long as a registry lives, and what a run pins of it follows from the skill and
      the configuration alone.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final, Protocol, Self, cast

import msgspec

from ... import codec
from ...driver.faults import choose
from ..compiled import SkillPin
from ..errors import PlaneError, SkillInvalid, SkillNotFound
from ..extras import missing_package
from ..json_text import write_json
from .configuration import Configuration, PolicyTable
from .own import FileMaker, names_file
from .skill import Skill, SkillMaker, Traits

GROUP: Final = "tickwork.skills"
"""Entry points of this group are kinds of skills, by name."""

SHIPPED: Final[Mapping[str, str]] = {
    "ask_human": "tickwork.plane.skills.waiting:AskHuman",
    "file_read": "tickwork.plane.skills.files:FileRead",
    "file_write": "tickwork.plane.skills.files:FileWrite",
    "http_call": "tickwork.plane.skills.http_call:HttpCall",
    "json_transform": "tickwork.plane.skills.json_transform:JsonTransform",
    "llm_invoke": "tickwork.plane.skills.llm_invoke:LlmInvoke",
    "model_infer": "tickwork.plane.skills.model_infer:ModelInfer",
    "notify": "tickwork.plane.skills.notify:Notify",
    "sql_query": "tickwork.plane.skills.sql_query:SqlQuery",
    "text_search": "tickwork.plane.skills.text_search:TextSearch",
    "wait": "tickwork.plane.skills.waiting:Wait",
    "web_read": "tickwork.plane.skills.web:WebRead",
}
"""Kinds that can be used under their own names without being configured. Order: by name."""

KINDS: Final[Mapping[str, str]] = {**SHIPPED, "wasm": "tickwork.plane.skills.wasm:WasmSkill"}
"""Every kind of skill that is shipped."""

SERVERS: Final[Mapping[str, str]] = {"mcp": "tickwork.plane.skills.mcp:McpServer"}
"""Kinds of servers."""


class Server(Protocol):
    """Whatever offers skills of its own, found out when it is asked."""

    def names(self) -> Sequence[str]:
        """Return the names of its skills, without the server's. Order: by name."""
        ...

    def find(self, name: str) -> Skill:
        """Return a skill by its name, without the server's.

        Raises:
            SkillNotFound: TW7003. ServerFailed: TW7026, also where it is not offered as it was accepted.
        """
        ...

    def accept(self) -> list[str]:
        """Accept what is offered now, and return what has changed since. Order: by name.

        Raises:
            ServerFailed: TW7026.
        """
        ...

    def close(self) -> None:
        """Let it go."""
        ...


class ServerMaker(Protocol):
    """What a kind of servers is."""

    def from_config(self, config: Mapping[str, Any]) -> Server:
        """Return a server, which need not run yet.

        Raises:
            SkillInvalid: TW7004, the configuration is not what it must be.
        """
        ...


class Found(msgspec.Struct, frozen=True):
    """A skill under the name that plans use.

    Attributes:
        traits: Those of the skill, under that name and with what the configuration says instead.
        pin: What a run keeps of it.
    """

    skill: Skill
    traits: Traits
    pin: SkillPin

    @property
    def reference(self) -> str:
        """Name and version: ``file_read@1``."""
        return f"{self.pin.name}@{self.pin.version}"


class Reference(msgspec.Struct, frozen=True):
    """A skill as plans and headers name it: ``NAME``, ``NAME@VERSION`` or ``NAME@VERSION#CLASS``."""

    name: str
    version: str = ""
    effect_class: str = ""


def parse_reference(text: str) -> Reference:
    """Return the parts of a reference."""
    left, _, effect_class = text.partition("#")
    name, _, version = left.partition("@")
    return Reference(name, version, effect_class)


class Registry:
    """The skills of a machine.

    Args:
        configuration: What ``.tickwork/skills.toml`` says.
        makers: Kinds of skills by name, beside those that are shipped; they go first.
    """

    def __init__(self, configuration: Configuration, makers: Mapping[str, SkillMaker]) -> None:
        self._configuration = configuration
        self._makers = dict(makers)
        self._found: dict[str, Found] = {}
        self._servers: dict[str, Server] = {}
        self._lock = threading.RLock()
        self._making: dict[str, threading.RLock] = {}

    @classmethod
    def load(cls, configuration: Configuration | None = None, *, installed: bool = True) -> Self:
        """Return the registry of this machine. Nothing is imported yet but what installed packages declare.

        Args:
            installed: Whether skills of installed packages are known.
        """
        makers = {point.name: cast("SkillMaker", _Deferred(point)) for point in _points()} if installed else {}
        return cls(configuration or Configuration(), makers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def names(self, *, servers: bool = False) -> list[str]:
        """Return the names that can be asked for. Order: by name.

        Args:
            servers: Also those of servers, each of which is asked, and started where it has to be.
        """
        own = {name for name in self._configuration.skills if not self._configuration.is_of_server(name)}
        own |= {*SHIPPED, *self._makers}
        if servers:
            own |= {skill for name in self.servers() for skill in self.names_of(name)}
        return sorted(own)

    def servers(self) -> list[str]:
        """Return the names of servers. Order: by name."""
        return sorted(self._configuration.servers)

    def names_of(self, server: str) -> list[str]:
        """Return the names of a server's skills. It is asked, and started where it has to be. Order: by name.

        Raises:
            SkillInvalid: TW7004. ServerFailed: TW7026.
        """
        return [f"{server}.{skill}" for skill in self._server(server).names()]

    def accept(self, server: str) -> list[str]:
        """Accept what a server offers now, and return what has changed since it was accepted before.

        Raises:
            SkillNotFound: TW7003, there is no such server. ServerFailed: TW7026.
        """
        if server not in self._configuration.servers:
            fix = choose(server, self.servers(), "write [servers.NAME] to skills.toml")
            raise SkillNotFound(f"there is no server called {server}", fix=fix)
        return self._server(server).accept()

    def find(self, reference: str) -> Found:
        """Return the skill of a reference.

        Raises:
            SkillNotFound: TW7003, there is none of that name, or not in that version.
            SkillInvalid: TW7004, it cannot be made of its configuration.
            GoalsMissing: TW7020, a package that it needs is not installed.
        """
        wanted = parse_reference(reference)
        # A server may take long to begin, and whoever asks for another skill does not wait for that.
        with self._lock:
            key = wanted.name.partition(".")[0] if self._configuration.is_of_server(wanted.name) else ""
            making = self._making.setdefault(key, threading.RLock())
        with making:
            found = self._found.get(wanted.name)
            if found is None:
                found = self._found[wanted.name] = self._make(wanted.name)
        if wanted.version and wanted.version != found.pin.version:
            raise SkillNotFound(
                f"the skill {wanted.name} is not there in version {wanted.version}",
                why=f"this machine has version {found.pin.version}",
                fix=f"write {found.reference}, or install what brings the other version",
            )
        return found

    def usable(self, servers: Sequence[str] = ()) -> list[Found]:
        """Return every skill that can be used as this machine is configured. Order: by name.

        Args:
            servers: Those that are asked too; one that does not answer has none.
        """
        able, names = list[Found](), self.names()
        for server in servers:
            with suppress(PlaneError):
                names += self.names_of(server)
        for name in sorted(names):
            with suppress(PlaneError):
                able.append(self.find(name))
        return able

    def named_secrets(self) -> frozenset[str]:
        """Return the names of the secrets that the settings of skills name."""
        return self._configuration.named_secrets()

    def close(self) -> None:
        """Let servers go, and skills that hold something open."""
        with self._lock:
            for server in self._servers.values():
                server.close()
            for found in self._found.values():
                close = getattr(found.skill, "close", None)
                if callable(close):
                    close()
            self._servers.clear()
            self._found.clear()

    def _make(self, name: str) -> Found:
        if self._configuration.is_of_server(name):
            server, _, inner = name.partition(".")
            skill = self._server(server).find(inner)
            policies = [self._configuration.policy_of_server(server), self._configuration.policy(name)]
        else:
            table = self._configuration.skills.get(name, {})
            kind = str(table.get("kind", name))
            skill = self._maker(name, kind).from_config(self._configuration.of_skill(name))
            policies = [self._configuration.policy(name)]
        return _found(skill, name, policies)

    def _maker(self, name: str, kind: str) -> SkillMaker:
        if kind in self._makers:
            return self._makers[kind]
        if kind in KINDS:
            return cast("SkillMaker", load_object(KINDS[kind]))
        if names_file(kind):
            return FileMaker(kind, name)
        if kind != name:
            fix = choose(kind, [*KINDS, *self._makers], "install the package that brings it")
            raise SkillInvalid(f"there is no kind of skills called {kind}", where=f"skills.{name}.kind", fix=fix)
        raise SkillNotFound(
            f"there is no skill called {name}",
            fix=choose(name, self.names(), "see `tickwork skill list`"),
        )

    def _server(self, name: str) -> Server:
        with self._lock:
            if name not in self._servers:
                kind = str(self._configuration.servers[name].get("kind", "mcp"))
                if kind not in SERVERS:
                    fix = choose(kind, SERVERS, "")
                    raise SkillInvalid(f"there is no kind of servers called {kind}", where=f"servers.{name}", fix=fix)
                maker = cast("ServerMaker", load_object(SERVERS[kind]))
                self._servers[name] = maker.from_config(self._configuration.of_server(name))
            return self._servers[name]


class _Point(Protocol):
    """An entry point, as far as it is used here."""

    @property
    def name(self) -> str: ...

    @property
    def value(self) -> str: ...

    def load(self) -> Any: ...


def _points() -> Sequence[_Point]:
    return sorted(entry_points(group=GROUP), key=lambda point: point.name)


class _Deferred:
    """A maker of an installed package, imported when a skill is made."""

    def __init__(self, point: _Point) -> None:
        self._point = point

    def from_config(self, config: Mapping[str, Any]) -> Skill:
        """Return what the package makes."""
        try:
            maker: SkillMaker = self._point.load()
        except (ImportError, AttributeError) as error:
            raise SkillInvalid(
                f"the skill {self._point.name} of an installed package cannot be loaded",
                where=f"entry point {self._point.value}",
                why=f"{type(error).__name__}: {error}",
                fix="install the package again, or remove it",
            ) from error
        return maker.from_config(config)


def load_object(place: str) -> Any:
    """Return what ``module:name`` names.

    Raises:
        GoalsMissing: TW7020, a package that it needs is not installed.
    """
    module, _, name = place.partition(":")
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise missing_package(error) from error


def _found(skill: object, name: str, policies: Sequence[PolicyTable]) -> Found:
    if not isinstance(skill, Skill):
        why = "a skill has `traits`, `shapes` and `call`"
        raise SkillInvalid(f"what stands for {name} is no skill", where=f"skills.{name}", why=why)
    traits = msgspec.structs.replace(skill.traits, name=name)
    for policy in policies:
        traits = policy.applied(traits)
    return Found(skill, traits, pin_of(traits, skill))


def pin_of(traits: Traits, skill: Skill) -> SkillPin:
    """Return what a run keeps of a skill."""
    given, made = skill.shapes
    sides = (write_json(given.schema()), write_json(made.schema()))
    return SkillPin(
        traits.name,
        traits.version,
        codec.digest(codec.encode((traits.name, traits.version, *sides, int(traits.effect_class)))),
        int(traits.effect_class),
        side_effects=traits.side_effects,
        outside=traits.outside,
        approval=traits.approval,
        timeout_ms=traits.timeout_ms,
        retry=traits.retry,
        cost=traits.cost,
        capabilities=traits.capabilities,
    )
