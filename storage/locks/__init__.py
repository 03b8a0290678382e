"""One at a time: who may work on a database, across threads and processes. One contract for files and Redis."""
