"""The application of a worker: ``celery -A bench.engine.celery_worker worker``."""

from bench.engine.celery_app import Place, make_app

app = make_app(Place.of_environment())
