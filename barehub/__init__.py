"""From bare metal to a verified BinderHub, with no secret left behind."""

__version__ = "0.1.0"
