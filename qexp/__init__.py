"""qexp decides where quantum work runs: simulate, learn, compare and deploy placement policies."""

__version__ = "0.1.0"
