"""Many runs as one: what a multirun plans, how a job of it runs, and how it begins and ends.

Jobs may run in other processes, on other machines, at other times: what they know of each other lies in the
sweep's folder. `qexp.report` makes tables and figure from that folder alone.
"""
