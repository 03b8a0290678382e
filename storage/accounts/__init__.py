"""Who may use this instance: accounts, what each role may do, passwords, sessions, tokens and the first set-up."""
