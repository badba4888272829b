"""S3 as setting `storage_options` describes it, in PyIceberg's names and in our own."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pyarrow.fs as pafs
from dativo_core.errors import ConfigurationError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CA_FILE = "dativo.ca-file"
CHECKSUMS = "dativo.request-checksum-calculation"
CHECKSUM_MODES = ("when_supported", "when_required")
VIRTUAL = "s3.force-virtual-addressing"
ALIASES = {
    "endpoint": "s3.endpoint",
    "access_key_id": "s3.access-key-id",
    "secret_access_key": "s3.secret-access-key",
    "session_token": "s3.session-token",
    "region": "s3.region",
    "ca_file": CA_FILE,
    "request_checksum_calculation": CHECKSUMS,
}
PATH_STYLE = ("path_style", "s3.path-style-access")  # the second as Java calls it
# The AWS SDK takes it from nowhere else.
_CHECKSUM_VARIABLE = "AWS_REQUEST_CHECKSUM_CALCULATION"


def text(value: t.Any) -> str:
    """Return a value as PyIceberg's properties spell it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_true(value: t.Any) -> bool:
    """Tell whether a property says so."""
    return text(value).lower() in {"true", "1", "yes", "on"}


def storage_properties(options: Mapping[str, t.Any]) -> dict[str, str]:
    """Translate setting `storage_options` to PyIceberg's file properties.

    Raises:
        ConfigurationError: if a value is none that the option has, or no such file.
    """
    found: dict[str, str] = {}
    for name, value in options.items():
        if name in PATH_STYLE:
            found[VIRTUAL] = text(not is_true(value))
        else:
            found[ALIASES.get(name, name)] = text(value)
    if CA_FILE in found:
        found[CA_FILE] = _existing(found[CA_FILE])
    if found.get(CHECKSUMS, CHECKSUM_MODES[0]) not in CHECKSUM_MODES:
        what = f"storage_options.request_checksum_calculation: {found[CHECKSUMS]!r}."
        raise ConfigurationError(what, hint=f"Set one of {', '.join(CHECKSUM_MODES)}.")
    return found


def _existing(path: str) -> str:
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        what = f"storage_options.ca_file: there is no file {file}."
        raise ConfigurationError(what, hint="Name the PEM file of the server's CA.")
    return str(file)


def prepare(properties: Mapping[str, str]) -> None:
    """Tell the AWS SDK, by the environment of this process, when to add checksums."""
    if CHECKSUMS in properties:
        os.environ[_CHECKSUM_VARIABLE] = properties[CHECKSUMS]


def s3_filesystem(
    properties: Mapping[str, str], **arguments: t.Any
) -> pafs.S3FileSystem:
    """Return the file system that PyIceberg's properties describe.

    As PyIceberg's own, but that it knows a CA file, and arguments of Arrow's.
    """
    prepare(properties)
    for names, argument, read in _ARGUMENTS:
        value = next((properties[name] for name in names if properties.get(name)), None)
        if value is not None:
            arguments[argument] = read(value)
    return pafs.S3FileSystem(**arguments)


_ARGUMENTS: tuple[tuple[tuple[str, ...], str, Callable[[str], t.Any]], ...] = (
    (("s3.endpoint",), "endpoint_override", str),
    (("s3.access-key-id", "client.access-key-id"), "access_key", str),
    (("s3.secret-access-key", "client.secret-access-key"), "secret_key", str),
    (("s3.session-token", "client.session-token"), "session_token", str),
    (("s3.region", "client.region"), "region", str),
    (("s3.role-arn", "client.role-arn"), "role_arn", str),
    (("s3.role-session-name", "client.role-session-name"), "session_name", str),
    (("s3.proxy-uri",), "proxy_options", str),
    (("s3.connect-timeout",), "connect_timeout", float),
    (("s3.request-timeout",), "request_timeout", float),
    (("s3.anonymous",), "anonymous", is_true),
    ((VIRTUAL,), "force_virtual_addressing", is_true),
    ((CA_FILE,), "tls_ca_file_path", str),
)
