"""Makes a folder's names durable for several threads at once: one fsync serves all that asked before it began."""

import threading
from pathlib import Path

from replication.durable import sync_directory


class FolderSync:
    """After a failed fsync every call fails: the kernel calls the folder clean all the same, so that another fsync
    would succeed and prove nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counting = threading.Lock()
        self._asked = 0
        self._turn = threading.Lock()
        self._served = 0
        self._failure: OSError | None = None

    def __call__(self) -> None:
        """On return all changes of names that were made before the call are durable. Raises OSError."""
        with self._counting:
            self._asked += 1
            ticket = self._asked
        with self._turn:
            if self._failure is not None:
                raise OSError(self._failure.errno, self._failure.strerror)
            if self._served < ticket:
                self._serve()

    def _serve(self) -> None:
        asked = self._asked
        try:
            sync_directory(self._folder)
        except OSError as error:
            self._failure = error
            raise
        self._served = asked
