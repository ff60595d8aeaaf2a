"""One real service, with gRPC, for the tests of all protocols."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import httpx
import pytest

from ml.embedded.processes import free_port
from tests.integration.protocols.kit import NEW, OLD
from tests.integration.serving_kit import Service, make_model, running


@pytest.fixture(scope="package")
def service(database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of two workers with two loaded versions of `asked`, and a problem `empty` without any."""
    service = Service(tmp_path_factory.mktemp("service"), database("service"), grpc=f"127.0.0.1:{free_port(0)}", workers=2)
    for problem in ("asked", "empty"):
        service.add_problem(problem)
    with running(service):
        for version in (OLD, NEW):
            assert service.put("asked", make_model(service.store, "asked", version)).status_code == 200
        yield service


@pytest.fixture(scope="package")
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="package")
def stubs(service: Service) -> Iterator[SimpleNamespace]:
    """Its own stubs, as existing clients use them."""
    import grpc
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    with grpc.insecure_channel(service.grpc) as channel:
        yield SimpleNamespace(
            channel=channel,
            prediction=prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model=model_service_pb2_grpc.ModelServiceStub(channel),
        )
