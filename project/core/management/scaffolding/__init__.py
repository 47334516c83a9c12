"""How `startapp` makes an app of the scaffold (project/core/scaffold), which is a real app for a thing with a title.

fields      `price:decimal:10,2?` → what each part of an app says of it
spec        a whole app as it was asked for; names that cannot be, answered with advice
slots       the pieces of the scaffold that depend on fields and options
copying     the scaffold with its slots filled and its names changed, tidied by ruff
plugging    into place: files, the line in INSTALLED_APPS, the migration; all of it or nothing
"""
