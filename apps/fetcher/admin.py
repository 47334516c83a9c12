"""Batches and their results in the admin: looked at and deleted; written by the fetcher alone."""

from typing import Any, ClassVar

from sqladmin.filters import StaticValuesFilter
from starlette.requests import Request

from apps.fetcher.models import Batch, Fetch, Status
from apps.fetcher.outcomes import Outcome
from apps.fetcher.services import stop
from project.core import ModelAdmin


class BatchAdmin(ModelAdmin, model=Batch):
    """What people submitted, and how far it is."""

    icon = "fa-solid fa-layer-group"
    can_create = can_edit = False
    column_list = [
        *(Batch.title, Batch.owner_id, Batch.status, Batch.total, Batch.done, Batch.refused, Batch.failed),
        Batch.created_at,
    ]
    column_searchable_list = [Batch.title]
    column_sortable_list = [Batch.created_at, Batch.total, Batch.failed]
    column_filters: ClassVar[list[Any]] = [
        StaticValuesFilter("status", [(status.value, status.value.capitalize()) for status in Status])
    ]

    async def on_model_delete(self, model: Batch, request: Request) -> None:
        """Stop it first when it is under way."""
        await stop(self.session_of(model), model)


class FetchAdmin(ModelAdmin, model=Fetch):
    """What became of each URL."""

    name, name_plural = "Result", "Results"
    icon = "fa-solid fa-link"
    can_create = can_edit = can_delete = False
    column_list = [
        Fetch.url,
        Fetch.outcome,
        Fetch.status_code,
        Fetch.error,
        Fetch.elapsed_ms,
        Fetch.size,
        Fetch.batch_id,
    ]
    column_searchable_list = [Fetch.url, Fetch.title]
    column_sortable_list = [Fetch.elapsed_ms, Fetch.size]
    column_default_sort = [(Fetch.id, True)]
    column_filters: ClassVar[list[Any]] = [
        StaticValuesFilter("outcome", [(outcome.value, outcome.value.capitalize()) for outcome in Outcome])
    ]
