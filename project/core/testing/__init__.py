"""The test kit, a pytest plug-in. Async tests just run; with a database, on SQLite and PostgreSQL.

A test that takes one of the fixtures with a database is an `async def`; `manage` is for plain ones.

client          an HTTP client on the app: same event loop, lifespan run, no network
page, htmx_page a page as people use it, without a browser: fill by label, press by the words; with htmx
either_page     the same: the test runs once as plain HTML, once as htmx
db              a session in the same transaction as the app's; everything is rolled back, commits too
app, runtime    the site under test
bus             its bus; bus.published is what went out after a commit: [(topic, event), ...]
live_client     the same on a database of its own, where commits are real: for races and commit failures
mailbox         the mails this test sends: mailbox.only().link
manage          runs a command: manage("check").exit_code
new_client      makes a client (without cookies) for an app
                A request of a client that runs one statement more than five times fails its test (budgets.py).
postgresql_url  a server on which throw-away databases may be made
redis_url       a Redis for tests; RedisServer (redis_server.py) is one that a test may kill or halt
`--backend sqlite` runs one kind only; a missing server is an error, never a silent skip.
"""
