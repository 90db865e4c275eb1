"""Bytes of artifacts in a store of objects: S3, Google, Azure, a folder or memory, by the address of each.

The one user of the package ``obstore``, which is loaded when an address is opened.
"""

from typing import Any

from .errors import StoreFailed
from .extras import missing_package


class Objects:
    """Bytes by digest in a store of objects: ``PREFIX/ab/abcd...`` for the digest ``abcd...``.

    Args:
        objects: A store as ``obstore`` makes them.
        prefix: What every name begins with, where the store holds other things too.

    Raises:
        GoalsMissing: TW7020, the package is not installed.
    """

    def __init__(self, objects: Any, prefix: str = "") -> None:
        try:
            import obstore
        except ImportError as error:
            raise missing_package(error) from error
        from obstore.exceptions import BaseError

        self._api = obstore
        self._failure: type[Exception] = BaseError
        self._objects = objects
        self._prefix = prefix.strip("/")

    def put(self, digest: bytes, body: bytes) -> None:
        """Keep bytes under their digest. What lies there already stays, unless it is damaged.

        Raises:
            StoreFailed: TW7018, the store does not take them.
        """
        if self.get(digest) == body:
            return
        try:
            self._api.put(self._objects, self._name(digest), body)
        except (self._failure, OSError) as error:
            raise self._failed("written", error) from error

    def get(self, digest: bytes) -> bytes | None:
        """Return what lies under a digest; None where nothing does.

        Raises:
            StoreFailed: TW7018, the store does not answer.
        """
        try:
            return bytes(self._api.get(self._objects, self._name(digest)).bytes())
        except FileNotFoundError:
            return None
        except (self._failure, OSError) as error:
            raise self._failed("read", error) from error

    def _name(self, digest: bytes) -> str:
        name = digest.hex()
        return "/".join(part for part in (self._prefix, name[:2], name) if part)

    def _failed(self, done: str, error: Exception) -> StoreFailed:
        return StoreFailed(
            f"an artifact cannot be {done}",
            where=type(self._objects).__name__,
            why=str(error).partition("\n")[0][:300],
            fix="see that the store of objects is reachable and that its key may do this",
        )


def open_objects(address: str) -> Objects:
    """Return the store of objects at an address: ``s3://bucket/prefix``, ``gs://``, ``az://``, ``file:///folder``.

    Raises:
        GoalsMissing: TW7020, the package is not installed.
        StoreFailed: TW7018, no store has such an address.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise missing_package(error) from error
    try:
        return Objects(from_url(address))
    except (BaseError, OSError, ValueError) as error:
        raise StoreFailed(
            "no store of objects can be opened",
            where=address,
            why=str(error).partition("\n")[0][:300],
            fix="give an address such as s3://bucket/prefix or file:///folder",
        ) from error
