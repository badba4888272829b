"""A PyIceberg transaction that does not copy the whole metadata at every look.

And what an answer of the catalog means for it.

`Transaction.table_metadata` applies all updates and copies the result deeply each time
that it is read, twenty times a commit: with 300 snapshots, most of a commit's time.
"""

from __future__ import annotations

import typing as t

from pyiceberg.exceptions import (
    BadRequestError,
    CommitFailedException,
    CommitStateUnknownException,
    ServerError,
    ServiceUnavailableError,
    ValidationException,
)
from pyiceberg.table import Table, Transaction
from pyiceberg.table.update import _apply_table_update, _TableMetadataUpdateContext
from requests import RequestException
from sqlalchemy.exc import DBAPIError

if t.TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

ATTEMPTS = 10
# A branch that another run has dropped meanwhile is a bad request to some catalogs.
REFUSED = (BadRequestError, CommitFailedException, ValidationException)
UNANSWERED = (
    CommitStateUnknownException,
    ConnectionError,
    DBAPIError,
    RequestException,
    ServerError,
    ServiceUnavailableError,
    TimeoutError,
)


class LightTransaction(Transaction):
    """Applies each update once."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._context = _TableMetadataUpdateContext()
        self._applied = 0
        self._metadata = table.metadata

    @property
    def table_metadata(self) -> TableMetadata:
        """The table as the updates so far make it; not to be changed by the caller."""
        for update in self._updates[self._applied :]:
            self._metadata = _apply_table_update(update, self._metadata, self._context)
            self._applied += 1
        return self._metadata
