"""A listing: the names of repositories or tags, which a registry sends in pages.

OCI distribution-spec 1.1, "Listing Tags". The ``Link`` of a page leads to the next one. Some
proxies drop that header, and in others it names an address that only the registry itself can
reach. The next page is then requested with the last name of the page before it (``?last=``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import requests

from docker_charon.errors import RegistryError
from docker_charon.registry.retry import RetryPolicy
from docker_charon.registry.session import MOST_PAGES, Session, next_link
from docker_charon.value import dataclass

_MOST_NAMES = 1_000_000  # of a list, before it is taken for a list without an end
_ROUND = 10
"""Page sizes are multiples of this: after such a page, there may be more names without a link."""


class IncompleteListing(RegistryError):
    """A page after the first one cannot be read; ``names`` are those of the pages before it."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Page:
    """The names on one page, the answer that contained it, and the answer's next link."""

    names: list[str]
    response: requests.Response
    link: str | None


class Listing:
    """One list of a registry: the strings under ``key`` of all pages from ``path`` on.

    ``doing`` names the list in messages. ``scope`` is the scope of a token that may read it.
    """

    def __init__(self, session: Session, path: str, key: str, *, doing: str, scope: str) -> None:
        self._session = session
        self._path = path
        self._key = key
        self._doing = doing
        self._scope = scope
        self._followed: set[str] = set()

    def read(self) -> list[str]:
        """Return all names, each once.

        Raises `RegistryError` if the first page cannot be read or the list has no end, and
        `IncompleteListing` if a later page cannot be read.
        """
        page: _Page | None = self._page(self._path)
        names: dict[str, None] = {}
        while page is not None:
            names.update(dict.fromkeys(page.names))
            if len(names) > _MOST_NAMES or len(self._followed) + 1 >= MOST_PAGES:
                raise RegistryError(f"{self._session.registry} sends {self._doing} without an end")
            page = self._next(page, names)
        return list(names)

    def _next(self, page: _Page, names: Collection[str]) -> _Page | None:
        """Return the page after ``page``; ``None`` if that is the last one."""
        problem = None
        if page.link is not None and page.link not in self._followed:
            self._followed.add(page.link)
            try:
                target = self._session.resolve(page.response, page.link, self._doing)
                # Where nothing listens at the address in a link, nothing will listen later.
                return self._page(target, replace(self._session.retry, when_unreachable=False))
            except RegistryError as error:
                problem = error
        elif page.link is None and len(page.names) % _ROUND:
            return None
        following = self._page_after(page.names)
        if following is not None:
            if not following.names:
                return None
            if any(name not in names for name in following.names):
                return following
        if problem is None:
            return None
        incomplete = IncompleteListing(
            f"the rest of {self._doing} cannot be read: {problem.message}", hint=problem.hint
        )
        incomplete.names = tuple(names)
        raise incomplete from problem

    def _page_after(self, names: list[str]) -> _Page | None:
        """Request the page after these names; ``None`` if the registry has no such request."""
        if not names:
            return None
        try:
            return self._page(self._path, params={"n": str(len(names)), "last": names[-1]})
        except RegistryError:
            return None

    def _page(
        self,
        target: str,
        retry: RetryPolicy | None = None,
        params: dict[str, str] | None = None,
    ) -> _Page:
        options = {"scopes": [self._scope], "expect": (200,), "retry": retry, "params": params}
        with self._session.page(target, doing=self._doing, **options) as (response, document):
            names = document.get(self._key) or [] if document is not None else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RegistryError(f"{self._session.registry} sends something else than {self._doing}")
        return _Page(names, response, next_link(response))
