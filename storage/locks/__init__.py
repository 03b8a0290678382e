"""One at a time: who may work on a database, across threads and processes. File locks here; others keep the contract."""
