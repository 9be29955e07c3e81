"""What the process engine costs: ``python -m bench.engine``, best by ``make bench-engine``, which installs Celery.

`stack` is the engine, real `programs` on `places` (a database and queues) of their own; `graphs` is what it is given;
`overhead`, `latency`, `publishing`, `priorities` and `scale` measure one thing each; `bare` and `celery_runs` are the
same without Tianyu; `facts` say on what it was measured, `usage` what CPU time and memory it took; `report` writes the
tables.
"""
