"""Rules of one way in, which tests elsewhere hold: what their rows of the table are."""

from __future__ import annotations

from typing import Final

from tests.conformance.rows import Held, Row

__all__ = ["ELSEWHERE"]

CORS: Final = "tests.integration.test_rest_cors"
WS: Final = "tests.integration.websocket.test_ws_reference"
CONNECT: Final = "tests.integration.test_connect"
WEB: Final = "tests.integration.test_grpc_web"
GRPC: Final = "tests.integration.test_grpc"
ROUTES: Final = "tests.integration.test_rest_routes"


def _held(about: str, ways: str, module: str, *rules: tuple[str, str]) -> list[Held]:
    names = tuple(ways.split(" + "))
    return [Held(Row(about, rule), names, module, test) for rule, test in rules]


ELSEWHERE: Final = (
    *_held(
        "pages of browsers (CORS)", "REST", CORS,
        ("the own origin is reflected, on errors as well",
         "test_origin_when_the_answer_is_an_error_then_it_is_reflected_as_well"),
        ("so is a configured one", "test_origin_when_configured_then_it_is_reflected"),
        ("a preflight of any path: 204", "test_preflight_when_complete_then_204_for_any_path"),
        ("without both of its headers: 400, as text",
         "test_preflight_when_it_lacks_a_header_then_400_as_text"),
    ),
    *_held(
        "HTTP", "REST", ROUTES,
        ("an unknown route: 404 with the older fields, and a tag",
         "test_route_when_unknown_then_404_with_the_reference_body"),
    ),
    *_held(
        "WebSocket frames", "WebSocket", WS,
        ("the id is echoed, whatever JSON it is", "test_id_when_any_json_then_echoed_as_written"),
        ("no id: null", "test_id_when_absent_then_null"),
        ("answers can overtake each other",
         "test_answers_when_a_claim_waits_then_others_overtake_it"),
        ("fields that are null are as if absent",
         "test_job_when_fields_are_null_then_as_if_they_were_absent"),
        ("an unknown method, in the older words",
         "test_method_when_unknown_then_the_older_message"),
        ("what is JSON but asks for nothing: the method `undefined`",
         "test_message_when_it_asks_for_nothing_then_undefined"),
        ("no JSON: said so, and the connection stays",
         "test_message_when_it_is_no_json_then_it_is_said_and_the_connection_stays"),
        ("binary frames of JSON work; answers are text",
         "test_message_when_binary_then_read_as_text_and_answered_as_text"),
        ("3 MB and more are taken",
         "test_payload_when_of_three_megabytes_then_taken_and_brought_back"),
        ("keys like `__proto__` are taken",
         "test_payload_when_it_has_a_key_of_a_prototype_then_kept"),
        ("a subprotocol is echoed, but no token",
         "test_subprotocol_when_offered_then_the_first_that_is_no_token_is_echoed"),
        ("no compression", "test_compression_when_offered_then_declined"),
        ("without an upgrade: 404, empty",
         "test_path_when_asked_without_upgrade_then_an_empty_404"),
        ("an upgrade of another path: 404, JSON",
         "test_upgrade_when_of_another_path_then_404_in_json"),
    ),
    *_held(
        "Connect", "Connect, JSON + Connect", CONNECT,
        ("success: the headers of every answer, and its commit",
         "test_answer_when_it_succeeds_then_the_headers_of_every_answer_and_its_commit"),
        ("a payload that is null or absent comes as `null`",
         "test_payload_when_null_or_absent_then_claimed_as_null"),
        ("chunked bodies", "test_body_when_chunked_then_read"),
        ("bodies by gzip and br", "test_body_when_compressed_then_read"),
        ("other compressions: 501 `unimplemented`",
         "test_body_when_compressed_by_something_else_then_501"),
        ("large answers compressed as the caller can read, small ones not",
         "test_answer_when_large_then_compressed_as_the_caller_can_read"),
        ("another content type: 415, empty", "test_kind_when_unknown_then_415_without_a_body"),
        ("GET: 405, empty", "test_method_when_get_then_405_without_a_body"),
        ("an unknown method: the 404 of any route",
         "test_method_when_unknown_then_as_any_other_route"),
        ("a time-out that is none: 400", "test_timeout_when_it_is_none_then_400"),
        ("a time-out that passes takes no job",
         "test_timeout_when_it_passes_while_a_claim_waits_then_it_takes_no_job"),
    ),
    *_held(
        "Connect", "Connect, JSON", CONNECT,
        ("snake_case and unknown fields are taken",
         "test_json_when_fields_are_snake_case_or_unknown_then_taken"),
        ("broken JSON: 400 that names the message",
         "test_json_when_broken_then_400_that_names_the_message"),
    ),
    *_held(
        "Connect", "Connect", CONNECT,
        ("truncated Protocol Buffers: an error in JSON",
         "test_proto_when_truncated_then_400_in_json"),
    ),
    *_held(
        "calls by gRPC", "gRPC-Web", WEB,
        ("a message, then trailers", "test_answer_when_it_succeeds_then_a_message_and_trailers"),
        ("code and tag in the trailers",
         "test_answer_when_refused_then_code_and_tag_in_the_trailers"),
        ("gRPC's own framing over HTTP/1.1 ends with trailers",
         "test_grpc_when_in_http1_then_it_ends_with_trailers_and_the_connection_goes_on"),
    ),
    *_held(
        "calls by gRPC", "gRPC", GRPC,
        ("code and tag say why", "test_refusal_when_it_arrives_then_code_and_tag_say_why"),
        ("health: serving while the broker leads",
         "test_health_when_the_broker_stands_by_then_not_serving_until_it_leads"),
        ("reflection describes every method",
         "test_reflection_when_asked_then_every_method_is_described"),
        ("an unknown method: unimplemented", "test_method_when_unknown_then_unimplemented"),
    ),
)  # fmt: skip
"""Every such rule, in the order of the table."""
