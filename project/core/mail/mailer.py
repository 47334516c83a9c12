"""The mailer: renders a template twice, as HTML and as text, and hands the mail to the sender."""

import re
from collections.abc import Callable, Sequence
from email.headerregistry import Address
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

from jinja2 import Environment

from project.core.conf import ROOT, Settings
from project.core.mail.message import Message
from project.core.mail.senders import sender_from
from project.core.templating import Macros, environment


class Mailer:
    """Renders and sends mail. A test may hang another `sender` here.

    Args:
        settings: the site's.
        apps: the folders of the installed apps; templates are looked for as for pages.
        url: the absolute address of a named route.
    """

    def __init__(self, settings: Settings, apps: Sequence[Path], url: Callable[..., str]) -> None:
        self.sender = sender_from(settings)
        self._settings, self._apps, self._url = settings, apps, url

    def render(self, template: str, to: str, context: dict[str, Any], key: UUID) -> Message:
        """The mail of a template that extends core/mail/base.html; raises Invalid as Message does."""
        as_text = self._text.get_template(template)
        lines = [line.strip() for line in as_text.render(context).splitlines()]
        return Message(
            to=to,
            subject=as_text.render(context, part="subject").strip(),
            text=re.sub(r"\n{3,}", "\n\n", "\n".join(lines).strip()) + "\n",
            html=self._html.get_template(template).render(context),
            key=key,
        )

    async def send(self, message: Message) -> str:
        """Send it now; returns its Message-ID. Raises Unavailable to try again later, Invalid for never."""
        settings = self._settings
        usual = Address(settings.SITE_NAME, "noreply", settings.mail_host)
        mime = message.as_mime(settings.MAIL_FROM or usual, settings.mail_host)
        await self.sender.send(mime)
        return str(mime["Message-ID"])

    @cached_property
    def _html(self) -> Environment:
        settings = self._settings
        names = {"url": self._url, "site_name": settings.SITE_NAME, "site_url": settings.SITE_URL, "part": "html"}
        env = environment(ROOT / "templates", self._apps, **names)
        env.globals["mail"] = Macros(env, "core/mail/html")
        return env

    @cached_property
    def _text(self) -> Environment:
        env = self._html.overlay(autoescape=False)
        env.globals = env.globals | {"part": "text", "mail": Macros(env, "core/mail/text")}
        return env
