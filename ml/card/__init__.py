"""The card of a run: one page of Markdown that a reviewer reads beside the model, in words before numbers."""

from ml.card import rehearsal
from ml.card.card import LEFT_OUT, LONGEST, essentials, render
from ml.card.facts import Facts
from ml.card.markdown import GAP, SPACE

__all__ = ["GAP", "LEFT_OUT", "LONGEST", "SPACE", "Facts", "essentials", "rehearsal", "render"]
