"""The development `.env`, written once, for its owner only; and the setting needed before the settings."""

import os
from pathlib import Path

_TEXT = """\
# Written by manage.py, for development; .env.example lists every setting.
DEBUG=true
SECRET_KEY={key}
"""


def write(root: Path) -> bool:
    """Write `.env` with mode 0600 and a random key; False if the project is configured, by that or otherwise."""
    if {"SECRET_KEY", "DATABASE_URL"} & os.environ.keys() or os.path.lexists(root / ".env"):
        return False
    import secrets

    draft = root / f".env.{os.getpid()}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(_TEXT.format(key=secrets.token_urlsafe(48)))
    try:
        os.link(draft, root / ".env")  # unlike a rename, this takes nobody's place
    except FileExistsError:
        return False
    except OSError:
        draft.rename(root / ".env")  # on a file system without links
    finally:
        draft.unlink(missing_ok=True)
    return True


def data_dir(root: Path) -> Path:
    """The setting DATA_DIR: from the environment, else `.env`, else `.data`; relative to `root`."""
    file, named = root / ".env", os.environ.get("DATA_DIR")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() and not named else []
    pairs = [line.removeprefix("export ").partition("=") for line in lines]
    values = [value.split(" #")[0].strip().strip("\"'") for key, _, value in pairs if key.strip() == "DATA_DIR"]
    return root / (named or "".join(values[-1:]) or ".data")
