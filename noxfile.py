"""Every check of the repository: one session each, one cell each in CI."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2026.4"
nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typing", "settings"]

ROOT = Path(__file__).parent
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
PACKAGES = sorted(
    path.parent.relative_to(ROOT) for path in ROOT.glob("*/*/pyproject.toml")
)
TOOLS = [".ci", "bench", "docs/generate.py", "noxfile.py", "plugins"]
SOURCES = [*TOOLS, *(f"{path}/src" for path in PACKAGES)]


def find_real_pythons() -> None:
    """Put pyenv's interpreters on PATH in place of its shims.

    A shim exists for every version but runs only those that the user has activated.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [str(path) for path in sorted(pyenv.glob("versions/3.1*/bin"))]
    paths = os.environ["PATH"].split(os.pathsep)
    kept = [path for path in paths if path != str(pyenv / "shims")]
    os.environ["PATH"] = os.pathsep.join(kept + found)


find_real_pythons()


def sync(session: nox.Session, *options: str) -> None:
    """Install what `uv.lock` says, and nothing else, into the session."""
    session.run_install(
        "uv",
        "sync",
        "--frozen",
        f"--python={session.virtualenv.location}",
        *options,
        env={"UV_PROJECT_ENVIRONMENT": session.virtualenv.location},
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Check rules and layout of the code."""
    sync(session, "--only-group=lint")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types of all sources."""
    sync(session, "--all-packages", "--group=typing", "--group=nox")
    session.run("mypy", *(session.posargs or SOURCES))


@nox.session
def settings(session: nox.Session) -> None:
    """Check that READMEs, `meltano.yml` and `plugins/` match the plugins."""
    sync(session)
    session.run("python", "plugins/sync.py", "--check")
    session.run("python", "docs/generate.py", "--check")


@nox.session(python=PYTHONS)
@nox.parametrize("package", [nox.param(path, id=path.name) for path in PACKAGES])
def tests(session: nox.Session, package: Path) -> None:
    """Test a package with its own dependencies and the test tools only."""
    sync(session, f"--package={distribution(package)}")
    sync(session, "--only-group=test", "--inexact")
    run_pytest(session, str(package))


@nox.session
def e2e(session: nox.Session) -> None:
    """Test what crosses packages."""
    sync(session)
    run_pytest(session, "tests")


@nox.session
def chaos(session: nox.Session) -> None:
    """Kill tap and target a thousand times; `-- --kills 100 --seed 7` for less."""
    sync(session)
    session.run("python", "tests/chaos", *(session.posargs or ["--kills", "1000"]))


@nox.session
def kills(session: nox.Session) -> None:
    """Kill a load of ten million rows fifty times, as records and in files.

    `-- --rows 200000 --kills 6 --source postgres` for less.
    """
    sync(session)
    session.run("python", "tests/chaos/kills.py", *session.posargs)


@nox.session
def signals(session: nox.Session) -> None:
    """Send every signal at every moment to tap, target and Meltano."""
    sync(session)
    run_pytest(session, "tests/endings", "-m", "slow or not slow")


@nox.session
def soak(session: nox.Session) -> None:
    """Load 10 GB with one bad row in a hundred; `-- --gigabytes 1` for less."""
    sync(session)
    session.run("python", "tests/soak", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Let storage, catalogs and Stripe fail in every way that is known."""
    sync(session)
    tests = ("tests/test_storage_faults.py", "taps/tap-stripe/tests/test_sync.py")
    run_pytest(session, *tests, "-m", "slow or not slow")


@nox.session
def spark(session: nox.Session) -> None:
    """Let Spark read every table, and look after some; needs Java 17."""
    sync(session)
    run_pytest(session, "tests/readers/test_spark.py", "-m", "slow")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Try the invariants of `tests/fuzz` on what atheris finds; `-- --minutes 10`."""
    sync(session)
    session.install("atheris>=3,<4")
    session.run("python", "tests/fuzz", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure all contenders on a million rows; `-- --rows 200000` for less."""
    sync(session)
    output = ["--output", "docs/PERFORMANCE.md"]
    options = session.posargs or ["--rows", "1000000", "--rounds", "3"]
    session.run("python", "bench/run.py", "--peers", *output, *options)


@nox.session
def bench_quick(session: nox.Session) -> None:
    """Measure ours, the limit, dlt and rivet on a few rows; asserts no time."""
    sync(session)
    options = session.posargs or ["--rows", "100000", "--rounds", "1"]
    session.run("python", "bench/run.py", "--peers", "--quick", *options)


@nox.session
def bench_stripe(session: nox.Session) -> None:
    """Measure tap-stripe beside others on the simulator, in five minutes."""
    sync(session)
    options = session.posargs or ["--output", "docs/connectors/STRIPE_SPEED.md"]
    session.run("python", "bench/stripe.py", "--peers", *options)


@nox.session
def bench_growth(session: nox.Session) -> None:
    """Measure how cost grows with rows, streams and columns; `-- --scale 0.01`."""
    sync(session)
    output = ["--output", "docs/PERFORMANCE.md"]
    session.run("python", "bench/growth.py", "--peers", *output, *session.posargs)


@nox.session
def mutation(session: nox.Session) -> None:
    """Change the code that handles failures bit by bit: its tests must notice."""
    sync(session, "--package=dativo-core")
    sync(session, "--only-group=test", "--inexact")
    session.install("mutmut>=3.8,<4")
    session.run("python", ".ci/mutate.py", session.create_tmp())


@nox.session
def docs(session: nox.Session) -> None:
    """Run the code blocks of the documentation."""
    sync(session)
    session.run(
        "python", ".ci/run_docs.py", *(session.posargs or ["README.md", "docs"])
    )


@nox.session(reuse_venv=False)
def wheels(session: nox.Session) -> None:
    """Test the packages as users get them: built, installed, far from the sources."""
    built = Path(session.create_tmp(), "dist").resolve()
    pins = built.with_name("pins.txt")
    session.run_install(
        *("uv", "build", "--quiet", "--all-packages", "--wheel", "--clear"),
        f"--out-dir={built}",
    )
    session.run_install(
        *("uv", "export", "--quiet", "--frozen", "--all-packages", "--all-extras"),
        *("--no-hashes", "--no-emit-workspace", f"--output-file={pins}"),
    )
    tools = built.with_name("tools.txt")
    session.run_install(
        *("uv", "export", "--quiet", "--frozen", "--only-group=test"),
        *("--no-hashes", "--no-emit-workspace", f"--output-file={tools}"),
    )
    # By file, since another wheel of the same version may be in uv's cache.
    packages = [f"{name} @ {path.as_uri()}" for name, path in wheel_files(built)]
    sandbox = "dativo-sandbox[test]"
    session.install(f"--constraint={pins}", *packages, sandbox, f"-r{tools}")
    session.run("python", "-c", INSTALLED_ONLY)
    run_pytest(session, *(str(path) for path in PACKAGES))


INSTALLED_ONLY = """
from importlib.util import find_spec
taps = ("tap_mysql", "tap_postgres", "tap_stripe")
for name in ("dativo_core", *taps, "target_parquet_iceberg"):
    assert "site-packages" in find_spec(name).origin, f"{name} is not from its wheel"
"""


def wheel_files(folder: Path) -> list[tuple[str, Path]]:
    """Return the wheels with the names of their distributions."""
    return [(path.name.split("-", 1)[0], path) for path in sorted(folder.glob("*.whl"))]


def distribution(package: Path) -> str:
    """Return the name under which the package is published."""
    name = package.name
    return name if name.startswith("dativo-") else f"dativo-{name}"


def run_pytest(session: nox.Session, *paths: str) -> None:
    """Run tests; a package may have none yet, which pytest tells with code 5."""
    session.run("pytest", *paths, *session.posargs, success_codes=[0, 5])
