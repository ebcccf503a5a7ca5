"""A client of Ferry, the multi-user file server: log in, call any verb the server has, move files that resume and are proven.

    with ferry.connect("alice@127.0.0.1:7171", password, pin="sha256:...") as session:
        for row in session.stream("ls", path="docs", long=True):
            print(ferry.printable(row["name"]), row["size"])
        session.upload("report.pdf", "docs/")
        session.download("docs/report.pdf", "/tmp/")
"""
from .client import Client, Rows, SomeFailed, connect, parse_target
from .errors import FerryError, KeyRefused, ProtocolError
from .known import Known
from .names import printable
from .transfer import Transfer

__all__ = ["Client", "FerryError", "KeyRefused", "Known", "ProtocolError", "Rows", "SomeFailed", "Transfer", "connect",
           "parse_target", "printable"]
