"""Turn settings into the arguments of a connection."""

from __future__ import annotations

import ssl
import typing as t

from dativo_core.errors import ConfigurationError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Settings: t.TypeAlias = "Mapping[str, t.Any]"

_CONNECT_TIMEOUT_SECONDS = 30
# A server that says nothing for so long is gone; a sort may take its time.
_READ_TIMEOUT_SECONDS = 3600


def arguments(config: Settings) -> dict[str, t.Any]:
    """Return what `pymysql.connect` needs.

    Raises:
        ConfigurationError: A certificate cannot be read.
    """
    return {
        "host": config["host"],
        "port": config["port"],
        "unix_socket": config.get("unix_socket"),
        "user": config.get("user"),
        "password": config.get("password") or "",
        "database": config.get("database"),
        "charset": "utf8mb4",
        "autocommit": True,
        "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
        "read_timeout": _READ_TIMEOUT_SECONDS,
        "write_timeout": _CONNECT_TIMEOUT_SECONDS,
        "program_name": "tap-mysql",
        # A server must not be able to ask for files of this machine.
        "local_infile": False,
        **_tls(config),
    }


def place(config: Settings) -> str:
    """Name the server for a message, without the password."""
    where = config.get("unix_socket") or f"{config['host']}:{config['port']}"
    return f"the server {where} as user '{config.get('user') or ''}'"


def _tls(config: Settings) -> dict[str, t.Any]:
    if config.get("ssl") is None:
        return {}  # PyMySQL takes TLS where the server offers it, and checks nothing
    return {"ssl": tls_context(config)} if config["ssl"] else {"ssl_disabled": True}


def tls_context(config: Settings) -> ssl.SSLContext:
    """Return how far to trust the server, and what to present to it.

    Raises:
        ConfigurationError: A certificate cannot be read.
    """
    authority = config.get("ssl_ca")
    try:
        context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_default_certs()
        context.name = config.get("internal_hostname")
        if authority and _is_pem(authority):
            context.load_verify_locations(cadata=authority)
        elif authority:
            context.load_verify_locations(cafile=authority)
        if certificate := config.get("ssl_cert"):
            context.load_cert_chain(certificate, config.get("ssl_key") or None)
    except (OSError, ValueError) as error:
        msg = f"A certificate of the settings cannot be used: {error}."
        hint = "Check ssl_ca, ssl_cert and ssl_key."
        raise ConfigurationError(msg, hint=hint) from error
    _relax(context, config.get("ssl_mode") or "verify-full")
    return context


class _NamedContext(ssl.SSLContext):
    """A context that may expect another name than the one that was called."""

    name: str | None = None

    def wrap_socket(self, sock: t.Any, **options: t.Any) -> ssl.SSLSocket:  # type: ignore[override]
        if self.name:
            options["server_hostname"] = self.name
        return super().wrap_socket(sock, **options)


def _relax(context: ssl.SSLContext, mode: str) -> None:
    if mode != "verify-full":
        context.check_hostname = False
    if mode == "require":
        context.verify_mode = ssl.CERT_NONE


def _is_pem(text: str) -> bool:
    return text.lstrip().startswith("-----BEGIN")
