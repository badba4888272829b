"""The jars that Spark needs to read Iceberg, made of what PyPI and Debian have.

The package of Iceberg's runtime comes without the copy of Jackson that it was built
with, so Spark's own gets the name that it looks for.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from readers.relocate import relocate

RUNTIME = "snowpark_connect_deps_iceberg/jars/iceberg-spark-runtime-3.5_2.12-*.jar"
JACKSON = "com/fasterxml/jackson"
SHADED = f"org/apache/iceberg/shaded/{JACKSON}"
# Not SQLite's: Iceberg's JDBC catalog begins with a query that it never ends, so it
# would see a WAL file for ever as it was then.
DRIVER = "libpostgresql-jdbc-java"
PATIENCE_SECONDS = 240


def spark_jars(venv: Path) -> list[Path]:
    """Return the jars to give to Spark, made in its environment if not there."""
    [packages] = venv.glob("lib/python*/site-packages")
    made, complete = venv / "jars", venv / "jars/complete"
    if not complete.exists():
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        theirs = (packages / "pyspark/jars").glob("jackson-[acd]*-2.*.jar")
        relocate(theirs, JACKSON, SHADED, into=made / "jackson.jar")
        postgres_driver(made)
        complete.touch()
    return [made / "postgresql.jar", made / "jackson.jar", *packages.glob(RUNTIME)]


def postgres_driver(folder: Path) -> None:
    """Unpack Debian's package of the driver; nothing is installed."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        download(home)
        [package] = home.glob("*.deb")
        run(home, "dpkg-deb", "-x", package.name, "all")
        shutil.copy(home / "all/usr/share/java/postgresql.jar", folder)


def download(folder: Path) -> None:
    """Fetch the package, with apt's lists read anew: images come without."""
    places = {"Dir::Cache": folder / "cache", "Dir::State::lists": folder / "lists"}
    for place in ("cache/archives/partial", "lists/partial"):
        (folder / place).mkdir(parents=True)
    options = [f"--option={name}={place}" for name, place in places.items()]
    # apt's sandbox user could not write into our folder.
    apt = ("apt-get", "--option=APT::Sandbox::User=root", *options)
    run(folder, *apt, "update")
    run(folder, *apt, "download", DRIVER)


def run(folder: Path, *command: str) -> None:
    """Run a command; what it misses is the test's failure."""
    try:
        subprocess.run(
            command,
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        sys.stderr.write(f"{reason}\n")
        what = f"Spark needs {DRIVER} from Debian: {command[0]} failed."
        pytest.fail(what, pytrace=False)
