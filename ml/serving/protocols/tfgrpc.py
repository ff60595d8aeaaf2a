"""TensorFlow Serving's gRPC services on a port of their own: PredictionService (Predict, GetModelMetadata) and ModelService
(GetModelStatus). The exported models have no other signatures, so the other calls answer UNIMPLEMENTED.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import HTTPException

from ml.errors import ConfigError, DataError, EvergreenError
from ml.scoring import Scorer
from ml.serving.answer import Rows
from ml.serving.browsers import is_loopback
from ml.serving.http import MAX_BODY_BYTES, failure
from ml.serving.pressure import MOST_REQUESTS
from ml.serving.protocols import protos, signature, tensors
from ml.serving.protocols.rows import rows_of
from ml.serving.protocols.v2 import scores
from ml.serving.routing import ENTITY_HEADER
from ml.serving.service import Service

logger = logging.getLogger("uvicorn.error")
GRACE_S = 10
PACKAGE = "tensorflow.serving"
CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "FAILED_PRECONDITION",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
Call = Callable[[Any, Any], Awaitable[Any]]


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[None]:
    """The gRPC server, where EVERGREEN_SERVING_GRPC names an address; calls that are under way may end before it stops."""
    if not service.settings.serving_grpc:
        yield
        return
    server = make(service)
    await server.start()
    logger.info("gRPC on %s", service.settings.serving_grpc)
    try:
        yield
    finally:
        await server.stop(GRACE_S)


def check(address: str, http_host: str) -> None:
    """To be called once before any worker starts: workers share the port, and strangers would share it as silently.

    Raises: ConfigError: the address is none, somebody listens there, or it lets in more than the HTTP address does, by which
        it is decided whether predictions need a key.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        if not host or not 0 < int(port) < 2**16:
            raise ValueError("expected HOST:PORT")
        with socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except (OSError, ValueError) as error:
        what = f"EVERGREEN_SERVING_GRPC = {address!r} cannot be bound: {error}."
        raise ConfigError(f"{what} Name a free address, such as 127.0.0.1:8500.") from error
    if is_loopback(http_host) and not is_loopback(host):
        raise ConfigError(
            f"EVERGREEN_SERVING_GRPC = {address!r} is reached from elsewhere and {http_host!r} is not. Name one host."
        )


def make(service: Service) -> Any:
    """The server, bound but not started."""
    import grpc

    # several worker processes share the port as they share that of HTTP; every message has the limit of a body
    options = [("grpc.max_receive_message_length", MAX_BODY_BYTES), ("grpc.max_send_message_length", -1)]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=MOST_REQUESTS)  # more are RESOURCE_EXHAUSTED
    server.add_generic_rpc_handlers(Calls(service).handlers())
    server.add_insecure_port(service.settings.serving_grpc)
    return server


class Calls:
    """What the services do, one method per call."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def handlers(self) -> tuple[Any, ...]:
        """The services as grpc registers them."""
        from grpc import method_handlers_generic_handler as named

        predict = {"Predict": self.predict, "GetModelMetadata": self.metadata}
        return tuple(
            named(f"{PACKAGE}.{name}", {method: self._unary(call, _kind(f"{method}Request")) for method, call in calls.items()})
            for name, calls in (("PredictionService", predict), ("ModelService", {"GetModelStatus": self.status}))
        )

    def _unary(self, call: Call, kind: Any) -> Any:
        """A call as grpc takes it; what is raised becomes a status with the same words as over HTTP."""
        import grpc
        from google.protobuf.message import DecodeError

        async def answered(body: bytes, context: Any) -> Any:
            try:
                self._service.access.admit(dict(context.invocation_metadata()).get("authorization"), "predict")
                return await call(kind.FromString(body), context)
            except DecodeError as error:  # left to grpc, it would be an error of the service
                status, says, headers = failure(HTTPException(400, f"The message is no {kind.DESCRIPTOR.name}: {error}."))
            except (HTTPException, EvergreenError) as error:
                status, says, headers = failure(error)
            more = tuple((name.lower(), value) for name, value in headers.items())
            return await context.abort(getattr(grpc.StatusCode, CODES.get(status, "INTERNAL")), says, more)

        return grpc.unary_unary_rpc_method_handler(answered, response_serializer=lambda reply: reply.SerializeToString())

    async def predict(self, request: Any, context: Any) -> Any:
        """Rows scored; the request's id in the request log comes as trailing metadata."""
        name, version = _asked(request.model_spec)
        scorer = self._service.model(name, version).scorer
        self._service.pressure.admit()
        signature.check(request.model_spec.signature_name, request.output_filter)

        def read() -> Rows:
            return rows_of({name: tensors.values(name, tensor) for name, tensor in request.inputs.items()}, scorer)

        rows = await asyncio.get_running_loop().run_in_executor(self._service.scoring, read)
        entity = dict(context.invocation_metadata() or ()).get(ENTITY_HEADER.lower())
        answered = await self._service.answer(name, rows, version=version, entity=entity)
        context.set_trailing_metadata((("x-evergreen-request-id", answered.request_id),))
        reply = _kind("PredictResponse")()
        _name(reply.model_spec, name, answered.version, signature.NAME)
        tensors.fill(reply.outputs[signature.OUTPUT], scores(answered), len(scorer.outputs))
        return reply

    async def metadata(self, request: Any, _context: Any) -> Any:
        """The signature of the exported model."""
        name, version = _asked(request.model_spec)
        if list(request.metadata_field) != ["signature_def"]:
            raise DataError("Metadata field is not supported. Ask for the one field 'signature_def'.")
        model = self._service.model(name, version)
        signatures = _kind("SignatureDefMap")()
        _describe(signatures.signature_def[signature.NAME], model.scorer)
        reply = _kind("GetModelMetadataResponse")()
        _name(reply.model_spec, name, model.id.version)
        reply.metadata["signature_def"].Pack(signatures)
        return reply

    async def status(self, request: Any, _context: Any) -> Any:
        """The versions that can be asked."""
        name, version = _asked(request.model_spec)
        loaded = [one for one in self._service.versions(name) if version in (None, one)]
        if not loaded:
            raise HTTPException(404, f"Could not find any versions of model {name}")
        reply = _kind("GetModelStatusResponse")()
        for one in sorted(loaded, reverse=True):
            told = reply.model_version_status.add(version=one, state="AVAILABLE")
            told.status.SetInParent()  # its error code 0 means OK
        return reply


def _kind(name: str) -> Any:
    return protos.message(f"{PACKAGE}.{name}")


def _name(spec: Any, name: str, version: int, signature_name: str = "") -> None:
    spec.name, spec.version.value, spec.signature_name = name, version, signature_name


def _describe(told: Any, scorer: Scorer) -> None:
    """Write the signature into an empty SignatureDef."""
    names = signature.tensor_names(scorer)
    told.method_name = signature.METHOD
    for place, listed in ((told.inputs, signature.inputs(scorer)), (told.outputs, signature.outputs(scorer))):
        for name, (kind, shape) in listed.items():
            place[name].name = names[name]
            place[name].dtype = protos.numbers("tensorflow.DataType")[kind]
            for size in shape:
                place[name].tensor_shape.dim.add(size=size)


def _asked(spec: Any) -> tuple[str, int | None]:
    """Name and version that a ModelSpec asks for.

    Raises: DataError: it names a label.
    """
    if spec.WhichOneof("version_choice") == "version_label":
        raise DataError("Versions have no labels here. Ask for a version by its number, or for none: the one that is live.")
    return spec.name, spec.version.value if spec.HasField("version") else None
