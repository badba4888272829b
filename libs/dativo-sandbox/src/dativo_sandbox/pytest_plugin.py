"""Fixtures that start a server once a session, and only for the tests that ask."""

from __future__ import annotations

import gc
import secrets
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from dativo_sandbox.database import Database
    from dativo_sandbox.mariadb import MariaServer
    from dativo_sandbox.mariadb_database import MariaDatabase
    from dativo_sandbox.postgres import PostgresServer
    from dativo_sandbox.seaweedfs import SeaweedServer
    from dativo_sandbox.server import Server
    from dativo_sandbox.stripe.server import StripeServer

S = t.TypeVar("S", bound="Server")


MANY_FILES = 256


def pytest_runtest_teardown() -> None:
    """Collect what tests have dropped when it has many connections and files.

    Many systems allow a process 1,024 of them, and a large heap is collected rarely.
    """
    if len([*Path("/dev/fd").iterdir()]) > MANY_FILES:
        gc.collect()


def _run(server: S) -> Iterator[S]:
    from dativo_sandbox.errors import ServerStartError  # noqa: PLC0415

    try:
        server.start()
    except ServerStartError as error:
        pytest.fail(f"This test needs {server.name}. {error}", pytrace=False)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Run a private PostgreSQL server with logical decoding."""
    from dativo_sandbox.postgres import PostgresServer  # noqa: PLC0415

    yield from _run(PostgresServer())


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    """Create an empty PostgreSQL database, dropped after the test."""
    name = f"test_{secrets.token_hex(4)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaServer]:
    """Run a private MariaDB server."""
    from dativo_sandbox.mariadb import MariaServer  # noqa: PLC0415

    yield from _run(MariaServer())


@pytest.fixture
def mariadb(mariadb_server: MariaServer) -> Iterator[MariaDatabase]:
    """Create an empty MariaDB database, dropped after the test."""
    name = f"test_{secrets.token_hex(4)}"
    yield mariadb_server.create_database(name)
    mariadb_server.drop_database(name)


@pytest.fixture(scope="session")
def seaweed() -> Iterator[SeaweedServer]:
    """Run a private S3 service with an Iceberg REST catalog."""
    from dativo_sandbox.seaweedfs import SeaweedServer  # noqa: PLC0415

    yield from _run(SeaweedServer())


@pytest.fixture(scope="session")
def secure_seaweed() -> Iterator[SeaweedServer]:
    """Run a private S3 service that speaks TLS, its CA known to nobody."""
    from dativo_sandbox.seaweedfs import SeaweedServer  # noqa: PLC0415

    yield from _run(SeaweedServer(ssl=True))


@pytest.fixture
def bucket_prefix(seaweed: SeaweedServer) -> str:
    """Name a fresh folder in the ordinary bucket, such as s3://lake/test_1f."""
    return f"s3://{seaweed.bucket}/test_{secrets.token_hex(4)}"


@pytest.fixture
def stripe_server() -> Iterator[StripeServer]:
    """Run a simulator of Stripe's API, with 300 customers that nobody has touched."""
    from dativo_sandbox.stripe.server import StripeServer  # noqa: PLC0415

    yield from _run(StripeServer(customers=300, rate_limits=False))
