"""The command `lock`: pyproject.toml comes in; the hashed locks go out, which name no host and no address."""

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from project.core.management.environment import ROOT

_COMPILE = [
    *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"),
]
_LOCKS = ("base.lock", "dev.lock", "opentelemetry.lock", "assets.lock")
_LINE = re.compile(
    r""" [a-z0-9][a-z0-9._-]*==[\w.!+]+ (\ ;\ [^/]+)? \ \\  # a package, perhaps for some systems only
    | \ {4}--hash=sha256:[0-9a-f]{64} (\ \\)?               # one of its files
    | \#(?!.*://).*                                         # a remark
    | """,
    re.VERBOSE,
)


@click.command("lock", epilog="Example: manage.py lock --upgrade")
@click.option("--upgrade", is_flag=True, help="Take the newest versions that pyproject.toml allows.")
def lock(upgrade: bool) -> None:
    """Compile project/requirements/*.lock from pyproject.toml, keeping the versions that still fit."""
    folder = ROOT / "project" / "requirements"
    with TemporaryDirectory() as made:
        drafts = [Path(shutil.copy(folder / name, made)) for name in _LOCKS]
        base, dev, opentelemetry, assets = drafts
        _compile_packages(base, {"dev": dev, "opentelemetry": opentelemetry}, ["--upgrade"] if upgrade else [])
        _compile_assets(assets)
        for draft in drafts:
            if strange := strange_lines(draft.read_text(encoding="utf-8")):
                raise click.ClickException(f"{draft.name} would hold a line it must not: {strange[0]}")
        for draft in drafts:
            shutil.copyfile(draft, folder / draft.name)
    click.echo(f"Compiled {', '.join(_LOCKS)}; the next start of manage.py brings .venv up to them.")


def strange_lines(text: str) -> list[str]:
    """The lines of a lock that are not a pinned package, a hash or a remark, such as an address or option."""
    return [line for line in text.splitlines() if not _LINE.fullmatch(line)]


def _compile_packages(base: Path, extras: dict[str, Path], options: list[str]) -> None:
    """Write over the locks; the versions that uv finds in them are the ones it keeps."""
    _compile([*options, "pyproject.toml", "-o", str(base)])
    for name, extra in extras.items():  # with base.lock for its bounds, each can be installed on top of it
        _compile([*options, "--extra", name, "-c", str(base), "pyproject.toml", "-o", str(extra)])


def _compile_assets(assets: Path) -> None:
    """Hash the version that the lock names, without what that depends on, as it is installed without."""
    lines = assets.read_text(encoding="utf-8").splitlines()
    remarks = [line for line in lines if line.startswith("#")]
    pins = [line.split()[0] for line in lines if line not in remarks and "==" in line]
    hashed = _compile(["--no-deps", "-"], "\n".join(pins))
    assets.write_text("\n".join([*remarks, hashed]), encoding="utf-8")


def _compile(words: list[str], given: str = "") -> str:
    try:
        done = subprocess.run([*_COMPILE, *words], input=given, capture_output=True, encoding="utf-8", cwd=ROOT)
    except FileNotFoundError:
        raise click.ClickException("Only uv locks for all systems at once: install it, then type this again.") from None
    if done.returncode:
        raise click.ClickException(f"uv could not resolve the packages:\n{done.stderr.strip()}")
    return done.stdout
