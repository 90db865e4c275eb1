"""What the commands about skills share: the registry of this folder, and how a skill is shown."""

from collections.abc import Generator
from contextlib import contextmanager

import msgspec

from ..kinds import EffectClass
from ..plane.secrets import SecretBox
from ..plane.skills.configuration import read_configuration
from ..plane.skills.registry import Found, Registry
from .config import load_secrets, load_settings, module_cache
from .consent import check_settings
from .output import Document
from .places import OWN


@contextmanager
def open_registry() -> Generator[Registry]:
    """Yield the skills of this machine, as ``.tickwork/skills.toml`` of this folder has them.

    Raises:
        SkillInvalid: TW7004. FolderRefused: TW7032, this user has not looked at the settings of this folder.
    """
    check_settings()
    secrets, cache = SecretBox(load_secrets()), module_cache(load_settings())
    configuration = msgspec.structs.replace(read_configuration(OWN), secrets=secrets, cache=cache)
    with Registry.load(configuration) as registry:
        yield registry


def class_name(effect_class: int) -> str:
    """Return an effect class as plans write it."""
    return EffectClass(effect_class).name.lower()


def skill_document(found: Found) -> Document:
    """Return what is known of a skill, without its schemas."""
    traits, pin = found.traits, found.pin
    return {
        "name": pin.name,
        "version": pin.version,
        "description": traits.description,
        "effect_class": class_name(pin.effect_class),
        "side_effects": pin.side_effects,
        "outside": pin.outside,
        "approval": pin.approval,
        "timeout_ms": pin.timeout_ms,
        "retry": msgspec.structs.asdict(pin.retry),
        "cost": msgspec.structs.asdict(pin.cost),
        "capabilities": list(pin.capabilities),
        "digest": pin.digest.hex(),
    }
