"""Any table or view of a database: what the catalogue says of it, a look at its rows, and what an export is made of."""
