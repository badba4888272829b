"""A REST catalog that is given up when it does not answer, and trusts as told."""

from __future__ import annotations

import typing as t

from pyiceberg.catalog import AVAILABLE_CATALOGS, CatalogType
from pyiceberg.catalog.rest import RestCatalog

if t.TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

# As Iceberg for Java calls it.
TIMEOUT = "rest.client.socket-timeout-ms"
TIMEOUT_MILLISECONDS = "60000"


class PatientRestCatalog(RestCatalog):
    """PyIceberg's REST catalog, which alone would wait for ever.

    And which, alone, would forget its CA file where the environment names another.
    """

    def _config_headers(self, session: Session) -> None:
        # Called before the session's first request, which asks for a token.
        super()._config_headers(session)
        milliseconds = self.properties.get(TIMEOUT, TIMEOUT_MILLISECONDS)
        seconds, send = float(milliseconds) / 1000, session.send

        def send_in_time(request: PreparedRequest, **options: t.Any) -> Response:
            options["timeout"] = options.get("timeout") or seconds
            if isinstance(session.verify, str):
                # REQUESTS_CA_BUNDLE would win over what the settings say:
                # https://github.com/psf/requests/issues/3829
                options["verify"] = session.verify
            return send(request, **options)

        session.send = send_in_time  # type: ignore[method-assign]


def install() -> None:
    """Let `load_catalog` make these."""
    AVAILABLE_CATALOGS[CatalogType.REST] = lambda name, found: PatientRestCatalog(
        name, **found
    )
