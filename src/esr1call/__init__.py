"""esr1call: counts ESR1 mutations molecule by molecule and publishes trigger events."""

__version__ = "0.1.0"
