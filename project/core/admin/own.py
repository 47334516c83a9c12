"""The admin's views of the core's own tables; nobody writes them by hand."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from markupsafe import Markup
from sqladmin import action
from sqladmin.filters import StaticValuesFilter
from sqlalchemy import Select
from sqlmodel import col
from starlette.requests import Request
from starlette.responses import Response

from project.core.admin.door import bad_value_means
from project.core.admin.views import ModelAdmin
from project.core.db.audit import AuditEntry
from project.core.db.queries import contains
from project.core.db.session import AsyncSession
from project.core.errors import BadRequest, Conflict, DomainError, NotFound
from project.core.jobs import Job, State, figures, retry
from project.core.jobs.declaring import JobType
from project.core.log import get_logger, redact
from project.core.mail.sent import SentMail
from project.core.web.redirects import page_before, redirect

log = get_logger(__name__)
CATEGORY = "System"
MAY = {"retry": (State.DEAD, State.CANCELLED), "cancel": (State.QUEUED, State.RUNNING)}


class Installed(StaticValuesFilter):
    """A filter by what the installed apps bring along, as {what is stored: what people read}."""

    def __init__(self, column: str, read: Callable[[Request], dict[str, str]], title: str | None = None) -> None:
        super().__init__(column, [], title=title)
        self.read = read

    async def lookups(self, request: Request, model: Any, run_query: Any) -> list[tuple[str, str]]:
        """Each value once, by the letters of what people read."""
        return [("__all", "All"), *sorted(self.read(request).items(), key=lambda each: each[1])]


def _jobs(read: Callable[[JobType], str]) -> Callable[[Request], dict[str, str]]:
    return lambda request: {read(kind): read(kind) for kind in request.app.state.runtime.registry.jobs.values()}


def _tables(request: Request) -> dict[str, str]:
    views = [each for each in request.state.admin.views if isinstance(each, ModelAdmin)]
    return {each._mapper.local_table.name: each.name_plural for each in views}


def _name(job: Job, _: str, request: Request) -> Markup:
    address = f"{request.scope['root_path']}/{JobAdmin.identity}/details/{job.id}"
    return Markup('<a href="{}">{}</a>').format(address, job.name)


def _state(job: Job, _: str) -> Markup:
    words = "cancelling" if job.state == State.RUNNING and job.cancel_asked else job.state.value
    return Markup('<span class="badge job-{}">{}</span>').format(job.state.value, words)


def _failed(job: Job, _: str, request: Request) -> str:
    kind = request.app.state.runtime.registry.jobs.get(job.name)
    return f"{job.failures} of {kind.max_tries}" if kind and job.failures else str(job.failures or "")


def _brief(job: Job, name: str) -> str:
    value = getattr(job, name)
    return f"{value:%b %d, %H:%M:%S}" if value else ""


def _json(job: Job, name: str) -> Markup:
    return Markup('<pre class="job-json">{}</pre>').format(figures.readable(getattr(job, name)))


def _progress(job: Job, _: str) -> str:
    how_far = f"{job.done} of {job.total}" if job.total else ""
    return " · ".join(filter(None, (how_far, redact(job.note))))


def _error(job: Job, _: str) -> str:
    return job.error if len(job.error) < 60 else f"{job.error[:59]}…"


class JobAdmin(ModelAdmin, model=Job):
    """Jobs: looked at, tried again, cancelled; written by nobody's hand, and deleted only when they have ended."""

    category = CATEGORY
    category_icon = "fa-solid fa-server"
    icon = "fa-solid fa-gears"
    can_create = can_edit = can_export = False
    column_list = [Job.state, Job.name, Job.error, Job.created_at, "ran", Job.failures, Job.queue, Job.owner]
    column_details_list = [
        *(Job.name, Job.state, Job.queue, Job.owner, "progress", Job.failures, Job.error),
        *(Job.created_at, Job.due_at, Job.started_at, Job.finished_at, "waited", "ran"),
        *(Job.arguments, Job.result, Job.request_id, Job.worker, Job.lease_until, Job.attempt, Job.deaths),
    ]
    column_searchable_list = [Job.name, Job.id]
    column_sortable_list = [Job.name, Job.failures, Job.created_at, Job.started_at, Job.due_at]
    column_default_sort = [(Job.id, True)]
    column_labels = {
        Job.failures: "Failed tries",
        Job.due_at: "Due",
        Job.created_at: "Created",
        Job.started_at: "Started",
        Job.finished_at: "Finished",
        Job.attempt: "Claims",
        Job.request_id: "Request",
        "waited": "Waited",
        "ran": "Took",
        "progress": "Progress",
    }
    column_formatters_detail: ClassVar[dict[Any, Any]] = {
        Job.state: _state,
        Job.failures: _failed,
        Job.arguments: _json,
        Job.result: _json,
        "waited": lambda job, _: figures.waited(job),
        "ran": lambda job, _: figures.ran(job),
        "progress": _progress,
    }
    column_formatters = column_formatters_detail | {
        Job.name: _name,
        Job.owner: lambda job, _: f"…{str(job.owner)[-8:]}" if job.owner else "",
        Job.created_at: _brief,
        Job.started_at: _brief,
        Job.error: _error,
    }
    column_filters = [
        StaticValuesFilter("state", [(state.value, state.value.capitalize()) for state in State]),
        Installed("queue", _jobs(lambda kind: kind.queue)),
        Installed("name", _jobs(lambda kind: kind.name)),
    ]

    def search_query(self, stmt: Select[Any], term: str) -> Select[Any]:
        """By a part of the name, or by the beginning of its id or of its owner's."""
        found = [contains(col(Job.name), term)]
        with contextlib.suppress(NotFound):
            found += [figures.begins(column, term) for column in (Job.id, Job.owner)]
        return stmt.where(sa.or_(*found))

    async def check_can_view_details(self, request: Request, model: Any) -> bool:
        """Staff may; which job it is decides what can be done with it."""
        request.state.job = model
        return await super().check_can_view_details(request, model)

    def _visible_custom_actions(self, request: Request, in_detail: bool = False) -> dict[str, str]:
        actions: dict[str, str] = super()._visible_custom_actions(request, in_detail)
        if in_detail:
            state = request.state.job.state
            actions = {slug: label for slug, label in actions.items() if state in MAY[slug]}
        return actions

    async def check_can_delete(self, request: Request, model: Any) -> bool:
        """Only what has ended has the button; who asks without one is told why not by `on_model_delete`."""
        ended = request.method != "GET" or model.state in figures.ENDED
        return ended and await super().check_can_delete(request, model)

    async def on_model_delete(self, model: Job, request: Request) -> None:
        """Raise Conflict for a job that waits or runs."""
        await self.session_of(model).refresh(
            model, with_for_update=True
        )  # somebody else may be trying it again at this moment
        if model.state not in figures.ENDED:
            raise Conflict("Only jobs that have ended can be deleted. Cancel it first.")

    @action("retry", "Try again", "Try again what failed or was cancelled? It begins anew, with all its tries.")
    async def retry_chosen(self, request: Request) -> Response:
        """Let the chosen jobs begin anew, all or none."""
        return await self._change(request, retry, "will be tried again")

    @action("cancel", "Stop for good", "Stop for good? What waits never runs, what runs is stopped within seconds.")
    async def cancel_chosen(self, request: Request) -> Response:
        """Cancel the chosen jobs, all or none."""
        return await self._change(request, figures.cancel, "cancelled: what runs stops within seconds")

    async def _change(
        self, request: Request, change: Callable[[AsyncSession, UUID], Awaitable[Job]], words: str
    ) -> Response:
        here = request.url_for("admin:list", identity=self.identity).path
        back = page_before(request, here)
        back = here if "/confirm/" in back else back  # that page has asked, and is done
        try:
            pks = [pk for pk in dict.fromkeys(request.query_params.get("pks", "").split(",")) if pk]
            with bad_value_means(NotFound()):
                ids = [UUID(pk) for pk in pks]
            if not ids:
                raise BadRequest("Choose the jobs first.")
            async with self.session_maker() as db:
                for job_id in ids:
                    await change(db, job_id)
                await db.commit()
        except DomainError as refusal:
            return redirect(back, flash=refusal.message, kind="error")
        log.info("jobs changed by staff", how=words, jobs=pks, by=str(request.state.principal.id))
        return redirect(back, flash=f"{len(ids)} {'job' if len(ids) == 1 else 'jobs'} {words}.")


JobAdmin.identity = "jobs"  # a model called Job may be a site's own


class SentMailAdmin(ModelAdmin, model=SentMail):
    """The mail that was sent in the last 90 days, without what it said."""

    name, name_plural = "Sent mail", "Sent mail"
    category = CATEGORY
    icon = "fa-solid fa-envelope"
    can_create = can_edit = can_delete = False
    column_list = [SentMail.sent_at, SentMail.to, SentMail.subject, SentMail.template]
    column_searchable_list = [SentMail.to, SentMail.subject]
    column_default_sort = ("sent_at", True)


def _table(entry: AuditEntry, _: str, request: Request) -> str:
    view = request.state.admin.view_for(entry.kind)
    return view.name if view else entry.kind


class AuditAdmin(ModelAdmin, model=AuditEntry):
    """What staff has changed, by whom and when; it can only be read."""

    name, name_plural = "History", "History"
    category = CATEGORY
    icon = "fa-solid fa-clock-rotate-left"
    can_create = can_edit = can_delete = False
    details_template = "sqladmin/audit.html"
    column_list = [AuditEntry.at, AuditEntry.actor, AuditEntry.action, AuditEntry.kind, AuditEntry.words]
    column_details_list = [*column_list, AuditEntry.row_id, AuditEntry.request_id]
    column_formatters: ClassVar[dict[Any, Any]] = {AuditEntry.kind: _table}
    column_searchable_list = [AuditEntry.words, AuditEntry.actor, AuditEntry.row_id, AuditEntry.request_id]
    column_default_sort = [(AuditEntry.id, True)]
    column_labels = {AuditEntry.at: "When", AuditEntry.actor: "Who", AuditEntry.kind: "Table", AuditEntry.words: "Row"}
    column_filters = [
        StaticValuesFilter("action", [(each, each.capitalize()) for each in ("add", "change", "delete", "import")]),
        Installed("kind", _tables, "Table"),
    ]


AuditAdmin.identity = "history"
VIEWS: list[type[ModelAdmin]] = [JobAdmin, SentMailAdmin, AuditAdmin]
