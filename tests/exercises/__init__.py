"""Nine exercises that check themselves: `python -m tests.exercises` lists them, `python -m tests.exercises 3` checks one.

Each is a folder: README.md (the task), exercise.py (where the learner writes), check.py, solution.py. What checks are made of is in
`checking` and `live`; `child` runs one in a process of its own, so that no mistake of a learner can break or stall the checker.
"""
