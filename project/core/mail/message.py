"""Message: one mail to one person, and its shape on the wire."""

import unicodedata
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from uuid import UUID

from email_validator import EmailNotValidError, validate_email

from project.core.db.models import now
from project.core.errors import Invalid


@dataclass(frozen=True, slots=True)
class Message:
    """One mail. Raises Invalid when `to` is not one address, or the subject holds a line break or the like.

    Args:
        to: one address, without a name.
        subject: one line.
        text: the mail for those who read no HTML.
        html: the mail for everybody else.
        key: names this mail for good: a repeat carries the same Message-ID.
    """

    to: str
    subject: str
    text: str
    html: str
    key: UUID

    def __post_init__(self) -> None:
        address(self.to)
        if not self.subject or any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in self.subject):
            raise Invalid("The subject of a mail must be one line of text.", field="subject")

    def as_mime(self, sender: str | Address, host: str) -> EmailMessage:
        """The mail from this sender, its Message-ID at this host; raises Invalid for a header that hides another."""
        mime = EmailMessage()
        mime["From"], mime["To"], mime["Subject"] = sender, address(self.to), self.subject
        if str(mime["Subject"]) != self.subject:  # it decodes "=?utf-8?q?=0D=0ABcc:_…?=", and writes that line
            raise Invalid("The subject of a mail must not hold encoded words.", field="subject")
        mime["Date"], mime["Message-ID"] = now(), f"<{self.key}@{host}>"
        mime["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence notes, please
        mime.set_content(self.text, cte="quoted-printable")
        mime.add_alternative(self.html, subtype="html", cte="quoted-printable")
        return mime


def address(text: str) -> str:
    """The one address in the text, as mail servers read it; raises Invalid for anything else, a list too."""
    try:
        found = validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        found = None
    if found is None or "=?" in text:  # an encoded word hides other characters, line breaks too
        raise Invalid("That is not one e-mail address.", field="to")
    return found.ascii_email or found.normalized
