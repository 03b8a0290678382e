"""Application maps: what a database's catalogue cannot tell about the application in it, as data."""
