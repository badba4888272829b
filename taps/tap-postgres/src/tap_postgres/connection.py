"""How to reach the server: settings into a libpq connection string."""

from __future__ import annotations

import typing as t

from dativo_core.scratch import Scratch

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CONNECT_TIMEOUT_SECONDS = 30
_PEM = "-----BEGIN"
_CERTIFICATES = {
    "ssl_certificate_authority": "sslrootcert",
    "ssl_client_certificate": "sslcert",
    "ssl_client_private_key": "sslkey",
}


def conninfo(config: Mapping[str, t.Any], folder: PrivateFolder) -> str:
    """Return the connection string for the settings."""
    options = {
        "host": config["host"],
        "port": str(config["port"]),
        "user": config.get("user"),
        "password": config.get("password"),
        "dbname": config.get("database"),
        "application_name": "tap-postgres",
        "connect_timeout": str(_CONNECT_TIMEOUT_SECONDS),
        "client_encoding": "UTF8",
        "keepalives": "1",
        **(_tls(config, folder) if config.get("ssl_enable") else {}),
    }
    return " ".join(
        f"{name}={_quoted(value)}" for name, value in options.items() if value
    )


def place(config: Mapping[str, t.Any]) -> str:
    """Name the database for a message, without the password."""
    return (
        f"database '{config.get('database') or ''}' on {config['host']}:"
        f"{config['port']} as user '{config.get('user') or ''}'"
    )


class PrivateFolder:
    """Files that only this user can read; they are gone when the process ends."""

    def __init__(self) -> None:
        self._scratch = Scratch()

    def write(self, name: str, content: str) -> Path:
        """Write a file with mode 0600 and return its path."""
        path = self._scratch.path / name
        path.touch(mode=0o600)
        path.write_text(content)
        return path


def _tls(config: Mapping[str, t.Any], folder: PrivateFolder) -> dict[str, str]:
    options = {"sslmode": config["ssl_mode"]}
    for setting, option in _CERTIFICATES.items():
        if value := config.get(setting):
            is_pem = value.lstrip().startswith(_PEM)
            options[option] = str(folder.write(option, value)) if is_pem else value
    return options


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
