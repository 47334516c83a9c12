"""Send one mail now, to see whether MAIL_URL is right."""

from uuid import uuid4

import click

from project.core.management import command
from project.core.runtime import Runtime


@command()
@click.argument("to")
async def sendtestemail(runtime: Runtime, to: str) -> None:
    """Send a mail now, and say what the server answers."""
    await runtime.mail.send(runtime.mail.render("core/mail/test.html", to, {}, uuid4()))
    click.echo(f"A mail to {to} went to {runtime.mail.sender}.")
