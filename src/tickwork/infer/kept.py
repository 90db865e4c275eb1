"""What a store says of the models it keeps, checks and removes."""

import msgspec


class Kept(msgspec.Struct, frozen=True):
    """A version in a store.

    Attributes:
        digest: Of its manifest. Shape: 32 bytes.
        size: Of its files. Units: bytes.
        memory: What a worker with it was measured to take on this machine, 0 where nobody measured. Units: bytes.
        aliases: ``latest`` among them where it is the newest, or where somebody said so. Order: by name.
    """

    name: str
    version: str
    digest: bytes
    size: int
    memory: int
    aliases: tuple[str, ...]
    pinned: bool
    signed: bool


class Checked(msgspec.Struct, frozen=True):
    """One file of a model that was read and compared.

    Attributes:
        path: In the model's folder; ``manifest``, ``config`` or ``signature`` in angle brackets for what is not in it.
        why: What is wrong; empty where nothing is.
    """

    path: str
    digest: str
    size: int
    why: str = ""


class Collected(msgspec.Struct, frozen=True):
    """What a collection removed.

    Attributes:
        versions: ``NAME:VERSION``. Order: by name, then oldest first.
        files: How many.
        size: Units: bytes.
        unread: ``NAME:VERSION`` of models of which nobody can say what files they need; while there are any, no file
            is removed. Order: as versions.
    """

    versions: tuple[str, ...] = ()
    files: int = 0
    size: int = 0
    unread: tuple[str, ...] = ()
