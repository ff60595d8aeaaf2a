"""Redaction, pure: what must not leave the source is hidden, hashed or removed before anything is stored."""

from ml.redaction.redactor import Redactor, Rule, hashed
from ml.redaction.text import scrub

__all__ = ["Redactor", "Rule", "hashed", "scrub"]
