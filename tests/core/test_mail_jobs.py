"""Mail as jobs: sent when committed, never when rolled back, tried again where that helps, logged without links."""

from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from apps.accounts.testing import SignIn
from project.core.db.models import now
from project.core.errors import Invalid
from project.core.jobs import Job, Running, State, enqueue
from project.core.jobs.mailing import deliver, mail_job, send_mail
from project.core.mail.senders import Smtp
from project.core.mail.sent import SentMail
from project.core.runtime import Runtime
from project.core.testing.jobs import Jobs
from project.core.testing.mailbox import Mailbox
from tests.core.mail_server import MailServer, mail_server

TEMPLATE = "core/mail/test.html"
TO = "ann@example.com"


@mail_job
async def confirm(running: Running, to: str) -> None:
    """A mail with a token, made where it is sent."""
    await deliver(running, TEMPLATE, to, {"link": "https://example.com/sesame"})


async def send(runtime: Runtime, to: str = TO, **context: Any) -> None:
    """A unit of work that sends a mail."""
    async with runtime.unit_of_work() as db:
        await send_mail(db, TEMPLATE, to, context)


async def sent(runtime: Runtime) -> list[SentMail]:
    """What the log says."""
    async with runtime.unit_of_work(write=False) as db:
        return list(await db.scalars(select(SentMail)))


def use(server: MailServer, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this site's mail go there."""
    monkeypatch.setattr(runtime.mail, "sender", Smtp("127.0.0.1", server.port, tls=False, local="localhost"))


async def test_a_mail_is_sent_once_what_belongs_to_it_is_committed(
    runtime: Runtime, jobs: Jobs, mailbox: Mailbox
) -> None:
    await send(runtime)
    assert list(mailbox) == []
    assert await jobs.run() == [State.DONE]
    assert (mailbox.only().to, mailbox.only().subject) == (TO, "Test mail from Uptempo")
    (row,) = await sent(runtime)
    job = await jobs.only("core.send_mail", to=TO)
    assert (row.to, row.subject, row.template) == (TO, "Test mail from Uptempo", TEMPLATE)
    assert (row.job_id, row.message_id) == (job.id, mailbox[0]["Message-ID"])
    assert str(job.id) in row.message_id


async def test_what_is_rolled_back_sends_nothing(runtime: Runtime, jobs: Jobs, mailbox: Mailbox) -> None:
    async with runtime.database.sessions[True]() as db:
        await send_mail(db, TEMPLATE, TO, {})
        await db.rollback()
    assert await jobs.run() == []
    assert list(mailbox) == []


async def test_what_cannot_be_sent_is_refused_before_it_is_committed(runtime: Runtime, jobs: Jobs) -> None:
    with pytest.raises(Invalid, match=r"context\.\w+"):
        await send(runtime, when=now())
    with pytest.raises(Invalid, match="not one e-mail address"):
        await send(runtime, "ann@example.com,eve@example.com")
    assert await jobs.all() == []


async def test_a_refused_recipient_is_given_up_with_the_servers_words(
    runtime: Runtime, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mail_server(RCPT="550 no such user") as server:
        use(server, runtime, monkeypatch)
        await send(runtime)
        assert await jobs.run() == [State.DEAD]
    job = await jobs.only()
    assert (job.failures, "550 no such user" in job.error) == (1, True)
    assert await sent(runtime) == []


async def test_a_server_that_is_busy_or_away_is_tried_again(
    runtime: Runtime, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(runtime)
    async with mail_server(RCPT="451 busy") as server:
        use(server, runtime, monkeypatch)
        assert await jobs.run() == [State.QUEUED]
    await jobs.pass_time(5)
    assert await jobs.run() == [State.QUEUED]
    assert "cannot be used" in (await jobs.only()).error
    await jobs.pass_time(5)
    async with mail_server() as server:
        use(server, runtime, monkeypatch)
        assert await jobs.run() == [State.DONE]
        assert len(server.mails) == len(await sent(runtime)) == 1


def test_after_a_minute_without_a_server_mail_goes_out_within_the_next() -> None:
    outage, slowest, fastest = 60, 1.25, 0.75
    gaps = [confirm.backoff * 2**tries for tries in range(confirm.max_tries)]
    for tries, gap in enumerate(gaps):
        if sum(gaps[:tries]) * fastest < outage:
            assert gap * slowest < 60
    assert sum(min(gap, 3600) for gap in gaps) > 24 * 3600


async def test_a_mail_whose_log_was_not_written_is_sent_again_as_the_same_mail(
    runtime: Runtime, jobs: Jobs, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: SentMail, **values: Any) -> None:
        raise OSError("no space left")

    await send(runtime)
    with monkeypatch.context() as patch:
        patch.setattr("project.core.jobs.mailing.SentMail", full)
        assert await jobs.run() == [State.QUEUED]
    await jobs.pass_time(5)
    assert await jobs.run() == [State.DONE]
    assert len(mailbox) == 2
    assert len({mail["Message-ID"] for mail in mailbox}) == len(await sent(runtime)) == 1


async def test_a_worker_that_has_lost_the_job_writes_nothing(
    runtime: Runtime, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Mailbox):
        async def send(self, mail: EmailMessage) -> None:
            async with runtime.unit_of_work() as db:  # meanwhile another worker claims it
                await db.execute(sa.update(Job).values(attempt=col(Job.attempt) + 1))

    monkeypatch.setattr(runtime.mail, "sender", Slow())
    await send(runtime)
    assert await jobs.run() == [None]
    assert await sent(runtime) == []


async def test_a_link_made_in_the_job_is_kept_nowhere(
    runtime: Runtime, jobs: Jobs, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(runtime.registry.jobs, "shop.confirm", confirm.named("shop"))
    async with runtime.unit_of_work() as db:
        await enqueue(db, "shop.confirm", to=TO)
    assert await jobs.run() == [State.DONE]
    async with runtime.unit_of_work(write=False) as db:
        rows = [(await db.execute(sa.text(f"SELECT * FROM {name}"))).all() for name in ("core_job", "core_sent_mail")]
    assert [len(each) for each in rows] == [1, 1]
    assert "sesame" not in str(rows)


async def test_the_log_forgets_after_90_days(runtime: Runtime, jobs: Jobs) -> None:
    async with runtime.unit_of_work() as db:
        for days in (89, 91):
            row = SentMail(
                to=f"{days}@example.com", subject="Hi", template=TEMPLATE, job_id=uuid4(), message_id="<1@a>"
            )
            row.sent_at = now() - timedelta(days=days)
            db.add(row)
        await enqueue(db, "core.sweep")
    await jobs.run()
    assert [row.to for row in await sent(runtime)] == ["89@example.com"]


async def test_staff_read_the_log_and_nobody_writes_it(
    runtime: Runtime, jobs: Jobs, mailbox: Mailbox, client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    await send(runtime)
    await jobs.run()
    (row,) = await sent(runtime)
    assert (await client.get("/admin/sent-mail/list")).status_code in (303, 404)
    await sign_in(is_staff=True, permissions=["core.sent_mail.view"])
    listed = await client.get("/admin/sent-mail/list?search=ann@")
    assert TO in listed.text
    assert (await client.get(f"/admin/sent-mail/details/{row.id}")).status_code == 200
    for path in ("create", f"edit/{row.id}"):
        assert (await client.post(f"/admin/sent-mail/{path}", data={"to": "eve@example.com"})).status_code == 403
    assert (await client.delete(f"/admin/sent-mail/delete?pks={row.id}")).status_code == 403
    assert [each.to for each in await sent(runtime)] == [TO]


async def test_the_mailbox_reads_a_mail_as_its_reader_does(runtime: Runtime, mailbox: Mailbox) -> None:
    message = runtime.mail.render(TEMPLATE, TO, {}, uuid4())
    await runtime.mail.send(message)
    mail = mailbox.only()
    assert (mail.to, mail.subject, mail.text, mail.html) == (TO, message.subject, message.text, message.html)
    await runtime.mail.send(message)
    with pytest.raises(AssertionError, match="2 mails"):
        mailbox.only()
