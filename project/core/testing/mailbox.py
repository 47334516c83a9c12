"""The mails that a test caused, as their readers see them."""

import re
from email.message import EmailMessage

from project.core.mail.senders import Memory


class Mail:
    """One mail: `to`, `subject`, `text`, `html`, and the one `link` inside."""

    def __init__(self, mail: EmailMessage) -> None:
        self.to, self.subject = str(mail["To"]), str(mail["Subject"])
        self.text, self.html = (_body(mail, kind) for kind in ("plain", "html"))

    @property
    def link(self) -> str:
        """The address in the text; fails when there is none, or another one."""
        (link,) = set(re.findall(r"https?://\S+", self.text))
        return str(link)


class Mailbox(Memory):
    """What was sent: EmailMessages in order, read as Mail."""

    @property
    def mails(self) -> list[Mail]:
        """All of them, in order."""
        return [Mail(each) for each in self]

    def only(self) -> Mail:
        """The one mail; fails when none or more were sent."""
        assert len(self) == 1, f"{len(self)} mails were sent: {[mail.subject for mail in self.mails]}"
        return self.mails[0]


def _body(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    return str(body.get_content()) if body else ""
