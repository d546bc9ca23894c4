"""Make sure that a response arrives even if it is sent before the body has been read.

If the app closed a connection on which nginx is still writing, nginx could notice that before it
reads the response. nginx would then report "cannot be reached" instead. The rest of the body is
therefore read and discarded until nginx, which has the response, closes the connection.
"""

import select
import socket
import time

from flask import Flask, Response, request

PATIENCE = 1.0  # seconds; without nginx in front, nobody else closes the connection
_CHUNK = 64 * 1024


def let_answers_arrive(app: Flask) -> None:
    """Make ``app`` read the rest of a rejected body after it sends the response."""

    @app.after_request
    def drop_the_rest(response: Response) -> Response:
        connection = request.environ.get("gunicorn.socket")
        if response.status_code >= 400 and request.content_length and connection:
            body = request.environ["wsgi.input"]
            response.call_on_close(lambda: _drop(body, connection))
        return response


def _drop(body: object, connection: socket.socket) -> None:
    """Read and discard ``body`` until it ends, the connection closes or PATIENCE seconds pass.

    A blocking read waits until all requested bytes have arrived, however slowly. Each read in this
    function therefore takes only the available bytes, and the function waits between reads.
    Gunicorn then closes the connection if the body was late. nginx does the same if it could not
    write the body in time.
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
            except BlockingIOError:  # more bytes will follow
                arrived.poll(1000 * left)
        connection.shutdown(socket.SHUT_RD)  # otherwise gunicorn would keep waiting for the rest
    except OSError:
        pass  # the connection is already closed
    finally:
        connection.settimeout(waits)
