"""What the OpenAPI document promises is held, whatever is sent."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from heyjetson.server.app import create_app
from heyjetson.server.settings import Settings

EXAMPLES = 6  # of each operation
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.fixture(scope="module")
def document(speech_folder, trigger_folder, tmp_path_factory):
    """The document of an application that is asked without a network."""
    app = create_app(Settings(speech_folder, trigger_folder, state=tmp_path_factory.mktemp("state")))
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    app.state.app_state.close()


def test_answers_are_as_documented(document):
    for operation in document.get_all_operations():
        examples = given(case=operation.ok().as_strategy())
        limits = settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        limits(examples(_answered))()


def _answered(case) -> None:
    response = case.call()
    if response.status_code == 503:  # a full queue is documented, and no fault
        assert "retry-after" in response.headers
        return
    case.validate_response(response, checks=CHECKS)
