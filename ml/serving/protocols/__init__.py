"""Other ways to ask the service than its own JSON: the Open Inference Protocol, TensorFlow Serving's REST and gRPC, a form.

All turn a request into rows, have them answered by `Service.answer`, and tell the answer in their own words.
"""

from fastapi import FastAPI

from ml.serving.protocols import docs, form, rest
from ml.serving.service import Service


def add(app: FastAPI, service: Service) -> None:
    """Put the routes of every protocol into the application."""
    rest.add_v2(app, service)
    rest.add_tfserving(app, service)
    form.add(app, service)
    docs.add(app, service)
