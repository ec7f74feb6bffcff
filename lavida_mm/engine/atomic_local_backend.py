"""mmengine's local storage with files that are whole or absent."""

import os

from mmengine.fileio import LocalBackend, register_backend

from lavida_mm.utils.atomic import atomic_path

__all__ = ['AtomicLocalBackend']


class AtomicLocalBackend(LocalBackend):
    """Local storage that writes beside the file's place, syncs, and moves the file there in one step.

    A process killed at any moment leaves the former file, or none, and at most one temporary file that
    ``lavida_mm.utils.atomic.remove_stale`` clears away.
    """

    def put(self, obj: bytes, filepath: str | os.PathLike) -> None:
        """Write bytes.

        Args:
            obj: what the file shall hold.
            filepath: where it shall be.
        """
        with atomic_path(filepath) as temporary:
            temporary.write_bytes(obj)

    def put_text(self, obj: str, filepath: str | os.PathLike, encoding: str = 'utf-8') -> None:
        """Write text.

        Args:
            obj: what the file shall hold.
            filepath: where it shall be.
            encoding: how characters become bytes.
        """
        self.put(obj.encode(encoding), filepath)


register_backend('atomic_local', AtomicLocalBackend)
