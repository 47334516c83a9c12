"""Connects to the database as the site would: does it answer, may the site write, is it migrated, is there room?"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from project.core.checks import Finding, check, in_short
from project.core.db.migrations import pending
from project.core.runtime import Runtime

PATIENCE = 5.0  # seconds

AWAY = Finding("core.E120", "The database cannot be used ({reason}).", "Is it running, and is DATABASE_URL right?")
PENDING = Finding("core.E121", "{count} migrations are waiting, {name} first.", "Run: python3 manage.py migrate")
NO_RIGHTS = Finding(
    "core.E122",
    "The database's user {user} lacks rights on {count} tables: {what}.",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user};",
)
TOO_MANY = Finding(
    "core.E123",
    "{web} web processes (one more while they are replaced) and {workers} workers may open {wanted} connections; "
    "the database gives this user {room}.",
    "Lower DB_POOL_SIZE and DB_POOL_OVERFLOW (both count for each process), or raise max_connections.",
)
NO_TABLES = Finding(
    "core.I124",
    "The database's user {user} may make no tables.",
    "That is as it should be where `migrate` runs as somebody else.",
)
SUPERUSER = Finding(
    "core.W125",
    "The site is a superuser of the database ({user}), so a hole in it is a hole in the whole server.",
    "Make a role of its own: CREATE ROLE shop LOGIN PASSWORD '…'; then let it own the database.",
)

ABOUT = """
SELECT role.rolname AS user, role.rolsuper AS super, current_schema() AS schema,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS makes,
       least(nullif(role.rolconnlimit, -1), nullif(base.datconnlimit, -1),
             current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
             - coalesce(current_setting('reserved_connections', true)::int, 0)) AS room
FROM pg_roles role, pg_database base WHERE role.rolname = current_user AND base.datname = current_database()
"""
LACKING = """
SELECT word || ' ON ' || relname FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS word
WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid) AND relname = ANY(:names)
AND NOT has_table_privilege(oid, word) ORDER BY 1
"""


@check(AWAY, PENDING, NO_RIGHTS, TOO_MANY, NO_TABLES, SUPERUSER, tags=["database"], deploy=True)
async def what_the_database_says(runtime: Runtime) -> AsyncIterator[Finding]:
    """What the database says of itself."""
    try:
        async with asyncio.timeout(PATIENCE), runtime.database.engine.connect() as connection:
            found = [] if runtime.database.is_sqlite else await _rights(runtime, connection)
            if NO_RIGHTS.id not in {each.id for each in found}:  # else how far it is migrated may be hidden, too
                ids = await connection.run_sync(pending)
                found += [PENDING.of(count=len(ids), name=ids[0])] if ids else []
    except (OSError, SQLAlchemyError, TimeoutError) as error:
        found = [AWAY.of(reason=in_short(error))]
    for each in found:
        yield each


async def _rights(runtime: Runtime, connection: AsyncConnection) -> list[Finding]:
    about = (await connection.execute(text(ABOUT))).mappings().one()
    lacking = list(await connection.scalars(text(LACKING), {"names": list(SQLModel.metadata.tables)}))
    tables = {each.rpartition(" ")[2] for each in lacking}
    found = []
    if lacking:
        found = [NO_RIGHTS.of(count=len(tables), what=", ".join(lacking[:3]) + ", …" * (len(lacking) > 3), **about)]
    return [*found, *_room(runtime, about)]


def _room(runtime: Runtime, about: Any) -> Iterator[Finding]:
    settings = runtime.settings
    web, workers = settings.WEB_CONCURRENCY, settings.WORKER_PROCESSES if settings.REDIS_URL.get_secret_value() else 0
    wanted = (web + (web > 1) + workers) * (settings.DB_POOL_SIZE + settings.DB_POOL_OVERFLOW)
    if wanted > about["room"]:
        yield TOO_MANY.of(web=web, workers=workers, wanted=wanted, room=about["room"])
    if about["super"]:
        yield SUPERUSER.of(**about)
    elif not about["makes"]:
        yield NO_TABLES.of(**about)
