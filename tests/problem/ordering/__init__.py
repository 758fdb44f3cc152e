"""A third problem (``env=ordering``): in which order one machine serves the jobs that wait for it."""
