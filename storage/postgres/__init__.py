"""PostgreSQL itself: the only folder that knows libpq, the client programs, archives and the embedded server."""
