"""Circuits: the catalogue, how one is compiled for a machine, and what it should measure."""
