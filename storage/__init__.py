"""What pghaven does, with no web in it: databases, backups, restores, jobs, accounts and the records behind them."""
