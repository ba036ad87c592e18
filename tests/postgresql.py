"""A PostgreSQL of its own for tests: Debian's binaries, a temporary folder, a Unix socket and nothing else."""

from __future__ import annotations

import glob
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NUMBERS = itertools.count()


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl; None where there is no PostgreSQL."""
    found = shutil.which("pg_ctl")
    places = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl")) + ([found] if found else [])
    return Path(places[-1]).resolve().parent if places else None


def user() -> str | None:
    """Whom to run it as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    known = {u.pw_name for u in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def new_schema(url: str) -> str:
    """Make an empty schema on a server (a database takes a second and 7 MB); its URL."""
    import sqlalchemy as sa

    name = f"t{next(_NUMBERS)}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    engine.dispose()
    return f"{url}&options=-csearch_path%3D{name}"


@contextmanager
def running(bin_folder: Path) -> Iterator[str]:
    """Start a server and stop it at the end; yields the SQLAlchemy URL of its socket."""
    who = user()
    # Short, for a socket's path has 107 characters at most; not in pytest's folder, which others can't enter.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if who is not None:
        shutil.chown(folder, who)
    given: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, "user": who}
    if who is not None:
        given |= {"group": pwd.getpwnam(who).pw_gid, "extra_groups": []}
    data = folder / "data"
    try:
        subprocess.run([bin_folder / "initdb", "-D", data, "-A", "trust", "-U", "lab", "--no-sync"], **given)
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        start = [bin_folder / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"]
        subprocess.run(start, **given)
        try:
            yield f"postgresql+psycopg://lab@/postgres?host={folder}"
        finally:
            subprocess.run([bin_folder / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"], **given)
    finally:
        shutil.rmtree(folder)
