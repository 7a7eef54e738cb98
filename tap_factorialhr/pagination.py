"""The API's two ways of asking for a page: by its number, or by the cursor of the row before it.

Nothing here asks for anything or keeps anything. Facts: API notes, "Pagination".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_factorialhr.envelope import PaginationMeta

if TYPE_CHECKING:
    from tap_factorialhr.openapi import Params

__all__ = ["CursorPaginator", "OffsetPaginator", "PaginationMeta"]


@dataclass(frozen=True, slots=True)
class OffsetPaginator:
    """Pages by number, from 1; which ones there are is told by the meta of an answer.

    Attributes:
        page_size: Rows asked for per page, at most 100.
    """

    page_size: int

    def params(self, number: int) -> Params:
        """The parameters that ask for a page.

        Args:
            number: The number of the page, from 1.
        """
        return (("page", str(number)), ("limit", str(self.page_size)))

    def last_number(self, meta: PaginationMeta) -> int | None:
        """The number of a listing's last page; None where the answer leaves out the total or the limit.

        Args:
            meta: The meta of any page; its limit counts, since the server may give fewer rows than were asked for.
        """
        if meta.total is None or not meta.limit:
            return None
        return max(1, -(-meta.total // meta.limit))

    def numbers_after(self, number: int, meta: PaginationMeta) -> range:
        """The numbers of the pages that come after a page, as far as they are known.

        Args:
            number: The number of the page.
            meta: Its meta: there are none where that does not promise a next page, and at least one where it does.
        """
        if not meta.has_next_page:
            return range(0)
        return range(number + 1, max(number + 1, self.last_number(meta) or 0) + 1)


@dataclass(frozen=True, slots=True)
class CursorPaginator:
    """Pages by the cursor of the row before them, one after the other: a row that goes meanwhile moves no other.

    Attributes:
        page_size: Rows asked for per page, at most 100.
    """

    page_size: int

    def params(self, cursor: str | None) -> Params:
        """The parameters that ask for a page.

        Args:
            cursor: The ``end_cursor`` of the page before it; None for the first page.
        """
        limit = (("limit", str(self.page_size)),)
        return (*limit, ("after_id", cursor)) if cursor else limit
