"""One at a time: who may work on a database, across threads and processes. Others may keep the same contract."""
