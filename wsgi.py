"""For WSGI servers: opens the data folder, starts the background work, and is `application`.

One process with threads: the data folder belongs to one web process at a time. `pghaven serve` does the same with
waitress, and is what most people want.
"""

from __future__ import annotations

import atexit

from storage.opening import open_storage
from storage.settings import Settings
from webapp import create_app

storage = open_storage(Settings.from_environment())
atexit.register(storage.stop)
storage.start()
application = create_app(storage)
