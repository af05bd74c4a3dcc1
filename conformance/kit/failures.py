"""Why there is no connection to a product, in words."""

import os
import ssl


def unreachable(error: BaseException) -> str:
    """Of TCP: what `HOST:PORT` did, to go after its name. `error` is of trio, which tries every address of a host."""
    causes = [error, *getattr(error.__cause__, "exceptions", [error.__cause__])]
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "refused the connection: nothing listens on that port, or a firewall refuses"
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return "did not answer: wrong address, or a firewall drops the packets"
    number = next((cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno), None)
    return f"can't be reached: {os.strerror(number) if number else error}"


def reason_of(error: BaseException) -> str:
    """Of TLS: an alert by its name, an end without one as such, a certificate that is not trusted with the reason."""
    error = error.__cause__ or error
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was not accepted ({error.verify_message})"
    if isinstance(error, EOFError | ssl.SSLEOFError | ConnectionError):
        return "the product closed the connection and sent no alert"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
