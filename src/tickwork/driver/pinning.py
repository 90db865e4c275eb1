"""Turns what a world says of its models into what a run's header pins: digests, whatever names meant before.

Invariants:
    * A name or alias is looked up once, when the run begins; from then on the digest is the model.
    * Nothing is pinned that this machine does not believe: signatures are judged as those of modules are.
"""

import msgspec

from ..records import INFER_PREFIX
from .options import Options
from .resolve import World


def pin_models(world: World, options: Options) -> World:
    """Return a world whose models are pinned by digest; one that has none, or has them pinned, as it is.

    A model that a performer given with the run answers for stays without a digest.

    Raises:
        ModelNotFound: TW6001.
        ModelInvalid: TW6002, a file is no model.
    """
    sources = [source for source in world.models if INFER_PREFIX + source.name not in options.performers]
    if not sources:
        return world if not world.models else msgspec.structs.replace(world, models=())
    raise NotImplementedError
