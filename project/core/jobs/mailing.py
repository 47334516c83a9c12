"""Mail as jobs: what a unit of work commits is sent, and logged with the end of its job."""

from typing import Any
from uuid import UUID

from project.core.db.session import AsyncSession
from project.core.errors import Invalid
from project.core.jobs.declaring import GiveUp, job
from project.core.jobs.queue import enqueue
from project.core.jobs.running import Running
from project.core.mail import address
from project.core.mail.sent import SentMail

# For jobs that end with `deliver`: tried for a day, and after an outage of a minute sent within the next.
mail_job = job(timeout=60, max_tries=36, backoff=1.4)


async def send_mail(db: AsyncSession, template: str, to: str, context: dict[str, Any]) -> UUID:
    """Send a mail once this unit of work has committed; returns the job's id.

    The job's row keeps the context, so it holds no token: a mail with such a link is a job of yours that calls
    `deliver`.

    Args:
        template: its path, such as "mail/blog/new_post.html"; it extends core/mail/base.html.
        to: one address.
        context: what the template may use besides `url`, `site_name` and `mail`; of JSON's types only.

    Raises:
        Invalid: not one address, or something in the context does not fit into JSON.
    """
    return await enqueue(db, "core.send_mail", template=template, to=address(to), context=context)


async def deliver(running: Running, template: str, to: str, context: dict[str, Any]) -> None:
    """Send a mail from within a job, which ends with it: the log of sent mail and `done` are one commit.

    A worker that dies between the server's yes and that commit sends the mail again, with the same Message-ID.

    Raises:
        GiveUp: it can never be delivered, as the server says or the address shows.
        Unavailable: it may work later; let it through, and the job is tried again.
    """
    mail = running.runtime.mail
    try:
        message = mail.render(template, to, context, running.id)
        message_id = await mail.send(message)
    except Invalid as refusal:
        raise GiveUp(refusal.message) from None
    row = SentMail(to=to, subject=message.subject, template=template, job_id=running.id, message_id=message_id)
    async with running.unit_of_work() as db:
        db.add(row)
