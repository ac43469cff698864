"""Receivers of notifications on loopback: a webhook and a mail server, which keep what they are sent."""

import email
import email.policy
import http.server
import json
import socketserver
import threading
from email.message import EmailMessage
from typing import Any


class Inbox:
    """A webhook that keeps what it is sent, or answers with another `status` than 200 and keeps nothing."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.status = 200
        inbox = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if inbox.status == 200:
                    inbox.messages.append(body)
                self.send_response(inbox.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Mailbox:
    """A mail server (RFC 5321, as far as a client on loopback asks) that keeps what it is sent."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        mailbox = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 ready\r\n")
                for line in self.rfile:
                    if line[:4].upper() == b"QUIT":
                        self.wfile.write(b"221 bye\r\n")
                        return
                    if line[:4].upper() == b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        mailbox.mails.append(self._mail())
                    self.wfile.write(b"250 fine\r\n")

            def _mail(self) -> EmailMessage:
                lines = iter(self.rfile.readline, b".\r\n")
                raw = b"".join(line[1:] if line.startswith(b".") else line for line in lines)
                return email.message_from_bytes(raw, EmailMessage, policy=email.policy.default)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"mailto://127.0.0.1:{self._server.server_address[1]}?from=lastcopy@example.org&to=ana@example.org&mode=insecure"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
