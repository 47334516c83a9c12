"""Demo people. Where DEBUG is off nobody knows their passwords, and none of them is staff."""

import secrets

from sqlmodel import col, select

from apps.accounts.manager import UserManager
from apps.accounts.models import User
from project.core import AsyncSession, Runtime

PASSWORD = "only a demo here"  # noqa: S105 - published, so of development only
PEOPLE = {"ann@example.com": "Ann", "bob@example.com": "Bob", "cleo@example.com": "Cleo"}
STAFF = "admin@example.com"


async def seed(db: AsyncSession, runtime: Runtime) -> dict[str, int]:
    """Add those who are not there; somebody with such an e-mail stays as they are."""
    debug = runtime.settings.DEBUG
    wanted = PEOPLE | ({STAFF: "Admin"} if debug else {})
    known = set((await db.exec(select(User.email).where(col(User.email).in_(wanted)))).all())
    if missing := wanted.keys() - known:
        hashed = await UserManager(db, runtime).hash(PASSWORD if debug else secrets.token_urlsafe())
        for email in sorted(missing):
            staff = email == STAFF
            person = {"email": email, "name": wanted[email], "hashed_password": hashed, "is_verified": True}
            db.add(User.model_validate(person | {"is_staff": staff, "is_superuser": staff}))
    return {f"people (password: {PASSWORD})" if debug else "people": len(missing)}
