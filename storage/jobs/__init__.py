"""Long work: a job reports progress, can be cancelled from any process, and leaves a record whatever happens to it."""
