"""Rebuilt blobs: blobs as files in a directory, out of payloads that may carry them as deltas."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from docker_charon.deltas.failure import delta_file_errors
from docker_charon.deltas.process import apply_delta_in_process, core_count
from docker_charon.errors import DeltaError
from docker_charon.oci.descriptor import Descriptor
from docker_charon.oci.digest import Digest
from docker_charon.payload.layer_deltas.recipe import Recipe, Recipes
from docker_charon.progress import shown_size

_POLL = 0.05  # seconds between two calls of ``check``

Fetch = Callable[[Digest, int], Iterable[bytes | memoryview]]
"""Returns the content, verified while it is read, of a blob that no payload has, by its size."""


def _no_fetch(digest: Digest, size: int) -> Iterable[bytes | memoryview]:
    raise AssertionError(f"nothing has {digest}")


def _go_on() -> None:
    pass


@dataclass(slots=True)
class _File:
    """A file, or one that is being made or will be; ``holds`` counts those who need it."""

    path: Path
    size: int
    holds: int = 0
    is_claimed: bool = False
    is_made: bool = False
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class BlobFiles:
    """The blobs of payloads as files in ``directory``, made when they are needed.

    A blob that a payload carries is copied from it. Others are rebuilt from a delta, as
    ``recipes`` say; the work is done in at most ``processes`` processes (default: one for each
    core) with 300 MB of memory each. What the recipes take from elsewhere comes from ``fetch``.

    A file is made once, whichever threads need it, and deleted when nobody holds it any more; but
    files of ``most_unused`` bytes in total, the last ones that were used, are kept. ``check`` is
    called regularly while a file is made, and stops this by an exception. Headers of deltas are
    compared with the payload before anything is written.
    """

    def __init__(
        self,
        recipes: Recipes,
        directory: Path,
        *,
        fetch: Fetch = _no_fetch,
        processes: int | None = None,
        most_unused: int = 0,
        check: Callable[[], None] = _go_on,
    ) -> None:
        self.recipes = recipes
        self.directory = directory
        self._fetch = fetch
        self.check = check
        self._most_unused = most_unused
        self._processes = threading.Semaphore(processes or core_count())
        self._files: dict[Digest, _File] = {}
        self._unused: OrderedDict[Digest, int] = OrderedDict()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def file(self, digest: Digest, size: int) -> Iterator[Path]:
        """Yield a file with the content of a blob; it is made if it does not exist yet.

        Raises `DeltaError` or `PayloadError` if a delta or a base is damaged or a file cannot be
        written, and what ``fetch`` and ``check`` raise.
        """
        with self._lock:
            file = self._hold(digest, size)
            claims = self._claim(digest, size)
        try:
            self._make_all(claims)
            yield self._wait_for(file)
        finally:
            self.release(digest)

    def hold(self, digest: Digest, size: int) -> None:
        """Keep the file of a blob from now on, if it exists or when it is made."""
        with self._lock:
            self._hold(digest, size)

    def release(self, digest: Digest) -> None:
        """End a `hold`: what nobody holds is deleted."""
        with self._lock:
            file = self._files[digest]
            file.holds -= 1
            if file.holds:
                return
            if file.is_made:
                self._unused[digest] = file.size
            else:
                del self._files[digest]
            while self._unused and sum(self._unused.values()) > self._most_unused:
                oldest, _ = self._unused.popitem(last=False)
                with contextlib.suppress(OSError):  # Windows deletes no file that is open
                    self._files.pop(oldest).path.unlink()

    def most_at_once(self, blobs: Collection[Descriptor], most: int) -> int:
        """Return how many of ``blobs`` can be files at the same time, up to ``most``.

        Raises `DeltaError` if there is not enough room for one, and `PayloadError` if the header of
        a delta is wrong.
        """
        with delta_file_errors(f"cannot use {self.directory}"):
            free = shutil.disk_usage(self.directory).free
        for number in range(most, 0, -1):
            if self.space(blobs, number) <= free:
                return number
        raise DeltaError(
            f"to rebuild layers, {self.directory.parent} needs room for "
            f"{shown_size(self.space(blobs, 1))} of temporary files, and has {shown_size(free)}",
            hint="set TMPDIR to a directory with more room",
        )

    def space(self, blobs: Collection[Descriptor], at_once: int) -> int:
        """Return how many bytes the files of ``blobs`` take at most, ``at_once`` of them together.

        Blobs that several of them need are taken to exist all the time. Raises `PayloadError` if
        the header of a delta is wrong.
        """
        uses: Counter[Digest] = Counter()
        sizes: dict[Digest, int] = {}
        peaks = []
        for blob in blobs:
            recipes = self.recipes.order(blob.digest)
            bases = {d: base.size for r in recipes for d, base in r.delta.bases.items()}
            uses.update(bases.keys())
            sizes |= bases
            peaks.append(_peak(recipes))
        shared = sum(sizes[digest] for digest, count in uses.items() if count > 1)
        return shared + sum(sorted(peaks, reverse=True)[:at_once])

    def _hold(self, digest: Digest, size: int) -> _File:
        self._unused.pop(digest, None)
        path = self.directory / digest.encoded
        file = self._files.setdefault(digest, _File(path, size))
        file.holds += 1
        return file

    def _claim(self, digest: Digest, size: int) -> list[tuple[Digest, _File, Recipe | None]]:
        """Claim all files that have to be made for a blob, bases first; hold what they need.

        Others wait for a claimed file instead of making it. All claims of a blob are made at one
        time, so each thread waits only for threads that came earlier.
        """
        recipes = self.recipes
        claimed = {d for d, file in self._files.items() if file.is_claimed or file.is_made}
        claims: list[tuple[Digest, _File, Recipe | None]] = []

        def claim(needed: Digest, needed_size: int, recipe: Recipe | None) -> None:
            file = self._files.setdefault(
                needed, _File(self.directory / needed.encoded, needed_size)
            )
            if not (file.is_claimed or file.is_made):
                file.is_claimed, file.error, file.done = True, None, threading.Event()
                claims.append((needed, file, recipe))

        for recipe in recipes.order(digest, claimed):
            for base, needed in recipe.delta.bases.items():
                self._hold(base, needed.size)
                if base not in recipes.by_digest:
                    claim(base, needed.size, None)
            claim(recipe.blob.digest, recipe.blob.size, recipe)
        if digest not in recipes.by_digest:
            claim(digest, size, None)
        return claims

    def _make_all(self, claims: list[tuple[Digest, _File, Recipe | None]]) -> None:
        """Make claimed files in their order; after a failure the others are not made."""
        problem: BaseException | None = None
        for digest, file, recipe in claims:
            try:
                if problem is None:
                    self._make(digest, file, recipe)
            except BaseException as error:
                problem = error
            finally:
                with self._lock:
                    file.is_claimed, file.is_made, file.error = False, problem is None, problem
                    file.done.set()
                for base in recipe.delta.bases if recipe is not None else ():
                    self.release(base)
        if problem is not None:
            raise problem

    def _wait_for(self, file: _File) -> Path:
        """Return the path of a file that is made, by this thread or by another one."""
        while True:
            file.done.wait(_POLL)
            with self._lock:
                if file.is_made:
                    return file.path
                if file.error is not None:
                    # Several threads raise it, and its traceback would grow each time.
                    raise file.error.with_traceback(None)
            self.check()

    def _make(self, digest: Digest, file: _File, recipe: Recipe | None) -> None:
        with delta_file_errors(f"cannot write {digest} to {self.directory}"):
            try:
                if recipe is not None:
                    self._rebuild(recipe, file.path)
                elif payload := self.recipes.whole.get(digest):
                    self._write(file.path, payload.body(Descriptor("", digest, file.size)))
                else:
                    self._write(file.path, self._fetch(digest, file.size))
            except BaseException:
                file.path.unlink(missing_ok=True)
                raise

    def _write(self, path: Path, chunks: Iterable[bytes | memoryview]) -> None:
        with path.open("wb") as target:
            for chunk in chunks:
                self.check()
                target.write(chunk)

    def _rebuild(self, recipe: Recipe, target: Path) -> None:
        """Rebuild a blob whose bases are claimed; its SHA-256 digest is checked."""
        _ = recipe.header  # it is compared with the payload before anything is written
        with self._lock:
            files = {str(base): self._files[base] for base in recipe.delta.bases}
        bases = {base: self._wait_for(file) for base, file in files.items()}
        delta = target.with_name(f"{target.name}.delta")
        try:
            self._write(delta, recipe.payload.delta_chunks(recipe.blob.digest))
            while not self._processes.acquire(timeout=_POLL):
                self.check()
            try:
                apply_delta_in_process(delta, bases, target, self.directory, self.check)
            except DeltaError as error:
                raise DeltaError(
                    f"{recipe.blob.digest} cannot be rebuilt from its delta and "
                    f"{', '.join(recipe.delta.bases)}: {error.message}",
                    hint=error.hint,
                ) from None
            finally:
                self._processes.release()
        finally:
            delta.unlink(missing_ok=True)


def _peak(recipes: list[Recipe]) -> int:
    """Return the most bytes of files while these recipes are followed, one after the other."""
    uses = Counter(base for recipe in recipes for base in recipe.delta.bases)
    present: dict[Digest, int] = {}
    peak = 0
    for recipe in recipes:
        bases = {digest: base.size for digest, base in recipe.delta.bases.items()}
        present |= bases
        new = recipe.blob.size + recipe.temporary_size
        peak = max(peak, sum(present.values()) + new)
        present[recipe.blob.digest] = recipe.blob.size
        for digest in bases:
            uses[digest] -= 1
            if not uses[digest]:
                del present[digest]
    return peak
