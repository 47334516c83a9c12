"""A library whose rows are looked after in the admin only: what the admin's own tests work on."""
