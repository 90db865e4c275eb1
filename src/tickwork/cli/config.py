"""Settings: how commands are carried out on this machine. The one reader of the environment and of settings files.

Order: an option on the command line, the environment (``TICKWORK_WORKERS=2``), ``tickwork.toml`` in the current folder,
the user's ``tickwork.toml``, the default. None of them can change a head.

Invariants:
    * ``cache``, ``signing_key``, ``trust``, ``models`` and ``artifacts`` are never read from the current folder:
      compiled modules are native code, a signature is a person's word, what a name of a model means and where results
      go is the user's own affair, and a folder that somebody else has filled must not be able to name any of them.
"""

import importlib.util
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ..authoring.sdk import sdk_folder
from ..authoring.toolchain import Environment
from ..driver.faults import Fault, as_error
from ..driver.places import find_places
from ..driver.shape import shape_faults
from ..errors import WorldReferenceError, WorldSchemaError, WorldSyntaxError
from ..keys import generate_key

FILE: Final = "tickwork.toml"
PREFIX: Final = "TICKWORK_"
PERSONAL: Final = ("cache", "signing_key", "trust", "models", "artifacts")
SECRETS_FILE: Final = "secrets.toml"
SECRET_PREFIX: Final = f"{PREFIX}SECRET_"
KEY_BYTES: Final = 32
MAX_WORKERS: Final = 256
BASE_PACKAGE: Final = "tickwork_python_base"
"""The wheel that holds the base module of Python agents."""

Workers = Annotated[
    int,
    Meta(ge=0, le=MAX_WORKERS, description="Processes that run modules where no option says so; 0 for none."),
]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a command takes from outside its command line; an empty text stands for nothing."""

    workers: Workers = 0
    cache: Annotated[
        str,
        Meta(description="Folder of compiled modules instead of the user's cache; never set by a project's file."),
    ] = ""
    signing_key: Annotated[
        str,
        Meta(
            description="File of a raw Ed25519 private key of 32 bytes that signs the last head of a run, instead of "
            "one that is made for the user on first use; `none` signs nothing; never set by a project's file."
        ),
    ] = ""
    trust: Annotated[
        str,
        Meta(
            description="Folder of `trust.toml` and what belongs to it, instead of the user's own; never set by a "
            "project's file."
        ),
    ] = ""
    models: Annotated[
        str,
        Meta(description="Folder of the store of models instead of the user's own; never set by a project's file."),
    ] = ""
    providers: Annotated[
        str,
        Meta(
            description="What models of the profile `fast` run on, in the order they are tried, separated by commas: "
            "`cpu`, `cuda`, `directml`, `coreml`. Empty tries what is there, processors last."
        ),
    ] = ""
    artifacts: Annotated[
        str,
        Meta(
            description="Where the bytes of artifacts lie instead of `.tickwork/artifacts`: a folder, or the address "
            "of a store of objects such as `s3://bucket/prefix`; never set by a project's file."
        ),
    ] = ""
    model_budget: Annotated[
        str,
        Meta(
            description="Memory that loaded models may take together, such as `4GiB`; empty for half of the machine's."
        ),
    ] = ""


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings that hold here.

    Raises:
        WorldSyntaxError: TW1101, a settings file is not TOML.
        WorldSchemaError: TW1102, a settings file or variable holds an unknown key or a wrong value.
    """
    found: dict[str, object] = {}
    found |= _read_file(user_folder() / FILE, trusted=True)
    found |= _read_file(Path(FILE), trusted=False)
    found |= _read_environment(os.environ if environment is None else environment)
    return msgspec.convert(found, Settings)


def module_cache(settings: Settings) -> Path:
    """Return the folder of compiled modules."""
    if settings.cache:
        return Path(settings.cache).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("tickwork", appauthor=False) / "modules"


def symbols_folder(settings: Settings) -> Path:
    """Return the folder in which builds keep the debugging information of what they made, by the digest of its code."""
    return module_cache(settings).parent / "symbols"


def trust_folder(settings: Settings) -> Path:
    """Return the folder that says whom this machine trusts."""
    return Path(settings.trust).expanduser() if settings.trust else user_folder() / "trust"


def models_folder(settings: Settings) -> Path:
    """Return the folder of the store of models."""
    if settings.models:
        return Path(settings.models).expanduser()
    import platformdirs

    return platformdirs.user_data_path("tickwork", appauthor=False) / "models"


def service_socket() -> Path:
    """Return the socket of this user's model service. Its folder is made, and is the user's alone."""
    import platformdirs

    folder = platformdirs.user_cache_path("tickwork", appauthor=False) / "service"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / "models.sock"


def build_environment(settings: Settings) -> Environment:
    """Return what a compiler of agents may know of this machine."""
    return Environment(dict(os.environ), module_cache(settings).parent / "toolchains", bases=base_folders())


def base_folders() -> tuple[Path, ...]:
    """Return where base modules of source bundles lie. Order: the user's own, the installed wheel's, a checkout's."""
    import platformdirs

    folders = [platformdirs.user_data_path("tickwork", appauthor=False) / "bases"]
    wheel = importlib.util.find_spec(BASE_PACKAGE)
    if wheel is not None and wheel.submodule_search_locations:
        folders.append(Path(next(iter(wheel.submodule_search_locations))))
    checkout = sdk_folder("python").parent.parent
    if (checkout / "pyproject.toml").is_file():
        folders.append(checkout / ".cache" / "python-base")
    return tuple(folders)


def signing_key(settings: Settings) -> bytes | None:
    """Return the key that signs heads: the one set, else the user's own, made on first use; None for ``none``.

    Raises:
        WorldReferenceError: TW1103, its file cannot be read or made, or holds no key.
    """
    if settings.signing_key == "none":
        return None
    path = Path(settings.signing_key).expanduser() if settings.signing_key else own_key_path()
    try:
        if not settings.signing_key and not path.exists():
            _make_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise WorldReferenceError(
            "the signing key cannot be read or made",
            where=str(path),
            why=error.strerror or str(error),
            fix="set signing_key to a file, or to none to leave journals unsigned",
        ) from error
    if len(key) != KEY_BYTES:
        raise WorldReferenceError(
            "the signing key is no raw Ed25519 key",
            where=str(path),
            why=f"it has {len(key)} bytes, a key has {KEY_BYTES}",
            fix="write 32 random bytes into the file, readable by you alone",
        )
    return key


def load_secrets(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the secrets of this user by name: ``TICKWORK_SECRET_NAME``, else a line of ``secrets.toml``.

    Raises:
        WorldSyntaxError: TW1101, the file is not TOML. WorldSchemaError: TW1102, it holds something else than texts.
        WorldReferenceError: TW1103, others than the user can read it.
    """
    path = user_folder() / SECRETS_FILE
    found = {name: str(value) for name, value in _read_secrets(path).items()}
    variables = os.environ if environment is None else environment
    return found | {
        name.removeprefix(SECRET_PREFIX): value for name, value in variables.items() if name.startswith(SECRET_PREFIX)
    }


def _read_secrets(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                raise WorldReferenceError(
                    "others can read the secrets", where=str(path), fix=f"make them yours alone: chmod 600 {path}"
                )
            document: dict[str, object] = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        # What is wrong with a line is not told, since the line may hold a secret.
        raise WorldSyntaxError("the secrets cannot be read", where=str(path), why=type(error).__name__) from None
    for name, value in document.items():
        if not isinstance(value, str):
            raise WorldSchemaError(f"the secret {name} is no text", where=str(path), fix=f'write {name} = "..."')
    return document


def own_key_path() -> Path:
    """Return where the user's own signing key lies."""
    import platformdirs

    return platformdirs.user_data_path("tickwork", appauthor=False) / "keys" / "journal.key"


def _make_key(path: Path) -> None:
    """Write a new key that only the user can read; of two that are made at once, one stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(generate_key())
    partial.replace(path)


def person_name() -> str:
    """Return what the user of this machine is called, for what they decide."""
    return next((os.environ[name] for name in ("LOGNAME", "USER", "USERNAME") if os.environ.get(name)), "operator")


def colours_wanted() -> bool:
    """Return whether colours may be used. Source: no-color.org."""
    return not os.environ.get("NO_COLOR")


def user_folder() -> Path:
    """Return the folder of the user's own settings."""
    import platformdirs

    return platformdirs.user_config_path("tickwork", appauthor=False)


def _read_file(path: Path, *, trusted: bool) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise WorldSyntaxError("a settings file cannot be read", where=str(path), why=str(error)) from error
    try:
        document: dict[str, object] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise WorldSyntaxError("a settings file is not TOML", where=str(path), why=str(error)) from error
    faults = list(shape_faults(document, msgspec.inspect.type_info(Settings), ()))
    for key in PERSONAL if not trusted else ():
        if key in document:
            why = "where native code, keys, models and artifacts lie is named by the user, not by a project"
            fix = f"set it in {user_folder() / FILE} or as {PREFIX}{key.upper()}"
            faults.append(Fault(WorldSchemaError, (key,), f"{key} cannot be set here", why, fix))
    if faults:
        raise as_error(faults, path, find_places(text))
    return document


def _read_environment(environment: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key in Settings.__struct_fields__:
        text = environment.get(PREFIX + key.upper(), "")
        if text:
            found[key] = int(text) if key == "workers" and text.isascii() and text.isdigit() else text
    for fault in shape_faults(found, msgspec.inspect.type_info(Settings), ()):
        name = PREFIX + str(fault.path[0]).upper()
        raise WorldSchemaError(
            f"{name}: {fault.what}", where=f"environment variable {name}", why=fault.why, fix=fault.fix
        )
    return found
