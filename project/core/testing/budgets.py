"""Query budgets: no request may run one statement again and again, once for each row."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpx2
import pytest
from sqlalchemy import event
from sqlalchemy.orm import MapperProperty, ORMExecuteState, Session

from project.core.db.recording import recorded

MOST = 5
ADVICE = "Ask once for all rows (selectinload(), `.in_(ids)`); if it has to be, `with query_budget(n):` of budgets.py."
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
        shapes = Counter((each.loads, each.place, each.sql) for each in asked.statements)
        for (loads, place, sql), times in shapes.most_common(1):
            if times > _allowed.get():
                about = f"{asked.route} runs one statement {times} times{loads and ' for '}{loads} in {place}"
                pytest.fail(f"{about}; its budget is {_allowed.get()}.\n{sql}\n{ADVICE}")
        return answer


@event.listens_for(Session, "do_orm_execute")
def _name(state: ORMExecuteState) -> None:
    """Write the relationship, or else the model, that is loaded onto the statement."""
    path = state.loader_strategy_path.path if state.loader_strategy_path and state.is_relationship_load else ()
    related = [str(each) for each in path if isinstance(each, MapperProperty)]
    mapper = state.bind_mapper
    state.update_execution_options(loads=related[-1] if related else mapper.class_.__name__ if mapper else "")
