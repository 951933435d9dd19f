"""An API of OpenStack that is a WSGI application, served with what Python brings.

usage: python wsgi_api.py PORT MODULE [ARGUMENT ...]

uWSGI 2.0.30 sometimes closes a connection without an answer. Requests are handled one at a time,
because SQLite has one writer; an idle connection blocks no other.
"""

import importlib
import sys
import threading
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Leave the log to the API itself."""


def main() -> None:
    port, module = int(sys.argv[1]), sys.argv[2]
    del sys.argv[1:3]
    application = importlib.import_module(module).application
    turn = threading.Lock()

    def one_at_a_time(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with turn:
            parts = application(environ, start_response)
            try:
                return [b"".join(parts)]
            finally:
                if hasattr(parts, "close"):
                    parts.close()

    make_server("127.0.0.1", port, one_at_a_time, Server, Handler).serve_forever()


if __name__ == "__main__":
    main()
