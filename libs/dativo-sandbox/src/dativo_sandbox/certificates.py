"""A throw-away certificate authority and a server certificate signed by it."""

from __future__ import annotations

import shutil
import subprocess
import typing as t

from dativo_sandbox.errors import ServerStartError

if t.TYPE_CHECKING:
    from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_NAMES = """subjectAltName=IP:127.0.0.1,DNS:localhost
authorityKeyIdentifier=keyid
"""


def make_certificates(folder: Path) -> Path:
    """Write server.crt and server.key, and return the path of the CA certificate.

    Raises:
        ServerStartError: The `openssl` command is missing.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        msg = "TLS needs a certificate, and there is no `openssl` command to make it."
        raise ServerStartError(msg, hint="Install openssl.")
    (folder / "names").write_text(_NAMES)
    for words in (
        # Python 3.13 trusts no authority that does not say what its key is for.
        "req -x509 -days 2 -subj /CN=dativo-sandbox-ca -keyout ca.key -out ca.crt"
        " -addext keyUsage=critical,keyCertSign,cRLSign",
        "req -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -days 2 -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial"
        " -extfile names -out server.crt",
    ):
        verb, *options = words.split()
        key = _KEY if verb == "req" else ()
        command = [openssl, verb, *key, *options]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "ca.crt"
