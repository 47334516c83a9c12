"""A shelf of books: what the tests of the admin's door, forms and rights work on, inside a test's transaction."""
