"""What came of one request inside a model's worker.

``infer/sessions.py`` makes these; ``infer/worker.py`` sends them. The runner's promise to the worker:

- ``Runner(wanted, config, folder, clock, *, extras)`` loads a model and warms it up, or raises a ``ModelError``.
- ``fingerprint`` is that of the session that answers now; it changes only after an incident of kind FALLBACK.
- ``take_incidents()`` gives what happened since it was last asked, in the order it happened.
- ``run(body, encoding)`` gives one ``Ran``; ``run_batch(bodies, encodings)`` one for each, in the order given. Neither
  raises for what the model or the request is at fault for.
- ``memory()`` gives what the process takes now. Units: bytes.
"""

import msgspec

from ..errors import TickworkError


class Ran(msgspec.Struct, frozen=True, array_like=True):
    """What came of one request.

    Attributes:
        code: 0, or a ``Refusal``.
        encoding: That of ``body``.
        body: The answer in the request's encoding; UTF-8 text in our own words where ``code`` is not 0, the same on
            every machine and for every version of a library.
        nans: NaNs in the answer, each given the one canonical form.
        error: Where ``code`` is not 0, the error as it is raised where no agent asks.
        rows: Requests that were answered by the same run of the model.
    """

    code: int
    encoding: int
    body: bytes
    nans: int = 0
    error: TickworkError | None = None
    rows: int = 1
