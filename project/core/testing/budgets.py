"""Query budgets: no request may run one statement again and again, once for each row."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpx2
import pytest
from sqlalchemy import event
from sqlalchemy.orm import MapperProperty, ORMExecuteState, Session

from project.core.db.recording import Recording, recorded

MOST = 5
TABLE = re.compile(r"^(?:INSERT INTO|UPDATE|(?:SELECT|DELETE|WITH)\b.*?\bFROM) \"?(\w+)")
_allowed: ContextVar[int] = ContextVar("allowed", default=MOST)


@contextmanager
def query_budget(most: int) -> Iterator[None]:
    """Let a request that is made in here run one statement up to `most` times: `with query_budget(20): …`."""
    token = _allowed.set(most)
    try:
        yield
    finally:
        _allowed.reset(token)


class CountingTransport(httpx2.ASGITransport):
    """Fails the test whose request runs one statement more often than its budget allows."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        with recorded() as asked:
            answer = await super().handle_async_request(request)
        if problem := excess(asked, _allowed.get()):
            pytest.fail(problem)
        return answer


def excess(asked: Recording, most: int) -> str:
    """What is wrong with a request that runs one statement more than `most` times, in words; else nothing."""
    tables = [(each, found[1]) for each in asked.statements if (found := TABLE.match(each.sql))]
    shapes = Counter((each.sql, each.place, each.loads or table) for each, table in tables)
    for (sql, place, about), times in shapes.most_common(1):
        if times > most:
            return (
                f"{asked.route} asks for {about} {times} times, in {place}; its budget is {most}.\n  {sql}\n"
                "Ask once for all rows: selectinload() for a relationship, `.in_(ids)` for rows. "
                "If it has to be so: `with query_budget(n):` of project.core.testing.budgets."
            )
    return ""


@event.listens_for(Session, "do_orm_execute")
def _name(state: ORMExecuteState) -> None:
    """Write the relationship, or else the model, that is loaded onto the statement."""
    path = state.loader_strategy_path.path if state.loader_strategy_path and state.is_relationship_load else ()
    related = [str(each) for each in path if isinstance(each, MapperProperty)]
    mapper = state.bind_mapper
    state.update_execution_options(loads=related[-1] if related else mapper.class_.__name__ if mapper else "")
