"""Ensures that a response still arrives if it is sent before the body was read.

If the app closed a connection on which nginx is still writing, nginx could notice that before it
reads the response, and would report "cannot be reached" instead. So the rest is read and discarded
until nginx, which has its response, closes the connection.
"""

import select
import socket
import time

from flask import Flask, Response, request

PATIENCE = 1.0  # seconds; without nginx in front, no one else closes the connection
_CHUNK = 64 * 1024


def let_answers_arrive(app: Flask) -> None:
    """Read the rest of a refused body after sending the response."""

    @app.after_request
    def drop_the_rest(response: Response) -> Response:
        connection = request.environ.get("gunicorn.socket")
        if response.status_code >= 400 and request.content_length and connection:
            body = request.environ["wsgi.input"]
            response.call_on_close(lambda: _drop(body, connection))
        return response


def _drop(body: object, connection: socket.socket) -> None:
    """Read ``body`` to its end, until it breaks off, or for PATIENCE; then stop reading.

    A blocking read waits until it has all the requested bytes, however slowly they arrive. So each
    read takes only the available bytes, and the waiting is done here. Gunicorn closes the
    connection of a body that was late, as nginx does with one that it could not write in time.
    """
    deadline = time.monotonic() + PATIENCE
    waits = connection.gettimeout()
    arrived = select.poll()
    arrived.register(connection, select.POLLIN)
    connection.settimeout(0)
    try:
        while (left := deadline - time.monotonic()) > 0:
            try:
                if not body.read(_CHUNK):  # type: ignore[attr-defined] # PEP 3333 names no class
                    return
            except BlockingIOError:  # there is more to come
                arrived.poll(1000 * left)
        connection.shutdown(socket.SHUT_RD)  # otherwise gunicorn would keep waiting for the rest
    except OSError:
        pass  # gone
    finally:
        connection.settimeout(waits)
