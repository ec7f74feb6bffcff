# No training: what tools/test.py needs beside a model and a test set.
test_cfg = dict(type='TestLoop')
randomness = dict(seed=0)  # nothing of a test is drawn; a seed that is named needs no broadcast
