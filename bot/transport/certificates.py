"""Which certificates are trusted: one rule for REST, streams and wallet. Any thread.

Not on the page. requests and websocket-client read different variables, and have different defaults.
"""

import functools
import os
import re
import ssl
import threading

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from bot.transport.sockets import DeadlineSSLSocket

# Each names a file, or a directory in the form of OpenSSL. If any is set, their authorities replace the default ones everywhere.
VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "WEBSOCKET_CLIENT_CA_BUNDLE")


class CertificateFileError(OSError):
    """A variable that names a file without certificates."""


def tls_context() -> ssl.SSLContext:
    """Return the one TLS context, which checks certificates and host names.

    Raises:
        CertificateFileError: a variable names a file that does not exist, or holds no certificates.
    """
    with _lock:
        return _context(tuple(_named_files().items()), os.environ.get("SSL_CERT_DIR", ""))


def certificate_problems() -> list[str]:
    """Return what is wrong with the variables that name certificates, one line each."""
    problems = []
    for variable, path in _named_files().items():
        try:
            _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), variable, path)
        except CertificateFileError as error:
            problems.append(str(error))
    return problems


def _named_files() -> dict[str, str]:
    return {variable: path for variable in VARIABLES if (path := os.environ.get(variable, "").strip())}


_lock = threading.Lock()  # four streams connect at once, and one of them is enough to read the files


@functools.cache  # reading the authorities takes tens of milliseconds; errors are not kept
def _context(files: tuple[tuple[str, str], ...], directories: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = DeadlineSSLSocket
    context.set_alpn_protocols(["http/1.1"])
    for variable, path in files:
        _load(context, variable, path)
    if files:
        for directory in filter(os.path.isdir, directories.split(os.pathsep)):
            context.load_verify_locations(capath=directory)
    else:
        context.load_default_certs()  # the system's, which hold a company's own; with SSL_CERT_DIR instead, if that is set
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)  # certifi's: some systems bring none
    return context


def _load(context: ssl.SSLContext, variable: str, path: str) -> None:
    try:
        if os.path.isdir(path):
            if not any(re.fullmatch(r"[0-9a-f]{8}\.\d+", name) for name in os.listdir(path)):
                raise ValueError("openssl rehash has found none in this directory, or has not run")
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except FileNotFoundError:
        raise CertificateFileError(f"{variable} is {path!r}, but there is no such file of certificates") from None
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise CertificateFileError(f"{variable} is {path!r}, from which no certificates can be read: {error}") from None
