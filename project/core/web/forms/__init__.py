"""Forms from schemas: one Pydantic class reads the JSON body, reads the form and draws its fields.

fields      what a schema's fields look like
form        a schema with values and errors, ready to be drawn
reading     `Submitted[X]`: a posted form, read and validated; one field checked while it is typed
uploads     files, streamed to a size cap
"""

from project.core.web.forms.fields import RowVersion as RowVersion
from project.core.web.forms.form import Form as Form
from project.core.web.forms.reading import Submitted as Submitted, reads_form as reads_form
from project.core.web.forms.uploads import FileLimits as FileLimits
