"""Run localstripe on loopback and keep its store in memory; an argument is the port.

It is run by the Python of localstripe's own environment, and imported by nobody.
"""

from __future__ import annotations

import sys

from aiohttp import web
from localstripe import resources, server

# It would write its whole store to a file after each request.
resources.Store.dump_to_disk = lambda _: None
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
