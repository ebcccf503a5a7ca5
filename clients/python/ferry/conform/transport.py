"""Section 1: TCP and TLS."""
import socket
import ssl
import time

from .trouble import Broken, Skipped, check


def _handshake(suite, minimum, maximum, names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version, context.maximum_version = minimum, maximum
    context.set_alpn_protocols(names)
    sock = socket.create_connection((suite.host, suite.port), timeout=suite.patience)
    try:
        return context.wrap_socket(sock)
    except (ssl.SSLError, OSError):
        sock.close()
        return None


def _needs_tls(suite):
    if suite.is_plain:
        raise Skipped("there is no TLS here")


@check("tls-version", "1")
def older_tls_is_refused(suite):
    """The connection is TLS 1.3; a client that has only TLS 1.2 gets no connection."""
    _needs_tls(suite)
    sock = _handshake(suite, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, ["ferry/1"])
    if sock is not None:
        version = sock.version()
        sock.close()
        raise Broken("no connection", f"one with {version}")


@check("tls-alpn", "1")
def the_protocol_is_named(suite):
    """ALPN is `ferry/1`."""
    _needs_tls(suite)
    sock = _handshake(suite, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, ["other", "ferry/1"])
    if sock is None:
        raise Broken("a connection with ferry/1", "none")
    with sock:
        if sock.selected_alpn_protocol() != "ferry/1":
            raise Broken("ALPN ferry/1", repr(sock.selected_alpn_protocol()))


@check("tls-tickets", "1")
def no_session_tickets(suite):
    """There are no session tickets."""
    _needs_tls(suite)
    with suite.greeted() as peer:
        # Tickets come behind the handshake, before anything else that the server says.
        session = peer.tls_session
        if session is not None and session.has_ticket:
            raise Broken("no session ticket", f"one for {session.ticket_lifetime_hint} s", peer)


@check("close-notify", "1")
def the_end_is_told(suite):
    """Whoever closes the connection says `close_notify` first."""
    _needs_tls(suite)
    with suite.peer() as peer:
        peer.say_hello(proto=2)
        until = time.monotonic() + suite.patience
        while peer.ended is None and time.monotonic() < until:
            peer.poll(0.1)
        if not peer.had_notify:
            raise Broken("close_notify", str(peer.ended), peer)


@check("hello-at-once", "1")
def hello_is_not_waited_for(suite):
    """Each side sends `hello` at once, without waiting for the other's."""
    with suite.peer() as peer:
        peer.hear_hello()
