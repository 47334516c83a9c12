"""A new project's own name, key and README."""

import re
from pathlib import Path

from project.core.management.environment import dotenv

README = """\
# {name}

Made with [Uptempo](project/core/__init__.py) {version}. You need Python 3.11 or newer and nothing else.

```console
$ python3 manage.py runserver
$ python3 manage.py test
```

The first makes a `.venv` from the locks, a SQLite database, and serves <http://127.0.0.1:8000>; the second runs every
test. An app of your own, with a table, a JSON API, pages, an admin and tests:

```console
$ python3 manage.py startapp blog Post title:str body:text published:bool
$ python3 manage.py migrate
```

`project/core` and `tests/core` are the framework, all else is yours. `python3 manage.py core --diff` shows what was
changed in it, `python3 manage.py core --upgrade ../uptempo` replaces it by a newer one. `python3 manage.py help` lists
the commands.
"""


def name_it(root: Path, name: str, version: str) -> None:
    """Give the project its name, a README of its own, and a `.env` for development with a key of its own."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "site"
    _change(root / "pyproject.toml", r'^name = ".*"', f'name = "{slug}"')
    _change(root / "pyproject.toml", r'^description = ".*"', f'description = "{name}."')
    _change(root / "pyproject.toml", r'^version = ".*"', 'version = "0.1.0"')
    _change(root / "pyproject.toml", r'^license = ".*"\n', "")
    _change(root / ".env.example", r"^# SITE_NAME=.*", f"# SITE_NAME={name}")
    settings = root / "project" / "settings.py"
    _change(settings, r"^    SITE_NAME: .*\n", "")
    line = f'    SITE_NAME: str = Field(default="{name}", description="The name people read.")\n'
    _change(settings, r"^    INSTALLED_APPS", f"{line}    INSTALLED_APPS")
    if "import Field" not in settings.read_text():
        _change(settings, r"^from project\.core\.conf", "from pydantic import Field\n\nfrom project.core.conf")
    (root / "README.md").write_text(README.format(name=name, version=version))
    dotenv.write(root)


def _change(path: Path, pattern: str, new: str) -> None:
    path.write_text(re.sub(pattern, lambda _: new, path.read_text(), count=1, flags=re.M))
