"""Send one mail now, to see whether MAIL_URL is right."""

from uuid import uuid4

import click

from project.core.management import command
from project.core.runtime import Runtime


@command(epilog="Example: manage.py sendtestemail you@example.com")
@click.argument("recipients", nargs=-1, required=True, metavar="TO...")
async def sendtestemail(runtime: Runtime, recipients: tuple[str, ...]) -> None:
    """Send a mail now, and say what the server answers."""
    for to in recipients:
        await runtime.mail.send(runtime.mail.render("core/mail/test.html", to, {}, uuid4()))
        click.echo(f"A mail to {to} went to {runtime.mail.sender}.")
