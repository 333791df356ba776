"""What tells browsers to be careful with answers: the one place that says it."""

from __future__ import annotations

from typing import Final

__all__ = ["EVERYWHERE", "PAGE", "SAME_ORIGIN"]

EVERYWHERE: Final = (("x-content-type-options", "nosniff"),)
"""On every answer of the HTTP port: a payload is never taken for a page or a script."""

_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)

SAME_ORIGIN: Final = (b"cross-origin-resource-policy", b"same-origin")
"""Not to be loaded by pages of another origin."""

PAGE: Final = (
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    SAME_ORIGIN,
)
"""On the dashboard's files, beside these: only the broker's own files and answers, in nobody's
frame."""
